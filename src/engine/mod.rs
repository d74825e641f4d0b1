//! Models, data, optimizer and the trainer. The libtorch part sits behind [`Engine`] and [`Learner`] and the cargo
//! feature `torch`; `data` and `train` are plain Rust and always compiled.
//!
//! Imports `core` only; `tch` is named nowhere else.

mod api;
pub mod data;
pub mod fake;

pub use api::*;
