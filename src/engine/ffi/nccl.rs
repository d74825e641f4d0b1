//! The library of `nccl.cpp`, which the program carries in itself where it was built with NCCL's headers.

use std::sync::OnceLock;

use super::c10d_raw as raw;
use super::{Result, ShimError, c_text, check};

/// Loads it at the first call. libtorch's CUDA libraries must be loaded already.
///
/// # Errors
/// Why gradients cannot go over NCCL, in words.
pub fn load() -> Result<()> {
    static STATE: OnceLock<Result<()>> = OnceLock::new();
    STATE.get_or_init(built_in).clone()
}

#[cfg(frostline_nccl)]
fn built_in() -> Result<()> {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    const LIBRARY: &[u8] = include_bytes!(env!("FROSTLINE_NCCL"));
    let failed = |e: std::io::Error| ShimError(format!("its back end cannot be loaded: {e}"));
    // A file without a name: the program needs no folder for it.
    let file = rustix::fs::memfd_create("frostline-nccl", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = std::fs::File::from(file.map_err(|e| failed(e.into()))?);
    file.write_all(LIBRARY).map_err(failed)?;
    let path = c_text(&format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // SAFETY: a valid string; called once, under the lock of `load`.
    check(unsafe { raw::fl_nccl_load(path.as_ptr()) })
}

#[cfg(not(frostline_nccl))]
fn built_in() -> Result<()> {
    let _ = (c_text, check, raw::fl_nccl_load);
    Err(ShimError(
        "this program was built without NCCL (`make cuda` fetches what it needs, `make build` takes it)".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_it_says_in_a_line_why_not() {
        if matches!(crate::engine::device::cuda(), crate::engine::device::Cuda::Ready(_)) {
            eprintln!("skipped: there is a GPU");
            return;
        }
        let why = load().unwrap_err().to_string();
        assert!(!why.is_empty() && !why.contains('\n'), "{why}");
        assert_eq!(load().unwrap_err().to_string(), why);
    }
}
