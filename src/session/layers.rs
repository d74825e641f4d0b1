//! The layers of a recipe's model, without weights and without a run: what a screen shows before the start.
//!
//! They are the same on every device, and so the model is built on the CPU: a GPU may be full of the live run of this process, or
//! may not be there at all.

use crate::core::recipe::{Precision, Recipe};
use crate::core::tree::Tree;
use crate::engine::train::{self, TrainError};
use crate::engine::{Engine, InputSpec};

const CPU: &str = "cpu";

/// Opens the data (its shape decides the model's) and builds the model.
///
/// # Errors
/// Whatever is wrong with data or model.
pub fn layers(engine: &dyn Engine, recipe: &Recipe) -> Result<Tree, TrainError> {
    train::guarded(|| Ok(train::model(engine, &on_the_cpu(recipe))?.learner.tree().clone()))
}

/// The same for samples of a known shape, without data.
///
/// # Errors
/// Whatever is wrong with the model.
pub fn layers_for(engine: &dyn Engine, recipe: &Recipe, input: &InputSpec) -> Result<Tree, TrainError> {
    train::guarded(|| Ok(engine.learner(&on_the_cpu(recipe), input, CPU)?.tree().clone()))
}

fn on_the_cpu(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.train.devices = vec![CPU.to_owned()];
    // Not every precision is the CPU's.
    recipe.train.precision = Precision::Fp32;
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;

    const RECIPE: &str = "
        model = { arch = 'resnet8', width = 4 }
        data = { source = 'digits', classes = [0, 1] }
        train = { steps = 1, devices = ['cuda:0', 'cuda:1'], precision = 'tf32' }
    ";

    #[test]
    fn layers_are_shown_where_the_recipes_devices_are_not() {
        let recipe = Recipe::parse(RECIPE, "test.toml", std::path::Path::new("."), &[]).unwrap();
        let engine = FakeEngine::new(1);
        assert!(train::model(&engine, &recipe).is_err());
        let tree = layers(&engine, &recipe).unwrap();
        let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 2 };
        assert_eq!(layers_for(&engine, &recipe, &input).unwrap(), tree);
    }
}
