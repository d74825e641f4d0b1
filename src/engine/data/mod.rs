//! Samples: from files (or the embedded digits) to batches of `f32` in host memory.
//!
//! A source (`source/`, one file each) reads files; [`Dataset`] chooses classes, makes the split and fixes the [`Preprocessing`]; [`Loader`]
//! yields batches, on worker threads where samples are decoded or changed. Order and augmentation depend on
//! (seed, epoch, sample number) alone, so the number of workers, and the batch where a run resumes, change nothing.
//!
//! Imports `core` and the types of `engine::api`; never tch. Called by the trainer and by `session`.

mod classes;
mod dataset;
mod error;
mod inputs;
mod loader;
mod preprocess;
mod rng;
mod sample;
mod sampler;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod transform;

pub use dataset::{DataInfo, Dataset};
pub use error::{DataError, skipped_words};
pub use inputs::{Inputs, load_inputs};
pub use loader::Loader;
pub use preprocess::{InputKind, Preprocessing};
pub use sampler::EpochPlan;

use crate::core::recipe::DataSpec;

/// Opens the recipe's data. `channels` is what the model insists on (one-channel images are repeated for three);
/// `seed` makes the split.
///
/// # Errors
/// In words, where the data cannot be read or does not fit the recipe.
pub fn open(spec: &DataSpec, channels: Option<usize>, seed: u64) -> Result<Dataset, DataError> {
    Dataset::assemble(spec, channels, seed, source::read(spec)?)
}
