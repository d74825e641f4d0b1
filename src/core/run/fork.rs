//! The recipe that a fork begins with.

use crate::core::checkpoint::TrainState;
use crate::core::recipe::{FreezeSchedule, LoadSpec, Recipe};

/// The recipe of a run as it was in force at one of its checkpoints, for a new run that begins with the checkpoint's weights: `label` names it.
#[must_use]
pub fn forked(mut recipe: Recipe, state: &TrainState, label: &str) -> Recipe {
    recipe.freeze.rules.clone_from(&state.freeze_rules);
    // The plan in force is the outcome of the parent's schedule; its times would make no sense in another run.
    recipe.freeze.schedule = FreezeSchedule::default();
    recipe.optimizer.lr = state.base_lr;
    recipe.model.weights = Some(label.to_owned());
    recipe.model.load = LoadSpec::default();
    recipe
}
