//! CUDA: whether there is an NVIDIA GPU, and libtorch's back end for it, loaded once at run time.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::core::device::Gpus;
use crate::engine::ffi;
use crate::engine::telemetry::Telemetry;

/// What became of CUDA in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// No NVIDIA GPU.
    Absent,
    /// So many devices can be used.
    Ready(usize),
    /// There is a GPU, but it cannot be used, and why.
    Unusable(String),
}

static STATE: OnceLock<Cuda> = OnceLock::new();

/// Loads the back end at the first call, where there is a GPU (0.2 to 1.1 s).
///
/// Before anything computes, be it on the CPU: libtorch asks once whether there is CUDA, at the first convolution or batch norm, and
/// counts the devices once, at the first backward. A back end that comes later goes unnoticed for the rest of the process.
pub fn cuda() -> &'static Cuda {
    STATE.get_or_init(load)
}

/// Whether it has been called.
#[cfg(test)]
pub fn asked() -> bool {
    STATE.get().is_some()
}

fn load() -> Cuda {
    let driver = ["/proc/driver/nvidia/version", "/dev/nvidiactl"].iter().any(|p| Path::new(p).exists());
    if !driver {
        return Cuda::Absent;
    }
    // What the driver's own library knows is said better by it, and before a second is spent on loading.
    let known = Telemetry::open().gpus();
    if let Gpus::Unusable(why) = known {
        return Cuda::Unusable(why);
    }
    if std::env::var("CUDA_VISIBLE_DEVICES").is_ok_and(|v| v.trim().is_empty() || v.trim() == "-1") {
        return Cuda::Unusable("CUDA_VISIBLE_DEVICES hides every GPU".to_owned());
    }
    let Some(library) = candidates().into_iter().find(|p| p.exists()) else {
        return Cuda::Unusable(
            "libtorch's CUDA libraries are not installed; run `make cuda` in Frostline's folder".to_owned(),
        );
    };
    if let Err(e) = ffi::load_library(&library.to_string_lossy()) {
        return Cuda::Unusable(format!("loading {} failed: {e}", library.display()));
    }
    match ffi::cuda_device_count() {
        0 => Cuda::Unusable(match known {
            Gpus::Absent(why) => why,
            _ => "the driver shows CUDA no usable device (too old for CUDA 13.0, or no access)".to_owned(),
        }),
        n => Cuda::Ready(n),
    }
}

/// Where libtorch_cuda may lie: beside the libtorch_cpu in use, as loaded and as the link's target.
fn candidates() -> Vec<PathBuf> {
    let folder = ffi::libtorch_folder();
    let mut all = Vec::new();
    if let Ok(real) = folder.join("libtorch_cpu.so").canonicalize()
        && let Some(parent) = real.parent()
    {
        all.push(parent.join("libtorch_cuda.so"));
    }
    all.push(folder.join("libtorch_cuda.so"));
    all
}
