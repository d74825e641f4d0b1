//! Whether a script fits a recipe and its data: what a script's code fixes cannot be built to measure.

use tch::Device;

use super::learner::Result;
use super::trace::{describe, forward};
use crate::core::recipe::{Head, Recipe};
use crate::core::tree::Tree;
use crate::engine::api::{EngineError, InputSpec};
use crate::engine::ffi::Generator;
use crate::engine::nn::Node;
use crate::engine::script;

/// The tree of a script for the recipe's data, or why it does not fit. Without a sample's shape the likely ones are
/// tried, and where none fits, shapes are left out.
pub fn script_tree(
    root: &Node,
    recipe: &Recipe,
    input: &InputSpec,
    device: Device,
    generator: &Generator,
) -> Result<Tree> {
    if recipe.model.load.head == Head::New {
        return Err(EngineError::Refused(
            "model.load.head = \"new\": a script does not say how its head is initialised; give the model a new head in \
             Python before torch.jit.script, or leave the key out"
                .to_owned(),
        ));
    }
    if input.sample_shape.is_empty() {
        let fits = script::guess(root).into_iter().find(|s| forward(root, 2, s, device, generator).is_ok());
        return describe(root, fits.as_deref(), device, generator);
    }
    let tree = describe(root, Some(&input.sample_shape), device, generator)?;
    // A second pass, since one sample does not show a number of samples that was baked in.
    let two = forward(root, 2, &input.sample_shape, device, generator);
    match two {
        Ok((shape, _)) if shape.first() == Some(&2) => outputs(&shape, recipe, input)?,
        Ok((shape, _)) => return Err(batch_size(&format!("it gives {shape:?}"))),
        Err(e) => return Err(batch_size(&e.to_string())),
    }
    Ok(tree)
}

fn batch_size(why: &str) -> EngineError {
    EngineError::Refused(format!(
        "model.arch: the script takes one sample and not two ({why}): its number of samples was baked in when it was \
         traced; use torch.jit.script, or trace it with a forward that does not depend on it"
    ))
}

fn outputs(shape: &[i64], recipe: &Recipe, input: &InputSpec) -> Result<()> {
    let gives: i64 = shape.iter().skip(1).product();
    let wanted = input.outputs as i64;
    if wanted == 0 || gives == wanted {
        return Ok(());
    }
    Err(EngineError::Refused(match recipe.model.num_classes {
        Some(n) => format!(
            "model.num_classes = {n}: the script gives {gives} outputs, and a script's head cannot be resized; set it to \
             {gives}, or give the model another head in Python before torch.jit.script"
        ),
        None => format!(
            "model.arch: the script gives {gives} outputs and the data needs {wanted}; a script's head cannot be resized: \
             give the model another one in Python before torch.jit.script, or set model.num_classes = {gives} to train \
             with all of them"
        ),
    }))
}
