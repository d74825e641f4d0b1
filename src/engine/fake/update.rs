//! The fake engine's optimizers, with PyTorch's formulae and slot names.

use std::collections::BTreeMap;

use super::net::Param;
use crate::core::groups::Group;
use crate::core::recipe::{OptimizerKind, OptimizerSpec};
use crate::core::tensor::HostTensor;
use crate::engine::EngineError;

/// One parameter's optimizer state by slot name.
pub type Slots = BTreeMap<&'static str, Vec<f32>>;

const NAMES: [&str; 4] = ["exp_avg", "exp_avg_sq", "momentum_buffer", "step"];

/// Applies one update. Source: the algorithm boxes of torch.optim.SGD, Adam and AdamW.
pub fn apply(spec: &OptimizerSpec, group: Group, lr_scale: f64, p: &mut Param, slots: &mut Slots) {
    let lr = (group.lr * lr_scale) as f32;
    let decay = group.weight_decay as f32;
    match spec.kind {
        OptimizerKind::Sgd => {
            let momentum = spec.momentum as f32;
            let first = !slots.contains_key("momentum_buffer");
            let buffer = slots.entry("momentum_buffer").or_insert_with(|| vec![0.0; p.value.len()]);
            let keep = if first { 1.0 } else { 1.0 - spec.dampening as f32 };
            for ((v, g), b) in p.value.iter_mut().zip(&p.grad).zip(buffer) {
                let g = g + decay * *v;
                *b = momentum * *b + keep * g;
                *v -= lr * if spec.nesterov { g + momentum * *b } else { *b };
            }
        }
        OptimizerKind::Adam | OptimizerKind::Adamw => {
            let decoupled = spec.kind == OptimizerKind::Adamw;
            let (b1, b2) = (spec.betas.0 as f32, spec.betas.1 as f32);
            let zeros = || vec![0.0; p.value.len()];
            let mut first = slots.remove("exp_avg").unwrap_or_else(zeros);
            let mut second = slots.remove("exp_avg_sq").unwrap_or_else(zeros);
            let step = slots.get("step").and_then(|s| s.first().copied()).unwrap_or(0.0) + 1.0;
            let (c1, c2) = (1.0 - b1.powf(step), 1.0 - b2.powf(step));
            for (((v, g), m), s) in p.value.iter_mut().zip(&p.grad).zip(&mut first).zip(&mut second) {
                let mut g = *g;
                if decoupled {
                    *v -= lr * decay * *v;
                } else {
                    g += decay * *v;
                }
                *m += (1.0 - b1) * (g - *m);
                *s = b2 * *s + (1.0 - b2) * g * g;
                *v -= lr / c1 * *m / ((*s / c2).sqrt() + spec.eps as f32);
            }
            slots.insert("exp_avg", first);
            slots.insert("exp_avg_sq", second);
            slots.insert("step", vec![step]);
        }
    }
}

/// The state as tensors named `<parameter>/<slot>`.
pub fn tensors(name: &str, shape: &[usize], slots: &Slots) -> Vec<HostTensor> {
    let of = |(slot, values): (&&str, &Vec<f32>)| {
        let shape = if *slot == "step" { &[][..] } else { shape };
        HostTensor::from_f32(format!("{name}/{slot}"), shape, values)
    };
    slots.iter().map(of).collect()
}

/// Splits `<parameter>/<slot>` and checks the slot's name.
pub fn parse(tensor: &HostTensor) -> Result<(&str, &'static str, Vec<f32>), EngineError> {
    let bad = || EngineError::Refused(format!("optimizer state `{}` is not known to this engine", tensor.name));
    let (param, slot) = tensor.name.rsplit_once('/').ok_or_else(bad)?;
    let slot = NAMES.into_iter().find(|n| *n == slot).ok_or_else(bad)?;
    Ok((param, slot, tensor.to_f32().ok_or_else(bad)?))
}
