//! What libtorch says when memory does not suffice.

use crate::engine::api::EngineError;

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
    let others = [
        "CUDA out of memory",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ];
    others.iter().any(|s| words.contains(s)).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            told("mat1 and mat2 shapes cannot be multiplied"),
            "libtorch: mat1 and mat2 shapes cannot be multiplied"
        );
    }
}
