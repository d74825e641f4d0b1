//! What a pickle's values are to someone who looks for tensors: containers with named children, modules, tensors.

use crate::core::weights::pickle::{Heap, Id, Value};

/// Longest name of a child, in bytes.
pub const MAX_NAME: usize = 4 << 10;

/// A child's name.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Value(Id),
    Index(usize),
}

impl Key {
    /// As a part of a dotted name; `None` for keys that are no text and no number. Of a text longer than [`MAX_NAME`] only so much that it is
    /// still seen to be too long.
    pub fn name(self, heap: &Heap) -> Option<String> {
        match self {
            Self::Index(i) => Some(i.to_string()),
            Self::Value(id) => match heap.get(id) {
                Value::Int(n) => Some(n.to_string()),
                Value::Str(span) => {
                    let bytes = heap.bytes(span);
                    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME + 1)]).into_owned())
                }
                _ => None,
            },
        }
    }
}

/// The `__dict__` of an object: its state, or the first part of it where `__slots__` make a second.
pub fn attributes(heap: &Heap, id: Id) -> Option<Id> {
    let state = heap.object(id)?.state?;
    match heap.get(state) {
        Value::Dict(_) => Some(state),
        Value::Tuple(_) => heap.items(state).first().copied().filter(|s| matches!(heap.get(*s), Value::Dict(_))),
        _ => None,
    }
}

/// Children of a container: a dict's items, a list's, an object's attributes and items.
pub fn children(heap: &Heap, id: Id) -> impl Iterator<Item = (Key, Id)> {
    let own = heap.pairs(id);
    let state = attributes(heap, id).map_or(&[][..], |s| heap.pairs(s));
    let listed = heap.items(id).iter().enumerate().map(|(i, v)| (Key::Index(i), *v));
    own.iter().chain(state).map(|(k, v)| (Key::Value(*k), *v)).chain(listed)
}

/// The child of this name; of several the last, as in Python.
pub fn child(heap: &Heap, id: Id, name: &str) -> Option<Id> {
    children(heap, id).filter(|(key, _)| is_named(heap, *key, name)).last().map(|(_, value)| value)
}

fn is_named(heap: &Heap, key: Key, name: &str) -> bool {
    match key {
        Key::Value(id) => match heap.get(id) {
            Value::Str(span) => heap.bytes(span) == name.as_bytes(),
            Value::Int(n) => n.to_string() == name,
            _ => false,
        },
        Key::Index(i) => name.starts_with(|c: char| c.is_ascii_digit()) && i.to_string() == name,
    }
}

pub fn is_container(heap: &Heap, id: Id) -> bool {
    matches!(heap.get(id), Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Object(_))
}

/// Whether an object is a pickled `nn.Module`.
pub fn is_module(heap: &Heap, id: Id) -> bool {
    attributes(heap, id).is_some_and(|state| {
        heap.pairs(state).iter().any(|(key, _)| match heap.get(*key) {
            Value::Str(span) => matches!(heap.bytes(span), b"_parameters" | b"_modules"),
            _ => false,
        })
    })
}

/// The class of a TorchScript module, without `__torch__.`.
pub fn script_class(heap: &Heap, id: Id) -> Option<String> {
    let class = heap.global(heap.object(id)?.class)?;
    class.strip_prefix("__torch__.").map(str::to_owned)
}
