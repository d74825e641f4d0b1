//! What libtorch says when memory does not suffice, and what its allocators keep.

use crate::engine::api::EngineError;
use crate::engine::ffi::memory::empty_cache;

/// A learner's device, whose allocator keeps the memory of tensors that have gone. To the driver, and so to all that ask how
/// much is free, it is in use until it is given back: here, after the learner.
pub struct Cache(Option<String>);

impl Cache {
    pub fn of(device: &str) -> Self {
        Self(Some(device.to_owned()))
    }

    /// Nothing is given back.
    pub fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let Some(device) = self.0.take() else { return };
        #[cfg(test)]
        tests::GIVEN_BACK.with_borrow_mut(|all| all.push(device.clone()));
        // A device that has failed, or one that there is not.
        let _ = empty_cache(&device);
    }
}

/// libtorch's words as an error: a shortage of memory is told apart, and told without the place in the C++ code.
pub fn error(words: &str) -> EngineError {
    match shortage(words) {
        Some(what) => EngineError::OutOfMemory(what.into()),
        None => EngineError::Failed(format!("libtorch: {words}")),
    }
}

/// What c10's allocators, and those of the libraries below, say of a shortage.
fn shortage(words: &str) -> Option<String> {
    // c10/core/impl/alloc_cpu.cpp: "[enforce fail at …] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to
    // allocate N bytes. Error code 12 (Cannot allocate memory)".
    if let Some((_, what)) = words.split_once("DefaultCPUAllocator: can't allocate memory: ") {
        return Some(what.split(". Error code").next().unwrap_or(what).to_owned());
    }
    // c10/cuda/CUDACachingAllocator.cpp: "CUDA out of memory. Tried to allocate N GiB. GPU 0 has a total capacity of N GiB of
    // which N MiB is free. Including non-PyTorch memory, …".
    if let Some((_, what)) = words.split_once("CUDA out of memory. ") {
        let end = what.find(" is free.").map_or(what.len(), |i| i + " is free".len());
        return Some(what.get(..end).unwrap_or(what).to_owned());
    }
    // aten/src/ATen/native/cudnn/Conv_v8.cpp: each algorithm whose scratch memory could not be had is passed over, and nothing
    // else is said of it.
    const NO_ENGINE: [&str; 2] = ["GET was unable to find an engine", "FIND was unable to find an engine"];
    if NO_ENGINE.iter().any(|s| words.contains(s)) {
        return Some(format!("cuDNN found no algorithm that runs, most often for want of memory: {words}"));
    }
    let others = [
        "CUDA out of memory",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        // NCCL.
        "Cuda failure 2 'out of memory'",
        "std::bad_alloc",
    ];
    others.iter().any(|s| words.contains(s)).then(|| words.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::engine::ffi::one_line;

    thread_local! {
        /// Devices whose memory was given back on this thread.
        pub static GIVEN_BACK: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn a_shortage_of_memory_is_told_apart_on_every_device() {
        let told = |words: &str| error(words).to_string();
        let cpu = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
                   allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)";
        assert_eq!(told(cpu), "out of memory: you tried to allocate 4000000000000 bytes");
        let cuda = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB \
                    is free. Including non-PyTorch memory, this process has 77.89 GiB memory in use.";
        let words = "out of memory: Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB is free";
        assert_eq!(told(cuda), words);
        assert!(matches!(error("CUDA error: out of memory"), EngineError::OutOfMemory(_)));
        let inside = "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED";
        assert!(matches!(error(inside), EngineError::OutOfMemory(_)));
        assert_eq!(
            told("mat1 and mat2 shapes cannot be multiplied"),
            "libtorch: mat1 and mat2 shapes cannot be multiplied"
        );
    }
    #[test]
    fn cudnn_that_finds_no_algorithm_is_short_of_memory_most_often() {
        for first in ["GET", "FIND"] {
            let words = format!("{first} was unable to find an engine to execute this computation");
            let told =
                format!("out of memory: cuDNN found no algorithm that runs, most often for want of memory: {words}");
            assert_eq!(error(&words).to_string(), told);
        }
    }

    #[test]
    fn a_shortage_inside_nccl_is_told_by_a_line_further_down() {
        let words = "NCCL error in: NCCLUtils.cpp:94, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version \
                     2.28.9\nncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 2 'out of memory'";
        let told = error(&one_line(words));
        assert!(matches!(told, EngineError::OutOfMemory(_)), "{told}");
        assert!(told.to_string().ends_with("NCCL version 2.28.9: Cuda failure 2 'out of memory'"), "{told}");
        let other = words.replace("2 'out of memory'", "700 'an illegal memory access was encountered'");
        assert!(matches!(error(&one_line(&other)), EngineError::Failed(_)));
        assert_eq!(one_line("what\nException raised from …"), "what");
    }
}
