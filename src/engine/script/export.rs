//! Models written as TorchScript, in eval mode: a script with other weights, or a model of the zoo from its layers'
//! sources.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use tch::{Device, Tensor};

use super::{cannot_load, check, read_facts, refused};
use crate::core::tensor::HostTensor;
use crate::engine::api::EngineError;
use crate::engine::ffi::script::{Attribute, Script, Source, write};
use crate::engine::nn::Node;
use crate::engine::torch::tensors::from_host;

type Weights = HashMap<String, Tensor>;

/// Tensors by name.
pub fn tensors(weights: &[HostTensor]) -> Result<Weights, EngineError> {
    weights.iter().map(|t| Ok((t.name.clone(), from_host(t, Device::Cpu)?))).collect()
}

/// Writes a script's archive with these weights in the place of its own; the code stays as it is.
pub fn resave(archive: &Path, weights: &Weights, to: &mut dyn Write) -> Result<(), EngineError> {
    let script = Script::load_to_save(archive).map_err(|e| cannot_load(archive, &e))?;
    let facts = read_facts(&script)?;
    check::trainable(&facts).map_err(|words| refused(archive, &words))?;
    let (mut used, mut missing) = (0, Vec::new());
    // By the place of its values: a tensor may have a second name, under which it is not listed.
    let mut placed: HashMap<usize, &Tensor> = HashMap::new();
    for (id, module) in facts.modules.iter().enumerate() {
        for name in module.parameters.iter().chain(&module.buffers) {
            let full = super::join(&facts.path(id), name);
            let mut target = script.tensor(id, name)?;
            let at = target.data_ptr() as usize;
            let values = match weights.get(&full) {
                Some(values) => {
                    used += 1;
                    placed.insert(at, values);
                    values
                }
                None if placed.contains_key(&at) => placed[&at],
                None => {
                    missing.push(full);
                    continue;
                }
            };
            if target.size() != values.size() {
                let words = format!("`{full}` is {:?} there, and {:?} in the weights", target.size(), values.size());
                return Err(refused(archive, &words));
            }
            if target.kind() == values.kind() {
                tch::no_grad(|| target.f_copy_(values))?;
            } else {
                tch::no_grad(|| target.f_set_data(values))?;
            }
        }
    }
    if let Some(name) = missing.first() {
        return Err(refused(archive, &format!("the weights lack its tensor `{name}`; export all of them")));
    }
    if used < weights.len() {
        let words = format!("it lacks {} of the weights' {} tensors", weights.len() - used, weights.len());
        return Err(refused(archive, &words));
    }
    Ok(script.save(false, to)?)
}

/// Writes a model of ours with these weights.
pub fn compile(root: &Node, weights: &Weights, to: &mut dyn Write) -> Result<(), EngineError> {
    let (mut modules, mut attributes) = (Vec::new(), Vec::new());
    let mut problem = None;
    root.walk(&mut |node, parent| {
        match node.op.script(node) {
            Some(body) => modules.push(Source {
                name: &node.name,
                kind: node.op.kind(),
                parent: parent.unwrap_or(0),
                forward: definition(&body),
            }),
            None => problem = Some(format!("{} `{}` cannot be written as TorchScript", node.op.kind(), node.path)),
        }
        for slot in &node.slots {
            let full = super::join(&node.path, &slot.name);
            match weights.get(&full).filter(|w| w.size() == slot.tensor.size()) {
                Some(tensor) => {
                    attributes.push(Attribute { owner: node.id, name: &slot.name, tensor, parameter: slot.parameter });
                }
                None => problem = Some(format!("the weights lack `{full}` of shape {:?}", slot.tensor.size())),
            }
        }
    });
    if let Some(words) = problem {
        return Err(EngineError::Refused(format!("{words}; nothing was written")));
    }
    Ok(write(&modules, &attributes, false, to)?)
}

fn definition(body: &str) -> String {
    let lines = body.lines().map(|line| format!("    {line}\n"));
    std::iter::once("def forward(self, x: Tensor) -> Tensor:\n".to_owned()).chain(lines).collect()
}
