//! Raw outputs and classes for images or a tensor file, in eval mode.

use std::path::PathBuf;

use crate::core::run::RunHome;
use crate::core::tensor::HostTensor;
use crate::engine::Engine;
use crate::engine::data;
use crate::engine::train::{self, TrainError};

use super::Source;
use super::evaluate::open;

/// What a model says of inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Name of each input: its file, or its row in a tensor file.
    pub names: Vec<String>,
    /// `[N, outputs]`, float32, named `output`.
    pub outputs: HostTensor,
    /// The class of the largest output, by input; empty for regression.
    pub classes: Vec<usize>,
    /// Names of the classes, in the order of the outputs; empty for regression.
    pub class_names: Vec<String>,
}

/// Predicts for files, with the preprocessing and the class names that the checkpoint keeps.
///
/// # Errors
/// Input that cannot be used; the first file that cannot be read is named.
pub fn predict(
    engine: &dyn Engine,
    home: &RunHome,
    source: &Source,
    files: &[PathBuf],
    sets: &[String],
) -> Result<Predictions, TrainError> {
    train::guarded(|| {
        let (mut built, loaded) = open(engine, home, source, sets)?;
        let info = built.data.info();
        let (preprocessing, class_names) = match loaded {
            Some(l) if sets.is_empty() => (l.state.data.preprocessing, l.state.data.class_names),
            Some(l) => (info.preprocessing.clone(), l.state.data.class_names),
            None => (info.preprocessing.clone(), info.class_names.clone()),
        };
        let regression = info.regression;
        let (x, shape, names) = data::load_inputs(files, &preprocessing)?;
        let outputs = in_batches(&mut built, &x, &shape)?;
        let width = outputs.shape.get(1).copied().unwrap_or(1).max(1);
        let values = outputs.to_f32().unwrap_or_default();
        let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
        let classes = if regression { Vec::new() } else { values.chunks_exact(width).map(best).collect() };
        Ok(Predictions { names, outputs, classes, class_names })
    })
}

/// Forward passes of the recipe's batch size.
fn in_batches(built: &mut train::Built, x: &[f32], shape: &[usize]) -> Result<HostTensor, TrainError> {
    let rows = shape.first().copied().unwrap_or(0);
    let row: usize = shape.iter().skip(1).product();
    let size = built.recipe.train.batch_size.max(1);
    let mut all: Option<HostTensor> = None;
    for start in (0..rows).step_by(size) {
        let n = size.min(rows - start);
        let mut batch_shape = shape.to_vec();
        batch_shape[0] = n;
        let out = built.learner.predict(&x[start * row..(start + n) * row], &batch_shape)?;
        match &mut all {
            None => all = Some(HostTensor { name: "output".to_owned(), ..out }),
            Some(all) => {
                all.data.extend(out.data);
                all.shape[0] += n;
            }
        }
    }
    all.ok_or_else(|| TrainError::Refused("there is no input to predict for".to_owned()))
}
