//! Whether a script fits a recipe and its data: what a script's code fixes cannot be built to measure.

use tch::{Device, Kind};

use super::learner::Result;
use super::tensors::dtype;
use super::trace::{describe, forward, full_name};
use crate::core::recipe::{Head, ModelSpec, Recipe};
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
    let (ours, none) = (&recipe.model, ModelSpec::default());
    let set = [
        ("dropout", ours.dropout != none.dropout),
        ("stochastic_depth", ours.stochastic_depth != none.stochastic_depth),
        ("hidden", ours.hidden != none.hidden),
        ("width", ours.width != none.width),
    ];
    if let Some((key, _)) = set.into_iter().find(|(_, set)| *set) {
        return Err(EngineError::Refused(format!(
            "model.{key}: a script's layers are as its code makes them; leave the key out, and change the model in Python"
        )));
    }
    if input.sample_shape.is_empty() {
        let fits = script::guess(root).into_iter().find(|s| forward(root, 2, s, device, generator).is_ok());
        return describe(root, fits.as_deref(), device, generator);
    }
    let tree = describe(root, Some(&input.sample_shape), device, generator).map_err(|e| explained(root, e))?;
    // A second pass, since one sample does not show a number of samples that was baked in.
    let two = forward(root, 2, &input.sample_shape, device, generator);
    match two {
        Ok((shape, _)) if shape.first() == Some(&2) => outputs(&shape, recipe, input)?,
        Ok((shape, _)) => return Err(batch_size(&format!("it gives {shape:?}"))),
        Err(e) => return Err(batch_size(&e.to_string())),
    }
    Ok(tree)
}

/// The error of a script's first forward, with what is likely to be done about it.
fn explained(root: &Node, error: EngineError) -> EngineError {
    let mut other = None;
    root.walk(&mut |node, _| {
        let slot = node.slots.iter().find(|s| s.parameter && s.tensor.kind() != Kind::Float);
        other = other
            .take()
            .or_else(|| slot.and_then(|s| dtype(s.tensor.kind()).ok().map(|d| (full_name(node, &s.name), d))));
    });
    match (error, other) {
        (EngineError::Refused(words), Some((name, dtype))) => EngineError::Refused(format!(
            "{words}; its parameter `{name}` is {dtype} and the data is float32: call model.float() in Python before \
             saving (train.precision chooses what is computed in)"
        )),
        (EngineError::Refused(words), None) => EngineError::Refused(format!(
            "{words}; fit the data to what the script takes (data.image_size for images), or change the model in Python"
        )),
        (failed, _) => failed,
    }
}

/// Refuses a no_grad that would stop nothing: on a module that never runs by itself, because the code of another one takes
/// its parameters. `taken` has such modules, each with that other one.
pub fn can_split(tree: &Tree, taken: &[(usize, usize)], no_grad: &[usize]) -> Result<()> {
    for &whole in no_grad {
        let Some(&(module, user)) =
            taken.iter().find(|(m, user)| tree.is_within(*m, whole) && !tree.is_within(*user, whole))
        else {
            continue;
        };
        let path = |m: usize| tree.modules.get(m).map(|m| m.path.as_str()).unwrap_or_default();
        let (by, instead) = match path(user) {
            "" => ("the model".to_owned(), String::new()),
            above => (format!("`{above}`"), format!(", or no_grad on `{above}`")),
        };
        return Err(EngineError::Refused(format!(
            "no_grad `{}`: the script's code of {by} takes the parameters of `{}` and does not call it, so that gradients would go \
             past it; use `freeze {0}`{instead}",
            path(whole),
            path(module)
        )));
    }
    Ok(())
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
