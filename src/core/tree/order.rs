//! The order of a model's tensors where a file has another one.

use std::collections::HashMap;

/// Each module's tensors together: files put integers (`num_batches_tracked`) before everything else.
pub fn by_module<T>(tensors: &mut [T], name: impl Fn(&T) -> &str) {
    let module = |t: &T| name(t).rsplit_once('.').map_or_else(String::new, |(module, _)| module.to_owned());
    let counter = |t: &T| name(t).ends_with("num_batches_tracked");
    let mut places = HashMap::new();
    for tensor in tensors.iter().filter(|t| !counter(t)) {
        let next = places.len();
        places.entry(module(tensor)).or_insert(next);
    }
    tensors.sort_by_cached_key(|t| (places.get(&module(t)).copied().unwrap_or(usize::MAX), counter(t)));
}
