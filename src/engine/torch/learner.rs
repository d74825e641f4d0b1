//! The learner: a model with its optimizer on one device.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::fitting;
use super::loss::Loss;
use super::mapped;
use super::memory::Cache;
use super::reports::Reports;
use super::scaler::{self, Scaler};
use super::team::{Team, Turn};
use super::tensors::{fill, from_f32, from_host, room_for, to_host};
use crate::core::freeze::{ParamState, Resolution};
use crate::core::recipe::{BatchNormMode, FrozenDropout, OnNan};
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;
use crate::core::weights::InFile;
use crate::engine::api::{Batch, EngineError, EvalSums, Learner, Snapshot, StepInput, StepReport};
use crate::engine::archive::{self, Fingerprint};
use crate::engine::ffi::flags::Flags;
use crate::engine::ffi::kept::Kept;
use crate::engine::ffi::memory;
use crate::engine::ffi::precision::{self, Cast};
use crate::engine::ffi::transfer::{Arrival, Layout};
use crate::engine::ffi::{self, Generator, TensorList};
use crate::engine::nn::{Cx, Node};
use crate::engine::optim::{Optimizer, Param};

pub(super) type Result<T> = std::result::Result<T, EngineError>;
type Extra = serde_json::Map<String, serde_json::Value>;

/// A parameter or buffer of the model.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) module: usize,
    pub(super) tensor: Tensor,
    pub(super) group: usize,
}

/// See the module.
pub struct TorchLearner {
    pub(super) root: Node,
    pub(super) tree: Tree,
    pub(super) params: Vec<Entry>,
    pub(super) buffers: Vec<Entry>,
    /// All names of `state_dict()`, in its order.
    pub(super) state_names: Vec<String>,
    /// All parameters.
    pub(super) all: TensorList,
    /// Those that the optimizer changes.
    pub(super) learning: TensorList,
    pub(super) learning_names: Arc<[String]>,
    pub(super) optimizer: Optimizer,
    pub(super) loss: Loss,
    pub(super) device: Device,
    pub(super) device_name: String,
    pub(super) generator: Generator,
    pub(super) eval: Vec<bool>,
    pub(super) no_grad: Vec<bool>,
    pub(super) batch_norm: BatchNormMode,
    pub(super) frozen_dropout: FrozenDropout,
    pub(super) cast: Option<Cast>,
    /// With float16 alone.
    pub(super) scaler: Option<Scaler>,
    /// Images are laid out as NHWC.
    pub(super) channels_last: bool,
    /// Threads of one operator, which the bits depend on, and the thread that they were last set for: libtorch keeps
    /// them by thread.
    pub(super) threads: usize,
    /// The recipe leaves the number open.
    pub(super) choose_threads: bool,
    pub(super) set_for: Option<std::thread::ThreadId>,
    /// What the process's flags are to be while it computes.
    pub(super) flags: Flags,
    pub(super) norm: Tensor,
    pub(super) found_inf: Tensor,
    /// Buffers that move in train mode, and their values before the step: a step that is not applied leaves no trace.
    pub(super) moving: TensorList,
    pub(super) kept: Kept,
    /// The lists are to be made anew in the next step.
    pub(super) stale: bool,
    pub(super) reports: Reports,
    pub(super) warnings: Vec<String>,
    /// Bytes that the last probe held.
    pub(super) peak: Option<u64>,
    /// Modules of a script that cannot run by themselves ([`fitting::can_split`]).
    pub(super) taken: Vec<(usize, usize)>,
    /// The archive of a TorchScript model.
    pub(super) archive: Option<Fingerprint>,
    /// The ranks that it learns with, if there are others.
    pub(super) team: Option<Team>,
    /// Parameters that gradients are expected for.
    pub(super) meant: Vec<bool>,
    /// The last, so that the tensors above have gone before it.
    pub(super) cache: Cache,
}

impl TorchLearner {
    /// After a change: notes which buffers the forward moves.
    fn watch_buffers(&mut self) -> Result<()> {
        let moving: Vec<&Tensor> = self
            .buffers
            .iter()
            .filter(|e| !self.eval.get(e.module).copied().unwrap_or(false))
            .map(|e| &e.tensor)
            .collect();
        let moving = TensorList::new(moving);
        self.kept = Kept::new(&moving)?;
        self.moving = moving;
        Ok(())
    }

    /// After the first backward since a change: what gradients reached gets state and learns; the rest is left alone and
    /// gets none, as with PyTorch's optimizers.
    fn activate(&mut self) -> Result<()> {
        let reached = ffi::has_grad(&self.all)?;
        let learning: Vec<&Entry> =
            self.params.iter().zip(reached).filter(|(_, has)| *has).map(|(entry, _)| entry).collect();
        if learning.is_empty() {
            return Err(nothing_reached());
        }
        self.learning = TensorList::new(learning.iter().map(|e| &e.tensor));
        self.learning_names = learning.iter().map(|e| e.name.clone()).collect();
        let params: Vec<Param> = learning
            .iter()
            .map(|e| Param { name: e.name.clone(), tensor: e.tensor.shallow_clone(), group: e.group })
            .collect();
        self.optimizer.activate(&params)?;
        self.settle_team()?;
        self.stale = false;
        Ok(())
    }

    pub(super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let cx = Cx {
            train,
            eval: &self.eval,
            no_grad: &self.no_grad,
            generator: &self.generator,
            recording: Cell::new(train),
            trace: None,
        };
        Ok(precision::with_autocast(&self.device_name, self.cast, || self.root.forward(x, &cx))??)
    }

    fn backward(&self, batch: &Batch, parts: usize, turn: Option<Turn<'_>>) -> Result<Tensor> {
        let (x, y) = self.upload(batch)?;
        let output = self.forward(&x, true)?;
        let target = self.loss.targets(y, &batch.y, &output.size())?;
        let mut loss = self.loss.mean(&output, &target)?;
        if !loss.requires_grad() {
            return Err(nothing_reached());
        }
        let last = turn.as_ref().is_some_and(|t| t.last);
        if let Some(turn) = turn {
            loss = self.share_of(&output, &target, loss, batch, turn)?;
        }
        let share = if parts == 1 { loss.shallow_clone() } else { loss.f_div_scalar(parts as i64)? };
        let start = match &self.scaler {
            None => share,
            Some(scaler) => scaler.scaled(&share)?,
        };
        match self.team.as_ref().filter(|_| last) {
            Some(team) => team.backward(&start)?,
            None => start.f_backward()?,
        }
        Ok(loss.f_detach()?)
    }

    /// Samples on the device, laid out as the model wants them.
    fn input(&self, x: &[f32], shape: &[usize]) -> Result<Tensor> {
        from_f32(x, shape, self.device, if self.channels_last { Layout::Nhwc } else { Layout::Plain })
    }

    /// Samples and targets on the device. Before the forward, since a copy begins when all that was queued before is done.
    pub(super) fn upload(&self, batch: &Batch) -> Result<(Tensor, Tensor)> {
        Ok((self.input(&batch.x, &batch.x_shape)?, self.loss.upload(&batch.y)?))
    }

    /// A step, or what can be done of it; the buffers' values before it are kept.
    fn attempt(&mut self, input: &StepInput<'_>) -> Result<()> {
        self.generator.seed(mix(self.own_seed(input.seed), input.step))?;
        let careful = input.on_nan != OnNan::Ignore;
        let mut shares = self.shares(input.micro)?;
        let mut total: Option<Tensor> = None;
        for (micro, batch) in input.micro.iter().enumerate() {
            let last = micro + 1 == input.micro.len();
            let turn = shares.as_mut().map(|shares| Turn { shares, micro, last });
            let loss = self.backward(batch, input.micro.len(), turn)?;
            total = Some(match total {
                None => loss,
                Some(sum) => sum.f_add(&loss)?,
            });
        }
        let Some(mut loss) = total else {
            return Err(EngineError::Failed("a step without a batch".to_owned()));
        };
        if input.micro.len() > 1 {
            loss = loss.f_div_scalar(input.micro.len() as i64)?;
        }
        if self.stale {
            self.activate()?;
        }
        if let Some(team) = &self.team {
            loss = team.agree(&loss, &self.moving)?;
        }
        let sticky = input.on_nan == OnNan::Stop;
        let clip = input.clip_grad_norm.unwrap_or(0.0);
        let mut check = careful.then_some(&self.found_inf);
        let before = match &self.scaler {
            Some(scaler) => {
                scaler.unscale(&self.learning)?;
                Some(self.found_inf.f_detach_copy()?)
            }
            None => None,
        };
        let keep = sticky && before.is_none();
        let norms = ffi::check_and_clip(&self.learning, &loss, clip, keep, &self.norm, &self.found_inf)?;
        if let Some(scaler) = &self.scaler {
            check = Some(scaler.judge(&loss, before.as_ref().filter(|_| sticky), careful, &self.found_inf)?);
        }
        if careful {
            self.kept.restore(Some(&self.found_inf))?;
        }
        let found = if careful { self.found_inf.shallow_clone() } else { self.found_inf.f_zeros_like()? };
        let mut values = vec![loss.f_to_kind(Kind::Float)?, self.norm.shallow_clone(), found];
        values.extend(self.scaler.iter().flat_map(Scaler::numbers));
        let numbers = Arrival::start(&values, &norms)?;
        let next = self.scaler.as_ref().map(|s| s.next(careful.then_some(&self.found_inf))).transpose()?;
        // Takes no memory, and comes last: a step that fails has changed nothing but buffers.
        self.optimizer.step(input.lr_scale, check)?;
        if let Some((scaler, next)) = self.scaler.as_mut().zip(next) {
            scaler.go_on(next);
        }
        self.reports.push(input.step, numbers, self.learning_names.clone());
        Ok(())
    }

    /// Before anything is computed: the learner may have come to another thread, and others may have computed since.
    pub(super) fn enter(&mut self) -> Result<()> {
        self.flags.set()?;
        let here = std::thread::current().id();
        if self.set_for != Some(here) {
            ffi::set_threads(self.threads)?;
            self.set_for = Some(here);
        }
        Ok(())
    }

    /// After a failure: what it left in memory.
    fn release(&self) -> Result<()> {
        ffi::zero_grad(&self.all)?;
        Ok(memory::empty_cache(&self.device_name)?)
    }

    /// The parameters that have a gradient.
    fn reached(&self) -> Result<TensorList> {
        let has = ffi::has_grad(&self.all)?;
        Ok(TensorList::new(self.params.iter().zip(has).filter(|(_, has)| *has).map(|(e, _)| &e.tensor)))
    }

    /// L2 norms of the gradients that are there.
    fn norms(&self) -> Result<Vec<Option<f64>>> {
        let has: Vec<bool> =
            self.params.iter().zip(ffi::has_grad(&self.all)?).map(|(e, has)| has && e.tensor.requires_grad()).collect();
        let there = self.params.iter().zip(&has).filter(|(_, has)| **has);
        let norms: Vec<Tensor> =
            there.map(|(e, _)| Ok(e.tensor.f_grad()?.f_norm()?.f_to_kind(Kind::Float)?)).collect::<Result<_>>()?;
        if norms.is_empty() {
            return Ok(vec![None; has.len()]);
        }
        // One wait for all.
        let norms: Vec<f32> = Vec::try_from(Tensor::f_stack(&norms, 0)?.f_to_device(Device::Cpu)?)?;
        let mut norms = norms.into_iter().map(f64::from);
        Ok(has.into_iter().map(|has| if has { norms.next() } else { None }).collect())
    }

    /// Parameters and buffers in the order of `state_dict()`.
    fn state_dict(&self) -> Vec<(&str, &Tensor)> {
        let by_name: HashMap<&str, &Tensor> =
            self.params.iter().chain(&self.buffers).map(|e| (e.name.as_str(), &e.tensor)).collect();
        self.state_names.iter().filter_map(|n| by_name.get(n.as_str()).map(|t| (n.as_str(), *t))).collect()
    }

    /// Puts values into a parameter or buffer, converted to its type and moved to its device.
    fn put(&self, name: &str, values: &Tensor) -> Result<()> {
        let Some(entry) = self.entry(name) else {
            return Err(EngineError::Refused(format!("the model has no tensor `{name}`")));
        };
        let (there, here) = (values.size(), entry.tensor.size());
        if there != here {
            return Err(EngineError::Refused(format!("tensor `{name}` is {there:?} but the model's is {here:?}")));
        }
        tch::no_grad(|| entry.tensor.shallow_clone().f_copy_(values))?;
        Ok(())
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.params.iter().chain(&self.buffers).find(|e| e.name == name)
    }
}

impl Learner for TorchLearner {
    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn apply_freeze(&mut self, plan: &Resolution) -> Result<()> {
        if plan.params.len() != self.params.len() {
            return Err(EngineError::Failed(format!(
                "the freeze plan has {} parameters, the model {}",
                plan.params.len(),
                self.params.len()
            )));
        }
        fitting::can_split(&self.tree, &self.taken, &plan.no_grad_modules)?;
        ffi::zero_grad(&self.all)?;
        for (entry, resolved) in self.params.iter().zip(&plan.params) {
            // A starved parameter is meant to learn: gradients may reach it again after the next change.
            let learns = matches!(resolved.state, ParamState::Trainable | ParamState::Starved);
            let _ = entry.tensor.f_set_requires_grad(learns)?;
        }
        self.meant.clear();
        self.meant.extend(plan.params.iter().map(|p| p.state == ParamState::Trainable));
        self.rest_team();
        self.no_grad.fill(false);
        for &module in &plan.no_grad_modules {
            if let Some(flag) = self.no_grad.get_mut(module) {
                *flag = true;
            }
        }
        let mut still = Vec::new();
        if self.batch_norm == BatchNormMode::EvalWhenFrozen {
            still.extend(plan.frozen_norms(&self.tree));
        }
        if self.frozen_dropout == FrozenDropout::Off {
            still.extend(plan.frozen_dropouts(&self.tree));
        }
        self.eval.fill(false);
        for module in still {
            if let Some(flag) = self.eval.get_mut(module) {
                *flag = true;
            }
        }
        self.stale = true;
        Ok(())
    }

    fn step(&mut self, input: &StepInput<'_>) -> Result<()> {
        self.enter()?;
        self.reports.make_room()?;
        if self.stale {
            ffi::zero_grad(&self.all)?;
            self.watch_buffers()?;
            self.average_in_team()?;
        } else {
            ffi::zero_grad(&self.learning)?;
        }
        self.kept.keep()?;
        let done = self.attempt(input);
        if done.is_err() {
            self.kept.restore(None)?;
            self.release()?;
        }
        done
    }

    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>> {
        self.reports.take(wait)
    }

    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>> {
        self.enter()?;
        ffi::zero_grad(&self.all)?;
        self.watch_buffers()?;
        self.kept.keep()?;
        self.generator.seed(0)?;
        let measured = || memory::measured(&self.device_name, || self.backward(batch, 1, None));
        let (mut done, mut peak) = measured()?;
        if self.flags.benchmark && done.is_ok() {
            // cuDNN has tried its algorithms, some with more scratch memory than those have that it will use.
            ffi::zero_grad(&self.all)?;
            self.generator.seed(0)?;
            (done, peak) = measured()?;
        }
        self.kept.restore(None)?;
        self.peak = Some(peak);
        let norms = match done {
            Ok(_) => {
                if let Some(scaler) = &self.scaler {
                    scaler.unscale(&self.reached()?)?;
                }
                self.norms()?
            }
            // The caller says what nothing reaches. Anything else that is refused is the user's to hear.
            Err(EngineError::Refused(words)) if words == NOTHING_REACHED => vec![None; self.params.len()],
            Err(e) => {
                self.release()?;
                return Err(e);
            }
        };
        ffi::zero_grad(&self.all)?;
        Ok(norms)
    }

    fn gradient_norms(&mut self) -> Result<Vec<Option<f64>>> {
        if self.stale {
            return Ok(Vec::new());
        }
        self.enter()?;
        self.norms()
    }

    fn probe_peak(&self) -> Option<u64> {
        self.peak
    }

    fn make_room(&mut self) -> Result<()> {
        self.release()
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums> {
        self.enter()?;
        let (x, y) = self.upload(batch)?;
        tch::no_grad(|| {
            let output = self.forward(&x, false)?.f_to_kind(Kind::Float)?;
            let target = self.loss.targets(y, &batch.y, &output.size())?;
            self.loss.sums(&output, &target, &batch.y)
        })
    }

    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor> {
        self.enter()?;
        let x = self.input(x, x_shape)?;
        tch::no_grad(|| {
            let output = self.forward(&x, false)?;
            to_host("output", &output.f_to_kind(Kind::Float)?)
        })
    }

    fn room(&self) -> Result<Snapshot> {
        let room = |(name, tensor): (&str, &Tensor)| room_for(name, tensor);
        let weights = self.state_dict().into_iter().map(room).collect::<Result<_>>()?;
        let optimizer = self.optimizer.state().iter().map(|(n, t)| room_for(n, t)).collect::<Result<_>>()?;
        Ok(Snapshot { weights, optimizer, extra: Extra::new() })
    }

    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<()> {
        fill(&mut into.weights, self.state_dict())?;
        let optimizer = self.optimizer.state();
        fill(&mut into.optimizer, optimizer.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
        let mut extra = Extra::new();
        extra.insert("libtorch".to_owned(), "2.11.0".into());
        extra.insert("device".to_owned(), self.device_name.clone().into());
        extra.insert("threads".to_owned(), self.threads.into());
        if let Some(team) = &self.team {
            extra.insert("ranks".to_owned(), team.size().into());
        }
        if let Some(scaler) = &self.scaler {
            extra.insert(scaler::KEY.to_owned(), scaler.kept()?);
        }
        if let Some(Ok(archive)) = self.archive.as_ref().map(serde_json::to_value) {
            extra.insert(archive::KEY.to_owned(), archive);
        }
        into.extra = extra;
        Ok(())
    }

    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<()> {
        weights.iter().try_for_each(|host| self.put(&host.name, &from_host(host, self.device)?))
    }

    fn restore_from_files(&mut self, weights: &InFile) -> Result<()> {
        mapped::for_each(weights, &mut |name, values| self.put(name, values))
    }

    fn restore_optimizer(&mut self, optimizer: &[HostTensor], extra: &Extra) -> Result<()> {
        let mut tensors = Vec::with_capacity(optimizer.len());
        for host in optimizer {
            tensors.push((host.name.clone(), from_host(host, self.device)?));
        }
        self.optimizer.load(tensors)?;
        if let Some(scaler) = &mut self.scaler {
            scaler.restore(extra.get(scaler::KEY))?;
        }
        // The bits of sums depend on it, so a run keeps its number of threads wherever it is resumed; not on another number
        // of ranks, where the sums are others anyway.
        let ranks = extra.get("ranks").and_then(serde_json::Value::as_u64).unwrap_or(1);
        if self.choose_threads
            && ranks == self.team.as_ref().map_or(1, |t| t.size() as u64)
            && let Some(threads) =
                extra.get("threads").and_then(serde_json::Value::as_u64).filter(|n| (1..=1024).contains(n))
        {
            self.threads = usize::try_from(threads).unwrap_or(1);
            self.set_for = None;
        }
        self.stale = true;
        Ok(())
    }
}

/// A generator seed from the run's seed and a step (SplitMix64's finaliser, Steele et al. 2014).
fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const NOTHING_REACHED: &str = "no gradient reaches any parameter: nothing would train";

fn nothing_reached() -> EngineError {
    EngineError::Refused(NOTHING_REACHED.to_owned())
}
