//! A checkpoint's model as TorchScript.

use std::path::Path;

use crate::core::checkpoint::TrainState;
use crate::core::tensor::HostTensor;
use crate::core::weights::{WeightsError, write_safely};
use crate::engine::archive;
use crate::engine::train::{self, TrainError};
use crate::engine::{Engine, InputSpec};

/// Writes the model with these weights, as safely as a checkpoint. An existing file is replaced with `force` only.
///
/// # Errors
/// What the engine or the disk refuses; nothing of the file remains then.
pub fn export_script(
    engine: &dyn Engine,
    state: &TrainState,
    weights: &[HostTensor],
    to: &Path,
    force: bool,
) -> Result<(), TrainError> {
    archive::unchanged(&state.recipe, &state.extra)?;
    let input = InputSpec { sample_shape: state.data.sample_shape.clone(), outputs: state.data.outputs };
    let mut failed = None;
    let written = write_safely(to, force, |temp| {
        let made = train::guarded(|| Ok(engine.export_script(&state.recipe, &input, weights, temp)?));
        made.map_err(|error| {
            let problem = error.to_string();
            failed = Some(error);
            WeightsError::NotWeights { path: to.to_owned(), problem }
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}
