//! The fake [`Learner`]: net, optimizer state, freeze states and the tests' quirks.

use std::collections::VecDeque;

use super::net::{Net, loss_and_grad};
use super::tree::{BLOCKS, HEAD};
use super::update::{self, Slots};
use super::{Quirks, tree};
use crate::core::freeze::{ParamState, Resolution};
use crate::core::groups::{Group, groups};
use crate::core::recipe::{BatchNormMode, OnNan, OptimizerState, Recipe};
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::Tree;
use crate::engine::{Batch, EngineError, EvalSums, InputSpec, Learner, Snapshot, StepInput, StepReport, Targets};

/// See [`super::FakeEngine`].
#[derive(Debug)]
pub struct FakeLearner {
    net: Net,
    tree: Tree,
    slots: Vec<Slots>,
    groups: Vec<Group>,
    recipe: Recipe,
    quirks: Quirks,
    reports: VecDeque<StepReport>,
    /// A bad step under `on_nan = "stop"`: nothing is applied any more.
    halted: bool,
    /// The gradients are those of a step under the plan in force.
    stepped: bool,
    /// Bytes that the last probe would have taken.
    peak: Option<u64>,
}

impl FakeLearner {
    /// A model for this input with fresh weights.
    pub fn new(seed: u64, quirks: Quirks, recipe: &Recipe, input: &InputSpec) -> Result<Self, EngineError> {
        let width = recipe.model.width.clamp(2, 64);
        let tree = tree::build(input, width);
        let net = Net::new(mix(seed, recipe.train.seed), input, width, recipe.model.dropout.unwrap_or(0.0));
        let slots = vec![Slots::new(); tree.parameters.len()];
        let groups = groups(&recipe.optimizer, &tree).map_err(|e| EngineError::Refused(e.to_string()))?;
        let reports = VecDeque::new();
        let recipe = recipe.clone();
        let (halted, stepped, peak) = (false, false, None);
        Ok(Self { net, tree, slots, groups, recipe, quirks, reports, halted, stepped, peak })
    }

    /// As an allocator would say it.
    fn room_for(&self, samples: usize) -> Result<(), EngineError> {
        match self.quirks.room {
            Some(most) if samples > most => {
                Err(EngineError::OutOfMemory(format!("there is room for {most} samples and not for {samples}").into()))
            }
            _ => Ok(()),
        }
    }

    fn weights(&mut self) -> Vec<HostTensor> {
        let mut all = Vec::new();
        let shapes: Vec<_> = self.tree.parameters.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        let mut params = self.net.params_mut().into_iter().map(|p| p.value.clone()).zip(shapes);
        let mut param = || params.next().map(|(v, (name, shape))| HostTensor::from_f32(name, &shape, &v));
        let mut blocks = Vec::new();
        for _ in 0..BLOCKS.len() {
            blocks.push([param(), param(), param()]);
        }
        let head = [param(), param()];
        for ((block, (_, norm)), tensors) in self.net.blocks.iter().zip(BLOCKS).zip(blocks) {
            all.extend(tensors.into_iter().flatten());
            let width = [self.net.width];
            all.push(HostTensor::from_f32(format!("{norm}.running_mean"), &width, &block.mean));
            all.push(HostTensor::from_f32(format!("{norm}.running_var"), &width, &block.var));
            all.push(HostTensor {
                name: format!("{norm}.num_batches_tracked"),
                dtype: DType::Int64,
                shape: Vec::new(),
                data: block.tracked.to_le_bytes().to_vec(),
            });
        }
        all.extend(head.into_iter().flatten());
        all
    }

    fn restore(&mut self, tensor: &HostTensor) -> Result<(), EngineError> {
        let refuse = |why: String| Err(EngineError::Refused(format!("weights: `{}` {why}", tensor.name)));
        let all = self.tree.parameters.iter().chain(&self.tree.buffers);
        let Some(info) = all.clone().find(|p| p.name == tensor.name) else {
            return refuse("is not in the model".to_owned());
        };
        if info.shape != tensor.shape || info.dtype != tensor.dtype {
            return refuse(format!("is {:?}, the model has {:?}", tensor.shape, info.shape));
        }
        let values = tensor.to_f32().unwrap_or_default();
        if let Some(index) = self.tree.parameters.iter().position(|p| p.name == tensor.name) {
            if let Some(p) = self.net.params_mut().into_iter().nth(index) {
                p.value = values;
            }
            return Ok(());
        }
        for (block, (_, norm)) in self.net.blocks.iter_mut().zip(BLOCKS) {
            match tensor.name.strip_prefix(norm).and_then(|rest| rest.strip_prefix('.')) {
                Some("running_mean") => block.mean = values.clone(),
                Some("running_var") => block.var = values.clone(),
                Some("num_batches_tracked") => {
                    block.tracked = tensor.data.as_slice().try_into().map(i64::from_le_bytes).unwrap_or_default();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Forward and backward over the micro batches; the mean loss.
    fn gradients(&mut self, input: &StepInput<'_>) -> f32 {
        for p in self.net.params_mut() {
            p.grad.fill(0.0);
        }
        let share = 1.0 / input.micro.len().max(1) as f32;
        let mut loss = 0.0;
        for (i, batch) in input.micro.iter().enumerate() {
            let seed = mix(mix(input.seed, input.step), i as u64);
            loss += self.net.train(batch, self.recipe.loss.kind, share, seed) * share;
        }
        if self.quirks.nan_at == Some(input.step) {
            self.net.head_weight.grad.fill(f32::NAN);
        }
        loss
    }

    fn norms(&mut self) -> Vec<Option<f64>> {
        let norm = |p: &super::net::Param| p.grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let reached = self.net.reached();
        let params = self.net.params_mut().into_iter().zip(reached);
        params.map(|(p, reached)| (reached && p.trainable).then(|| norm(p))).collect()
    }
}

impl Learner for FakeLearner {
    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn apply_freeze(&mut self, plan: &Resolution) -> Result<(), EngineError> {
        self.stepped = false;
        for (p, resolved) in self.net.params_mut().into_iter().zip(&plan.params) {
            p.trainable = resolved.state == ParamState::Trainable;
        }
        let closed: Vec<&str> = plan.no_grad_modules.iter().map(|m| self.tree.modules[*m].path.as_str()).collect();
        let no_grad = |path: &str| {
            closed
                .iter()
                .any(|c| c.is_empty() || path == *c || path.strip_prefix(c).is_some_and(|rest| rest.starts_with('.')))
        };
        for (block, (conv, norm)) in self.net.blocks.iter_mut().zip(BLOCKS) {
            block.no_grad = no_grad(conv) || no_grad(norm);
            block.norm_frozen = self.recipe.freeze.batch_norm == BatchNormMode::EvalWhenFrozen
                && !block.scale.trainable
                && !block.shift.trainable;
        }
        self.net.head_no_grad = no_grad(HEAD);
        Ok(())
    }

    fn step(&mut self, input: &StepInput<'_>) -> Result<(), EngineError> {
        std::thread::sleep(self.quirks.delay);
        if self.quirks.panic_at == Some(input.step) {
            std::panic::resume_unwind(Box::new(format!("the fake engine panics in step {}", input.step)));
        }
        if self.quirks.no_memory_at == Some(input.step) {
            return Err(EngineError::OutOfMemory("the fake engine has none left".to_owned().into()));
        }
        input.micro.iter().try_for_each(|batch| self.room_for(batch.len()))?;
        if self.recipe.freeze.optimizer_state == OptimizerState::Drop {
            let state = self.net.params_mut().into_iter().zip(&mut self.slots);
            state.filter(|(p, _)| !p.trainable).for_each(|(_, slots)| slots.clear());
        }
        let statistics: Vec<_> = self.net.blocks.iter().map(|b| (b.mean.clone(), b.var.clone(), b.tracked)).collect();
        let loss = self.gradients(input);
        self.stepped = true;
        let names: Vec<String> = self.tree.parameters.iter().map(|p| p.name.clone()).collect();
        let params = self.net.params_mut();
        let finite = |p: &&mut super::net::Param| p.grad.iter().all(|g| g.is_finite());
        let bad: Vec<String> = params.iter().zip(&names).filter(|(p, _)| !finite(p)).map(|(_, n)| n.clone()).collect();
        let norm = params.iter().flat_map(|p| &p.grad).map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let applied = !self.halted && (bad.is_empty() || input.on_nan == OnNan::Ignore);
        if applied {
            let clip = match input.clip_grad_norm {
                Some(max) => (max / (norm + 1e-6)).min(1.0) as f32,
                None => 1.0,
            };
            let state = self.slots.iter_mut().zip(&self.groups);
            for (p, (slots, group)) in params.into_iter().zip(state).filter(|(p, _)| p.trainable) {
                p.grad.iter_mut().for_each(|g| *g *= clip);
                update::apply(&self.recipe.optimizer, *group, input.lr_scale, p, slots);
            }
        } else {
            // A step that is not applied leaves no trace, batch statistics included.
            for (block, (mean, var, tracked)) in self.net.blocks.iter_mut().zip(statistics) {
                (block.mean, block.var, block.tracked) = (mean, var, tracked);
            }
        }
        self.halted |= !bad.is_empty() && input.on_nan == OnNan::Stop;
        self.reports.push_back(StepReport {
            step: input.step,
            loss: f64::from(loss),
            grad_norm: norm,
            applied,
            loss_scale: None,
            non_finite: if applied { Vec::new() } else { bad },
        });
        Ok(())
    }

    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>, EngineError> {
        let keep = if wait { 0 } else { self.quirks.lag };
        let ready = self.reports.len().saturating_sub(keep);
        Ok(self.reports.drain(..ready).collect())
    }

    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>, EngineError> {
        self.room_for(batch.len())?;
        self.peak = Some(4 * (batch.x.len() + batch.len() * self.net.width) as u64);
        let statistics: Vec<_> = self.net.blocks.iter().map(|b| (b.mean.clone(), b.var.clone(), b.tracked)).collect();
        self.gradients(&StepInput {
            step: u64::MAX,
            seed: 0,
            micro: std::slice::from_ref(batch),
            lr_scale: 0.0,
            clip_grad_norm: None,
            on_nan: OnNan::Ignore,
        });
        for (block, (mean, var, tracked)) in self.net.blocks.iter_mut().zip(statistics) {
            (block.mean, block.var, block.tracked) = (mean, var, tracked);
        }
        self.stepped = false;
        Ok(self.norms())
    }

    fn gradient_norms(&mut self) -> Result<Vec<Option<f64>>, EngineError> {
        if !self.stepped {
            return Ok(Vec::new());
        }
        Ok(self.norms())
    }

    fn probe_peak(&self) -> Option<u64> {
        self.peak
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums, EngineError> {
        let n = batch.len();
        let out = self.net.infer(&batch.x, n);
        let outputs = self.net.outputs;
        let (loss, _) = loss_and_grad(&out, &batch.y, n, outputs, self.recipe.loss.kind);
        let mut sums = EvalSums { samples: n as u64, loss: f64::from(loss) * n as f64, ..EvalSums::default() };
        if let Targets::Classes(classes) = &batch.y {
            sums.per_class = vec![(0, 0); outputs];
            let (mut top1, mut top5) = (0, 0);
            for (row, class) in out.chunks_exact(outputs).zip(classes) {
                let class = usize::try_from(*class).unwrap_or(0);
                let better = row.iter().filter(|v| **v > row[class]).count();
                top1 += u64::from(better == 0);
                top5 += u64::from(better < 5);
                sums.per_class[class].0 += 1;
                sums.per_class[class].1 += u64::from(better == 0);
            }
            sums.top1 = Some(top1);
            sums.top5 = (outputs > 5).then_some(top5);
        }
        Ok(sums)
    }

    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor, EngineError> {
        let n = x_shape.first().copied().unwrap_or(0);
        let out = self.net.infer(x, n);
        Ok(HostTensor::from_f32("output", &[n, self.net.outputs], &out))
    }

    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<(), EngineError> {
        let weights = self.weights();
        let optimizer = self
            .tree
            .parameters
            .iter()
            .zip(&self.slots)
            .flat_map(|(p, slots)| update::tensors(&p.name, &p.shape, slots))
            .collect();
        *into = Snapshot { weights, optimizer, extra: serde_json::Map::new() };
        Ok(())
    }

    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<(), EngineError> {
        weights.iter().try_for_each(|tensor| self.restore(tensor))
    }

    fn restore_optimizer(
        &mut self,
        optimizer: &[HostTensor],
        _extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), EngineError> {
        self.slots.iter_mut().for_each(Slots::clear);
        for tensor in optimizer {
            let (param, slot, values) = update::parse(tensor)?;
            let Some(index) = self.tree.parameters.iter().position(|p| p.name == param) else {
                return Err(EngineError::Refused(format!("optimizer state of `{param}`: no such parameter")));
            };
            self.slots[index].insert(slot, values);
        }
        Ok(())
    }
}

/// SplitMix64's finaliser over two numbers.
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
