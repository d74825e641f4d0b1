//! `torch.save` before PyTorch 1.6: pickles one after the other (magic number, protocol, system, object, storage keys), then the storages,
//! each with its number of elements in front (`torch/serialization.py`, `_legacy_save`).

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use crate::core::weights::header::shown;
use crate::core::weights::pickle::{Heap, Id, Input, Loaded, Value, load};
use crate::core::weights::source::{Budget, Source};
use crate::core::weights::trouble::{Result, damaged, refused};

/// Marks a file of `torch.save`.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Version of the layout.
const PROTOCOL: i64 = 1001;

/// Storages by key, and the object's pickle.
pub type Stream = (Loaded, HashMap<Vec<u8>, Range<u64>>);

pub fn read(source: &Source, budget: &Budget) -> Result<Stream> {
    let mut input = Input::new(source.range(0..source.size()), source.size());
    let magic = load(&mut input, budget)?;
    if !is_magic(&magic) {
        return refused("is a pickle that torch.save did not write, so it has no tensors that can be read");
    }
    let protocol = load(&mut input, budget)?;
    match protocol.heap.get(protocol.root) {
        Value::Int(PROTOCOL) => {}
        _ => return refused("was written by a version of torch.save that is not known"),
    }
    let system = load(&mut input, budget)?;
    let big = system.heap.pairs(system.root).iter().any(|(key, value)| {
        system.heap.str(*key).as_deref() == Some("little_endian")
            && matches!(system.heap.get(*value), Value::Bool(false))
    });
    if big {
        return refused("was written on a big-endian machine, which is not read; load it in Python and save it anew");
    }
    let object = load(&mut input, budget)?;
    let keys = load(&mut input, budget)?;
    let ranges = ranges(source, &object.heap, &keys, input.position())?;
    Ok((object, ranges))
}

fn is_magic(magic: &Loaded) -> bool {
    match magic.heap.get(magic.root) {
        Value::Big(span) => magic.heap.bytes(span) == MAGIC.to_le_bytes(),
        _ => false,
    }
}

/// Where each storage lies. The file must end with the last one.
fn ranges(source: &Source, heap: &Heap, keys: &Loaded, start: u64) -> Result<HashMap<Vec<u8>, Range<u64>>> {
    let mut wanted: HashMap<&[u8], (u64, u64)> = HashMap::new();
    for storage in heap.storages() {
        heap.budget.take(160 + 2 * heap.bytes(storage.key).len() as u64)?;
        wanted.insert(heap.bytes(storage.key), (storage.element.size(), storage.whole));
    }
    let mut found = HashMap::new();
    let mut at = start;
    for key in keys.heap.items(keys.root) {
        let bytes = key_bytes(&keys.heap, *key);
        let name = shown(&String::from_utf8_lossy(bytes));
        let Some((size, whole)) = wanted.get(bytes) else {
            return damaged(format!("it holds a storage `{name}` that no tensor mentions"));
        };
        let mut count = [0; 8];
        if source.range(at..source.size()).read_exact(&mut count).is_err() {
            return damaged(format!("it ends before storage `{name}`"));
        }
        let count = u64::from_le_bytes(count);
        if count != *whole {
            return damaged(format!("storage `{name}` has {count} elements and claims {whole}"));
        }
        let from = at + 8;
        match count.checked_mul(*size).and_then(|bytes| from.checked_add(bytes)) {
            Some(end) if end <= source.size() => at = end,
            _ => return damaged(format!("it ends in the middle of storage `{name}`")),
        }
        if found.insert(bytes.to_vec(), from..at).is_some() {
            return damaged(format!("it lists storage `{name}` twice"));
        }
    }
    Ok(found)
}

fn key_bytes(heap: &Heap, key: Id) -> &[u8] {
    match heap.get(key) {
        Value::Str(span) | Value::Bytes(span) => heap.bytes(span),
        _ => &[],
    }
}
