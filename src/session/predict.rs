//! Raw outputs and classes for images or a tensor file, in eval mode.

use std::path::PathBuf;

use crate::core::recipe::OnBadImage;
use crate::core::run::RunHome;
use crate::core::tensor::HostTensor;
use crate::engine::archive;
use crate::engine::data::{self, Inputs, skipped_words};
use crate::engine::train::{self, TrainError};
use crate::engine::{Engine, InputSpec, Learner};

use super::Source;
use super::evaluate::{changeable, open};

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
    /// What the user should know, in words.
    pub warnings: Vec<String>,
    /// Damaged images that were left out, each as `path: why`.
    pub skipped: Vec<String>,
}

/// A model that needs no data set any more.
struct Oracle {
    learner: Box<dyn Learner>,
    batch_size: usize,
    preprocessing: serde_json::Value,
    class_names: Vec<String>,
    warnings: Vec<String>,
    on_bad_image: OnBadImage,
}

impl Oracle {
    /// From a checkpoint all that is needed is in it, so that its training data may be gone; a recipe has its data.
    fn open(engine: &dyn Engine, home: &RunHome, source: &Source, sets: &[String]) -> Result<Self, TrainError> {
        if let Source::Checkpoint(checkpoint) = source {
            changeable(sets)?;
            let loaded = checkpoint.load()?;
            let data = loaded.state.data;
            if data.outputs > 0 {
                let recipe = loaded.state.recipe;
                let recipe = if sets.is_empty() { recipe } else { recipe.with_sets(sets)? };
                archive::unchanged(&recipe, &loaded.state.extra)?;
                let input = InputSpec { sample_shape: data.sample_shape, outputs: data.outputs };
                let mut learner = engine.learner(&recipe, &input, &train::one_device(engine, &recipe)?)?;
                train::restore(&mut *learner, &loaded.weights)?;
                return Ok(Self {
                    learner,
                    batch_size: recipe.train.plain_batch_size(),
                    preprocessing: data.preprocessing,
                    class_names: data.class_names,
                    warnings: Vec::new(),
                    on_bad_image: recipe.data.on_bad_image,
                });
            }
        }
        let (built, _) = open(engine, home, source, sets)?;
        let info = built.data.info();
        Ok(Self {
            batch_size: built.recipe.train.plain_batch_size(),
            preprocessing: info.preprocessing.clone(),
            class_names: info.class_names.clone(),
            warnings: built.notes,
            on_bad_image: built.recipe.data.on_bad_image,
            learner: built.learner,
        })
    }
}

/// Predicts for files, with the preprocessing and the class names that the checkpoint keeps.
///
/// # Errors
/// Input that cannot be used; the first file that cannot be read is named. Damaged images of a folder are no error unless
/// `data.on_bad_image` says so.
pub fn predict(
    engine: &dyn Engine,
    home: &RunHome,
    source: &Source,
    files: &[PathBuf],
    sets: &[String],
) -> Result<Predictions, TrainError> {
    train::guarded(|| {
        let mut oracle = Oracle::open(engine, home, source, sets)?;
        let Inputs { x, shape, names, skipped } = data::load_inputs(files, &oracle.preprocessing, oracle.on_bad_image)?;
        let outputs = in_batches(&mut oracle, &x, &shape)?;
        let width = outputs.shape.get(1).copied().unwrap_or(1).max(1);
        let values = outputs.to_f32().unwrap_or_default();
        let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
        let regression = oracle.class_names.is_empty();
        let classes = if regression { Vec::new() } else { values.chunks_exact(width).map(best).collect() };
        let Oracle { class_names, mut warnings, .. } = oracle;
        warnings.extend(skipped_words(&skipped));
        Ok(Predictions { names, outputs, classes, class_names, skipped, warnings })
    })
}

/// Forward passes of the recipe's batch size.
fn in_batches(oracle: &mut Oracle, x: &[f32], shape: &[usize]) -> Result<HostTensor, TrainError> {
    let rows = shape.first().copied().unwrap_or(0);
    let row: usize = shape.iter().skip(1).product();
    let size = oracle.batch_size.max(1);
    let mut all: Option<HostTensor> = None;
    for start in (0..rows).step_by(size) {
        let n = size.min(rows - start);
        let mut batch_shape = shape.to_vec();
        batch_shape[0] = n;
        let out = oracle.learner.predict(&x[start * row..(start + n) * row], &batch_shape)?;
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
