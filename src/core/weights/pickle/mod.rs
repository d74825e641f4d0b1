//! Python's pickle format as data: a stack machine that builds values and calls nothing.
//!
//! What PyTorch needs (tensors, storages, containers, numbers, texts) is understood; everything else that a pickle would import or
//! call becomes an inert [`Object`] that keeps its arguments and its state. All values live in one arena and refer to each other by
//! number, so shared values cost nothing, cycles do no harm and nothing is recursive. What is kept is taken from the [`Budget`] first.
//!
//! The opcodes are those of CPython's `Lib/pickletools.py`, protocols 0 to 5; the persistent ids are `torch/serialization.py`'s.
//!
//! [`Budget`]: super::source::Budget

mod calls;
mod heap;
mod input;
mod known;
mod machine;

pub(super) use heap::{Heap, Id, StorageRef, TensorRef, Value};
pub(super) use input::Input;
pub(super) use known::Element;
pub(super) use machine::{Loaded, load};

#[cfg(test)]
mod tests;
