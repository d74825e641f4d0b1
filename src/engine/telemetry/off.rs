//! Why CUDA is off, in words that say what to do.

use std::path::Path;

/// No GPU of NVIDIA's.
pub const NO_GPU: &str = "no NVIDIA GPU on this machine";

/// CUDA's major version that this libtorch is built with, and the first driver that speaks it.
/// Source: CUDA Toolkit release notes, "CUDA Toolkit and Corresponding Driver Versions".
const CUDA: i32 = 13;
const DRIVER: &str = "580";

/// Why the driver's library cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such library.
    NoLibrary,
    /// The kernel's part is not loaded.
    NotLoaded,
    /// The kernel's part is of another version.
    Mismatch,
    /// This user may not ask.
    NoPermission,
    /// Anything else, as the library says it.
    Other(String),
}

/// What can be seen of an NVIDIA GPU without the driver's library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traces {
    /// One is on the PCI bus.
    pub on_bus: bool,
    /// The kernel has the driver.
    pub in_kernel: bool,
}

impl Traces {
    /// Of this machine (Linux).
    pub fn here() -> Self {
        let on_bus = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten().any(|entry| {
            let of = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            // Class 03: a display controller; 10de: NVIDIA.
            of("vendor").trim() == "0x10de" && of("class").starts_with("0x03")
        });
        Self { on_bus, in_kernel: Path::new("/proc/driver/nvidia/version").exists() }
    }
}

/// Why there is no GPU to be seen.
pub fn words(trouble: &Trouble, traces: Traces) -> String {
    match trouble {
        Trouble::NoLibrary if traces.in_kernel => format!(
            "the NVIDIA driver runs on this machine, but its library libnvidia-ml.so.1 is missing here; in a container, start it \
             with the GPU (`--gpus all`), else install the driver's user part, {DRIVER} or newer"
        ),
        Trouble::NoLibrary | Trouble::NotLoaded if traces.on_bus && !traces.in_kernel => format!(
            "there is an NVIDIA GPU, but its driver is not {}; {}",
            if *trouble == Trouble::NoLibrary { "installed" } else { "loaded" },
            if *trouble == Trouble::NoLibrary {
                format!("install the NVIDIA driver, {DRIVER} or newer")
            } else {
                "try `modprobe nvidia`; dmesg says why it fails".to_owned()
            }
        ),
        Trouble::NoLibrary | Trouble::NotLoaded => NO_GPU.to_owned(),
        Trouble::Mismatch => {
            "the NVIDIA driver was updated while the old one is in use; restart the machine".to_owned()
        }
        Trouble::NoPermission => {
            "this user may not use the NVIDIA GPU; see who owns /dev/nvidia* (often the group video)".to_owned()
        }
        Trouble::Other(what) => format!("the NVIDIA driver does not answer: {what}; `nvidia-smi` says more"),
    }
}

/// A driver that is too old for this libtorch, by its version and that of the CUDA that it speaks (`12020` for 12.2).
pub fn too_old(driver: &str, cuda: i32) -> Option<String> {
    let (major, minor) = (cuda / 1000, cuda % 1000 / 10);
    (cuda > 0 && major < CUDA).then(|| {
        format!(
            "the NVIDIA driver {driver} speaks CUDA {major}.{minor}, and this libtorch needs {CUDA}.0: install driver {DRIVER} or newer"
        )
    })
}

/// Why there is no device of Apple's.
pub fn no_mps() -> &'static str {
    if cfg!(target_os = "macos") {
        "this build does not use Apple's GPUs"
    } else {
        "Apple's GPUs are found on macOS alone"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_which_cuda_is_off_has_its_words() {
        let (none, bus, kernel) =
            (Traces::default(), Traces { on_bus: true, in_kernel: false }, Traces { on_bus: true, in_kernel: true });
        assert_eq!(words(&Trouble::NoLibrary, none), NO_GPU);
        assert_eq!(words(&Trouble::NotLoaded, none), NO_GPU);
        assert!(words(&Trouble::NoLibrary, bus).contains("not installed; install the NVIDIA driver, 580"));
        assert!(words(&Trouble::NotLoaded, bus).contains("modprobe nvidia"));
        assert!(words(&Trouble::NoLibrary, kernel).contains("--gpus all"));
        assert!(words(&Trouble::Mismatch, kernel).contains("restart"));
        assert!(words(&Trouble::NoPermission, kernel).contains("may not use"));
        assert!(words(&Trouble::Other("unknown error".to_owned()), kernel).contains("unknown error"));
        for trouble in [Trouble::NoLibrary, Trouble::NotLoaded, Trouble::Mismatch] {
            for traces in [none, bus, kernel] {
                assert!(!words(&trouble, traces).contains('\n'));
            }
        }
    }

    #[test]
    fn a_driver_that_is_too_old_is_named_with_the_one_to_install() {
        let words = too_old("535.104.05", 12020).unwrap();
        assert_eq!(
            words,
            "the NVIDIA driver 535.104.05 speaks CUDA 12.2, and this libtorch needs 13.0: install driver 580 or newer"
        );
        assert_eq!(too_old("580.65.06", 13000), None);
        assert_eq!(too_old("590.10", 13010), None);
        assert_eq!(too_old("unknown", 0), None, "nobody knows: CUDA itself will say");
    }
}
