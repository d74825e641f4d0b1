//! The layers of a recipe's model, without weights and without a run: what a screen shows before the start.

use crate::core::recipe::Recipe;
use crate::core::tree::Tree;
use crate::engine::Engine;
use crate::engine::train::{self, TrainError};

/// Opens the data (its shape decides the model's) and builds the model.
///
/// # Errors
/// Whatever is wrong with data, model or device.
pub fn layers(engine: &dyn Engine, recipe: &Recipe) -> Result<Tree, TrainError> {
    train::guarded(|| Ok(train::model(engine, recipe)?.learner.tree().clone()))
}
