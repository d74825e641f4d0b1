//! Loss and metrics of a checkpoint or a recipe on validation data, in eval mode.

use serde::Serialize;

use crate::core::checkpoint::LoadedCheckpoint;
use crate::core::event::Metrics;
use crate::core::recipe::Recipe;
use crate::core::run::{CheckpointRef, RunHome};
use crate::engine::archive;
use crate::engine::data::skipped_words;
use crate::engine::train::{self, Built, TrainError};
use crate::engine::{Engine, EvalSums};

/// Where a model comes from.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "made once")]
pub enum Source {
    /// A checkpoint: its recipe and its weights.
    Checkpoint(CheckpointRef),
    /// A recipe: fresh or pretrained weights.
    Recipe(Recipe),
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Samples.
    pub samples: u64,
    /// `val/loss`, `val/top1`, `val/top5`.
    pub metrics: Metrics,
    /// By class; empty for regression.
    pub per_class: Vec<ClassResult>,
    /// What the user should know, in words.
    pub warnings: Vec<String>,
    /// Damaged images that were left out, each as `path: why`.
    pub skipped: Vec<String>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassResult {
    /// Its name.
    pub name: String,
    /// Samples of it.
    pub samples: u64,
    /// Those that were recognised at first guess.
    pub right: u64,
}

/// What of a checkpoint's recipe an evaluation takes part in: the rest says what model it is, or how it was trained.
const CHANGEABLE: &[&str] = &[
    "data",
    "loss",
    "train.batch_size",
    "train.channels_last",
    "train.cudnn_benchmark",
    "train.deterministic",
    "train.devices",
    "train.precision",
    "train.seed",
    "train.threads",
];

/// Refuses changes that would do nothing, or make another model of the checkpoint's.
pub(super) fn changeable(sets: &[String]) -> Result<(), TrainError> {
    let key = |set: &str| set.split_once('=').map_or(set, |(key, _)| key).trim().to_owned();
    let known = |key: &String| {
        CHANGEABLE.iter().any(|k| key.strip_prefix(k).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    match sets.iter().map(|s| key(s)).find(|key| !known(key)) {
        None => Ok(()),
        Some(key) => Err(TrainError::Refused(format!(
            "--set {key}: a checkpoint is evaluated as it was trained; what can be changed is {}",
            CHANGEABLE.join(", ")
        ))),
    }
}

/// A model with the weights of its source, and the checkpoint if it is one.
pub(super) fn open(
    engine: &dyn Engine,
    home: &RunHome,
    source: &Source,
    sets: &[String],
) -> Result<(Built, Option<LoadedCheckpoint>), TrainError> {
    let with_sets = |recipe: &Recipe| if sets.is_empty() { Ok(recipe.clone()) } else { recipe.with_sets(sets) };
    match source {
        Source::Recipe(recipe) => {
            let mut built = train::weighted(engine, home, &with_sets(recipe)?)?;
            // It is used as it is, and no step will change that.
            built.notes.extend(built.untrained());
            Ok((built, None))
        }
        Source::Checkpoint(checkpoint) => {
            changeable(sets)?;
            let loaded = checkpoint.load()?;
            let mut recipe = with_sets(&loaded.state.recipe)?;
            // The model as it was trained, whatever the data of today has.
            recipe.model.num_classes = recipe.model.num_classes.or(Some(loaded.state.data.outputs).filter(|n| *n > 0));
            archive::unchanged(&recipe, &loaded.state.extra)?;
            let mut built = train::model(engine, &recipe)?;
            train::restore(&mut *built.learner, &loaded.weights)?;
            Ok((built, Some(loaded)))
        }
    }
}

/// Evaluates on the recipe's validation data; `sets` may choose other data (`data.path=…`).
///
/// # Errors
/// Input that cannot be used, and data without validation samples.
pub fn evaluate(
    engine: &dyn Engine,
    home: &RunHome,
    source: &Source,
    sets: &[String],
) -> Result<Evaluation, TrainError> {
    train::guarded(|| {
        let (mut built, loaded) = open(engine, home, source, sets)?;
        let mut warnings = std::mem::take(&mut built.notes);
        let info = built.data.info();
        if let Some(trained) = loaded.map(|l| l.state.data.class_names).filter(|n| !n.is_empty())
            && trained != info.class_names
        {
            return Err(TrainError::Refused(format!(
                "the checkpoint knows the classes {}, the data has {}; choose the same ones with data.classes",
                trained.join(", "),
                info.class_names.join(", ")
            )));
        }
        let names = info.class_names.clone();
        let mut sums = EvalSums::default();
        for batch in built.validation_pass()? {
            train::evaluate::add(&mut sums, &built.learner.evaluate(&batch?)?);
        }
        let (_, skipped) = built.data.skipped();
        if let (0, Some(first)) = (sums.samples, skipped.first()) {
            let count = skipped.len();
            return Err(TrainError::Refused(format!(
                "none of the {count} validation images can be decoded; the first is {first}"
            )));
        }
        warnings.extend(skipped_words(&skipped));
        if sums.samples == 0 {
            return Err(TrainError::Refused("there is no validation data; set data.val_fraction".to_owned()));
        }
        let per_class = sums.per_class.iter().zip(names);
        let per_class = per_class.map(|(&(samples, right), name)| ClassResult { name, samples, right }).collect();
        Ok(Evaluation { samples: sums.samples, metrics: train::evaluate::metrics(&sums), per_class, skipped, warnings })
    })
}
