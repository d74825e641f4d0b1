//! SGD, Adam and AdamW on PyTorch's fused kernels, with state by parameter name and PyTorch's slot names.
//!
//! Only parameters that learn have gradients and state. The state of one that is frozen later is kept, so that thawing
//! it goes on where it stopped.

mod slots;

use std::collections::BTreeMap;

use slots::{Slots, empty_like, step_counter};
use tch::Tensor;

use super::ffi::{self, AdamLists, AdamNumbers, SgdNumbers, ShimError, TensorList};
use super::nn::NnError;
use crate::core::groups::Group;
use crate::core::recipe::{OptimizerKind, OptimizerSpec, OptimizerState};

/// A parameter that the optimizer may change.
pub struct Param {
    /// Dotted name.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
    /// Index of its group in `Optimizer::groups`.
    pub group: usize,
}

/// The lists of one group, ready for the fused kernel.
struct Active {
    group: usize,
    params: TensorList,
    a: TensorList,
    b: TensorList,
    c: TensorList,
    steps: TensorList,
    /// SGD with dampening: these buffers have not seen a gradient yet.
    first_step: bool,
    names: Vec<String>,
}

/// The optimizer.
pub struct Optimizer {
    spec: OptimizerSpec,
    /// Whether the state of what stops learning is kept.
    keep: bool,
    groups: Vec<Group>,
    state: BTreeMap<String, Slots>,
    active: Vec<Active>,
    counters: TensorList,
}

impl Optimizer {
    /// An optimizer without state; [`Self::activate`] says what learns.
    pub fn new(spec: OptimizerSpec, groups: Vec<Group>, keep: OptimizerState) -> Self {
        Self {
            spec,
            keep: keep == OptimizerState::Keep,
            groups,
            state: BTreeMap::new(),
            active: Vec::new(),
            counters: TensorList::default(),
        }
    }

    /// Sets what learns from now on: makes state where there is none, keeps what there is unless it is to be dropped.
    pub fn activate(&mut self, params: &[Param]) -> Result<(), NnError> {
        // Counters that are shared must not run on for a parameter that is left out: each gets its own, then equal
        // ones are shared again, so that a step costs one addition and not one a parameter.
        let mut shared: BTreeMap<u64, Tensor> = BTreeMap::new();
        let learning: std::collections::BTreeSet<&str> = params.iter().map(|p| p.name.as_str()).collect();
        if !self.keep {
            self.state.retain(|name, _| learning.contains(name.as_str()));
        }
        for (_, slots) in self.state.iter_mut().filter(|(name, _)| !learning.contains(name.as_str())) {
            slots.own_step()?;
            // It costs no memory of the device until it learns again.
            slots.move_to(tch::Device::Cpu)?;
        }
        let adam = self.spec.kind != OptimizerKind::Sgd;
        for p in params {
            let slots = self.state.entry(p.name.clone()).or_default();
            if adam {
                if slots.exp_avg.is_none() {
                    slots.exp_avg = Some(empty_like(&p.tensor)?);
                    slots.exp_avg_sq = Some(empty_like(&p.tensor)?);
                }
                if self.spec.amsgrad && slots.max_exp_avg_sq.is_none() {
                    slots.max_exp_avg_sq = Some(empty_like(&p.tensor)?);
                }
                let steps = slots.step_value()?;
                let counter = match shared.get(&steps) {
                    Some(t) => t.shallow_clone(),
                    None => {
                        let t = step_counter(steps, p.tensor.device())?;
                        shared.insert(steps, t.shallow_clone());
                        t
                    }
                };
                slots.step = Some(counter);
            } else if self.spec.momentum != 0.0 && slots.momentum_buffer.is_none() {
                slots.momentum_buffer = Some(empty_like(&p.tensor)?);
                // With dampening 0 a zero buffer and a first step are the same thing.
                slots.fresh = self.spec.dampening != 0.0;
            }
            slots.move_to(p.tensor.device())?;
            slots.lay_out(&p.tensor)?;
        }
        self.counters = TensorList::new(shared.values());
        self.active = self.lists(params);
        Ok(())
    }

    /// By what one call of a fused kernel takes: on a GPU its tensors are of one type (`_group_tensors_by_device_and_dtype` in
    /// torch/optim/optimizer.py).
    fn lists(&self, params: &[Param]) -> Vec<Active> {
        let mut kinds = Vec::new();
        let mut by_group: BTreeMap<(usize, bool, Option<usize>), Vec<&Param>> = BTreeMap::new();
        for p in params {
            let fresh = self.state.get(&p.name).is_some_and(|s| s.fresh);
            let kind = p.tensor.kind();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
            by_group.entry((p.group, fresh, kinds.iter().position(|k| *k == kind))).or_default().push(p);
        }
        by_group
            .into_iter()
            .map(|((group, first_step, _), params)| {
                let slots = || params.iter().filter_map(|p| self.state.get(&p.name));
                let adam = self.spec.kind != OptimizerKind::Sgd;
                let list = |pick: fn(&Slots) -> Option<&Tensor>| TensorList::new(slots().filter_map(pick));
                Active {
                    group,
                    params: TensorList::new(params.iter().map(|p| &p.tensor)),
                    a: if adam { list(|s| s.exp_avg.as_ref()) } else { list(|s| s.momentum_buffer.as_ref()) },
                    b: list(|s| s.exp_avg_sq.as_ref()),
                    c: list(|s| s.max_exp_avg_sq.as_ref()),
                    steps: list(|s| s.step.as_ref()),
                    first_step,
                    names: params.iter().map(|p| p.name.clone()).collect(),
                }
            })
            .collect()
    }

    /// One update of everything active. Every active parameter has a gradient. Nothing changes where `found_inf` is 1.
    pub fn step(&mut self, lr_scale: f64, found_inf: Option<&Tensor>) -> Result<(), ShimError> {
        let s = &self.spec;
        let adam = s.kind != OptimizerKind::Sgd;
        if adam {
            ffi::advance_steps(&self.counters, found_inf)?;
        }
        for active in &self.active {
            let Some(group) = self.groups.get(active.group) else { continue };
            let lr = group.lr * lr_scale;
            if adam {
                let lists = AdamLists {
                    params: &active.params,
                    exp_avg: &active.a,
                    exp_avg_sq: &active.b,
                    max_exp_avg_sq: &active.c,
                    steps: &active.steps,
                };
                let numbers = AdamNumbers {
                    decoupled: s.kind == OptimizerKind::Adamw,
                    lr,
                    betas: s.betas,
                    weight_decay: group.weight_decay,
                    eps: s.eps,
                    amsgrad: s.amsgrad,
                };
                ffi::adam(&lists, numbers, found_inf)?;
            } else {
                let numbers = SgdNumbers {
                    lr,
                    weight_decay: group.weight_decay,
                    momentum: s.momentum,
                    dampening: s.dampening,
                    nesterov: s.nesterov,
                    first_step: active.first_step,
                };
                ffi::sgd(&active.params, &active.a, numbers, found_inf)?;
            }
        }
        if self.active.iter().any(|a| a.first_step) {
            self.end_first_step(found_inf)?;
        }
        Ok(())
    }

    /// After a first step with dampening; read once, so it may wait for the device.
    fn end_first_step(&mut self, found_inf: Option<&Tensor>) -> Result<(), ShimError> {
        let skipped = match found_inf {
            Some(t) => t.f_double_value(&[]).map_err(|e| ShimError(super::nn::first_line(&e)))? != 0.0,
            None => false,
        };
        if !skipped {
            for active in self.active.iter_mut().filter(|a| a.first_step) {
                active.first_step = false;
                for name in &active.names {
                    if let Some(slots) = self.state.get_mut(name) {
                        slots.fresh = false;
                    }
                }
            }
        }
        Ok(())
    }

    /// All state as `(<parameter>/<slot>, tensor)`, frozen parameters' included, by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut out = Vec::new();
        for (name, slots) in &self.state {
            for (slot, tensor) in slots.named() {
                out.push((format!("{name}/{slot}"), tensor.shallow_clone()));
            }
        }
        out
    }

    /// Replaces all state; [`Self::activate`] must follow. Slots of another kind of optimizer are refused in words.
    pub fn load(&mut self, tensors: Vec<(String, Tensor)>) -> Result<(), NnError> {
        let mut state: BTreeMap<String, Slots> = BTreeMap::new();
        for (name, tensor) in tensors {
            let Some((param, slot)) = name.rsplit_once('/') else {
                return Err(NnError(format!("optimizer state `{name}` is not named <parameter>/<slot>")));
            };
            state.entry(param.to_owned()).or_default().set(slot, tensor)?;
        }
        self.state = state;
        self.active.clear();
        Ok(())
    }

    /// Bytes of all state.
    pub fn bytes(&self) -> usize {
        self.state().iter().map(|(_, t)| t.numel() * t.kind().elt_size_in_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn one_call_of_a_kernel_takes_tensors_of_one_type() {
        let spec = OptimizerSpec { kind: OptimizerKind::Adamw, ..OptimizerSpec::default() };
        let group = Group { lr: 0.1, weight_decay: 0.0 };
        let mut optimizer = Optimizer::new(spec, vec![group], OptimizerState::Keep);
        let kinds = [Kind::Float, Kind::Half, Kind::Float];
        let params: Vec<Param> = kinds
            .iter()
            .enumerate()
            .map(|(i, &kind)| {
                let tensor = Tensor::zeros([3], (kind, Device::Cpu)).set_requires_grad(true);
                tensor.sum(Kind::Float).backward();
                Param { name: format!("p{i}"), tensor, group: 0 }
            })
            .collect();
        optimizer.activate(&params).unwrap();
        let mut names: Vec<_> = optimizer.active.iter().map(|active| active.names.join(" ")).collect();
        names.sort();
        assert_eq!(names, ["p0 p2", "p1"]);
        optimizer.step(1.0, None).unwrap();
        for p in &params {
            assert!((p.tensor.double_value(&[0]) + 0.1).abs() < 1e-3, "{} has moved", p.name);
            assert_eq!(optimizer.state[&p.name].step_value().unwrap(), 1, "{} has done one step", p.name);
        }
    }
}
