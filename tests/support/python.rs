//! Python's PyTorch, for tests that compare with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter: `FROSTLINE_PYTHON`, else the environment that `make test` lays at `.python-ref`. `None`, said on
/// stderr, where there is none.
pub fn python() -> Option<PathBuf> {
    let own = std::env::var_os("FROSTLINE_PYTHON").map(PathBuf::from);
    let found = own.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".python-ref/bin/python"));
    if found.as_os_str() == "none" || !found.exists() {
        eprintln!("skipped: no Python with PyTorch (`make test` lays .python-ref; FROSTLINE_PYTHON names another)");
        return None;
    }
    Some(found)
}

/// Runs a script of `scripts/` and gives its stdout.
#[allow(dead_code, reason = "some tests bring their few lines with them")]
pub fn run_script(python: &Path, script: &str, args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let out = Command::new(python)
        .arg("-B")
        .arg(&script)
        .args(args)
        // Two cores are shared by several tests.
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{} cannot be run: {e}", python.display()));
    assert!(out.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
