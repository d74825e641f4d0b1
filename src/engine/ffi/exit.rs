//! The end of a process in which a thread may be inside libtorch.

use std::ffi::c_int;
use std::io::Write;

unsafe extern "C" {
    // Of the C library.
    fn _exit(code: c_int) -> !;
}

/// Ends the process without the C++ library's way out: what libtorch and CUDA tear down there is in use by a thread that
/// computes or waits for another rank, and the process would crash or hang instead of ending.
pub fn at_once(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: takes a number, and does not come back.
    unsafe { _exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn atexit(call: extern "C" fn()) -> c_int;
    }

    extern "C" fn on_the_way_out() {
        eprintln!("torn down");
    }

    #[test]
    fn nothing_is_torn_down_at_the_end() {
        const CHILD: &str = "FROSTLINE_TEST_EXIT";
        if std::env::var_os(CHILD).is_some() {
            // SAFETY: a function that lives as long as the process.
            unsafe { atexit(on_the_way_out) };
            eprintln!("last words");
            at_once(7);
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "engine::ffi::exit::tests::nothing_is_torn_down_at_the_end"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(7), "{said}");
        assert!(said.contains("last words") && !said.contains("torn down"), "{said}");
    }
}
