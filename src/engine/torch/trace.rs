//! The layer tree of a model, with the output shapes and operations that one sample gave.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use super::tensors::dtype;
use crate::core::tree::{ModuleInfo, ParamInfo, Tree};
use crate::engine::api::EngineError;
use crate::engine::ffi::Generator;
use crate::engine::nn::{Cx, NnError, Node, Traced};

/// Describes a finished model. The forward of a sample of this shape, where one is known, runs in eval mode without
/// gradients and changes nothing.
pub fn describe(
    root: &Node,
    sample: Option<&[usize]>,
    device: Device,
    generator: &Generator,
) -> Result<Tree, EngineError> {
    let mut tree = Tree::default();
    let mut problem = None;
    root.walk(&mut |node, parent| {
        tree.modules.push(ModuleInfo {
            path: node.path.clone(),
            kind: node.op.kind().to_owned(),
            detail: node.op.detail(),
            parent,
            output_shape: None,
            flops: None,
        });
        for slot in &node.slots {
            let name = full_name(node, &slot.name);
            let shape = slot.tensor.size().into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
            match dtype(slot.tensor.kind()) {
                Ok(dtype) => {
                    let list = if slot.parameter { &mut tree.parameters } else { &mut tree.buffers };
                    list.push(ParamInfo { name, module: node.id, shape, dtype });
                }
                Err(e) => problem = Some(e),
            }
        }
    });
    if let Some(e) = problem {
        return Err(e);
    }
    let Some(sample) = sample else { return Ok(tree) };
    let (_, traced) = forward(root, 1, sample, device, generator)
        .map_err(|e| EngineError::Refused(format!("model.arch does not take a sample of shape {sample:?}: {e}")))?;
    let mut own = vec![0u64; tree.modules.len()];
    for t in traced {
        let Some(module) = tree.modules.get_mut(t.id) else { continue };
        let mut shape = t.output;
        if let Some(batch) = shape.first_mut() {
            *batch = -1;
        }
        module.output_shape = Some(shape);
        if let Some(sum) = own.get_mut(t.id) {
            *sum += t.flops;
        }
    }
    // Children come after their parents, so one pass from the end adds everything up.
    for i in (0..tree.modules.len()).rev() {
        let total = own.get(i).copied().unwrap_or(0);
        if let Some(module) = tree.modules.get_mut(i) {
            module.flops = Some(total);
            if let Some(sum) = module.parent.and_then(|p| own.get_mut(p)) {
                *sum += total;
            }
        }
    }
    Ok(tree)
}

/// `<path>.<name>`, or the name alone at the root.
pub fn full_name(node: &Node, slot: &str) -> String {
    if node.path.is_empty() { slot.to_owned() } else { format!("{}.{slot}", node.path) }
}

/// The output's shape for so many samples of zeros, and what went through the modules.
pub fn forward(
    root: &Node,
    samples: i64,
    sample: &[usize],
    device: Device,
    generator: &Generator,
) -> Result<(Vec<i64>, Vec<Traced>), NnError> {
    let size: Vec<i64> = std::iter::once(samples).chain(sample.iter().map(|&n| n as i64)).collect();
    let x = Tensor::f_zeros(size.as_slice(), (Kind::Float, device))?;
    let trace = RefCell::new(Vec::new());
    let cx = Cx {
        train: false,
        eval: &[],
        no_grad: &[],
        generator,
        recording: std::cell::Cell::new(false),
        trace: Some(&trace),
    };
    let y = tch::no_grad(|| root.forward(&x, &cx))?;
    Ok((y.size(), trace.into_inner()))
}
