//! The order of a model's tensors where a file has another one.

use std::collections::HashMap;

use crate::core::tensor::{DType, HostTensor};

/// Each module's tensors together: files put integers (`num_batches_tracked`) before everything else.
pub fn by_module<T>(tensors: &mut [T], name: impl Fn(&T) -> &str) {
    sort(tensors, &name, |t| name(t).ends_with("num_batches_tracked"));
}

/// The order of `state_dict()` for tensors that a checkpoint's file has sorted by the size of their elements: a module's
/// parameters come before its buffers, and of these alone are not floating-point.
pub fn as_registered(tensors: &mut [HostTensor]) {
    let floats = [DType::Float64, DType::Float32, DType::Float16, DType::Bfloat16];
    sort(tensors, &|t: &HostTensor| t.name.as_str(), |t| !floats.contains(&t.dtype));
}

/// Modules in the order of their first tensors, those that are `late` left out; in a module the late ones come last.
fn sort<T>(tensors: &mut [T], name: &impl Fn(&T) -> &str, late: impl Fn(&T) -> bool) {
    let module = |t: &T| name(t).rsplit_once('.').map_or_else(String::new, |(module, _)| module.to_owned());
    let mut places = HashMap::new();
    for tensor in tensors.iter().filter(|t| !late(t)) {
        let next = places.len();
        places.entry(module(tensor)).or_insert(next);
    }
    tensors.sort_by_cached_key(|t| (places.get(&module(t)).copied().unwrap_or(usize::MAX), late(t)));
}
