//! Checkpoints: folders that are whole or do not exist, with a checksum of every byte.
//!
//! `state` is what `state.json` holds, `tensors` writes and reads the safetensors files, `store` writes, lists, loads,
//! removes, `history` lists it again and again, `replace` puts a folder in place of another, `verify` names damaged files, `diff` compares two, `policy` decides (and touches no
//! disk). Imports the rest of `core`. Called by the trainer, the command line and the screens.

mod delete;
pub mod diff;
mod error;
pub mod history;
pub mod policy;
mod replace;
mod state;
mod store;
mod tensors;
mod verify;

pub use error::CheckpointError;
pub use state::{DataState, FileSum, TrainState};
pub use store::{CheckpointInfo, CheckpointStore, LoadedCheckpoint, load_path, load_weights, load_weights_watched};
pub use verify::{Damage, prove_weights, verify_path};

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;

/// Parameters and buffers.
pub const WEIGHTS: &str = "weights.safetensors";
/// The optimizer's tensors.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Everything else, and the checksums.
pub const STATE: &str = "state.json";
