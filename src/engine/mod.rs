//! Models, data, optimizer and the trainer. The libtorch part sits behind [`Engine`] and [`Learner`] and the cargo
//! feature `torch`; `data`, `telemetry` and `train` are plain Rust and always compiled.
//!
//! Imports `core` only; `tch` is named nowhere else.

mod api;
pub mod archive;
pub mod data;
#[cfg(feature = "torch")]
pub mod device;
pub mod fake;
#[cfg(feature = "torch")]
pub mod ffi;
#[cfg(feature = "torch")]
pub mod nn;
#[cfg(feature = "torch")]
pub mod optim;
#[cfg(feature = "torch")]
mod parallel;
#[cfg(feature = "torch")]
pub mod script;
pub mod seat;
pub mod telemetry;
#[cfg(feature = "torch")]
pub mod torch;
pub mod train;
#[cfg(feature = "torch")]
pub mod zoo;

pub use api::*;

/// The engine of this build: libtorch, or the words that it was left out.
pub fn default_engine() -> Result<std::sync::Arc<dyn Engine>, EngineError> {
    #[cfg(feature = "torch")]
    {
        Ok(std::sync::Arc::new(torch::TorchEngine))
    }
    #[cfg(not(feature = "torch"))]
    {
        Err(EngineError::Failed(
            "this frostline was built without libtorch; build it with the feature `torch` (on by default)".to_owned(),
        ))
    }
}
