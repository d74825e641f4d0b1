//! What gradients reach before anything is trained: one forward and backward on the first batch, which changes nothing.

use crate::core::freeze::Resolution;
use crate::core::recipe::Recipe;
use crate::core::run::RunHome;
use crate::core::tree::Tree;
use crate::engine::Engine;
use crate::engine::data::EpochPlan;
use crate::engine::train::{self, TrainError};

/// The layers of a recipe's model, what its plan says of them, and what gradients say.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The layers.
    pub tree: Tree,
    /// The plan, with parameters that no gradient reaches marked as starved.
    pub resolution: Resolution,
    /// L2 norm of each parameter's gradient, in the tree's order; `None` where none reaches it.
    pub gradients: Vec<Option<f64>>,
}

/// Builds everything as a start would and looks where gradients go. Leaves nothing behind.
///
/// # Errors
/// As [`super::Session::start`]; a plan under which nothing learns is refused.
pub fn reach(engine: &dyn Engine, home: &RunHome, recipe: &Recipe) -> Result<Reach, TrainError> {
    train::guarded(|| {
        let mut built = train::trainable(engine, home, recipe)?;
        let spec = &built.recipe.train;
        let plan = EpochPlan {
            seed: spec.seed,
            epoch: 0,
            batch_size: spec.plain_batch_size(),
            shuffle: spec.shuffle,
            drop_last: spec.drop_last,
            start_batch: 0,
        };
        let Some(batch) = built.data.train(plan).next() else {
            return Err(TrainError::Refused("there is no training data; see data.path and data.classes".to_owned()));
        };
        let gradients = built.learner.probe(&batch?)?;
        let unreached = gradients.iter().enumerate().filter(|(_, g)| g.is_none()).map(|(i, _)| i);
        let mut resolution = built.resolution;
        resolution.mark_starved(unreached, "no gradient reaches it");
        Ok(Reach { tree: built.learner.tree().clone(), resolution, gradients })
    })
}
