//! Building a learner from a recipe: what does not fit is refused here, in words.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::fitting;
use super::learner::{Entry, Result, TorchLearner};
use super::loss::Loss;
use super::memory::Cache;
use super::reports::Reports;
use super::scaler::Scaler;
use super::trace::{describe, full_name};
use crate::core::groups::groups;
use crate::core::recipe::{Precision, Recipe};
use crate::engine::api::{EngineError, InputSpec};
use crate::engine::ffi::flags::Flags;
use crate::engine::ffi::kept::Kept;
use crate::engine::ffi::precision::{self, Cast};
use crate::engine::ffi::{self, Generator, TensorList};
use crate::engine::nn::{Build, Node, Slot};
use crate::engine::optim::Optimizer;
use crate::engine::{device, script, zoo};

impl TorchLearner {
    /// Builds and initialises model and optimizer; everything is trainable until a plan is applied.
    pub fn new(recipe: &Recipe, input: &InputSpec, device_name: &str) -> Result<Self> {
        // Also for the CPU: a run may go over to a GPU.
        device::cuda();
        let device = device::parse(device_name);
        // Before all tensors, and so given back after them where something below fails.
        let cache = Cache::of(device_name);
        let cast = cast(recipe.train.precision, device)?;
        let threads = if recipe.train.threads > 0 { recipe.train.threads } else { ffi::threads() };
        ffi::set_threads(threads)?;
        let generator = Generator::new(device_name, recipe.train.seed)?;
        let mut warnings = Vec::new();
        let (mut archive, mut taken) = (None, Vec::new());
        let (root, tree) = match script::archive(&recipe.model.arch) {
            Some(path) => {
                let loaded = script::load(path, device_name)?;
                let tree = fitting::script_tree(&loaded.root, recipe, input, device, &generator)?;
                warnings = loaded.warnings;
                taken = loaded.taken;
                archive = Some(loaded.fingerprint);
                (loaded.root, tree)
            }
            None => {
                let mut root = zoo_model(recipe, input)?;
                if device.is_cuda() {
                    to_device(&mut root, device)?;
                }
                let tree = describe(&root, Some(&input.sample_shape), device, &generator)?;
                (root, tree)
            }
        };
        let scalar = || Tensor::f_zeros([] as [i64; 0], (Kind::Float, device));
        let mut learner = Self {
            params: Vec::new(),
            buffers: Vec::new(),
            state_names: Vec::new(),
            all: TensorList::default(),
            learning: TensorList::default(),
            learning_names: Arc::new([]),
            optimizer: Optimizer::new(recipe.optimizer.clone(), Vec::new(), recipe.freeze.optimizer_state),
            loss: Loss::new(&recipe.loss, input.outputs, device)?,
            device,
            device_name: device_name.to_owned(),
            generator,
            eval: vec![false; tree.modules.len()],
            no_grad: vec![false; tree.modules.len()],
            batch_norm: recipe.freeze.batch_norm,
            frozen_dropout: recipe.freeze.frozen_dropout,
            cast,
            scaler: if cast == Some(Cast::Fp16) { Some(Scaler::new(device)?) } else { None },
            channels_last: recipe.train.channels_last,
            threads,
            choose_threads: recipe.train.threads == 0,
            set_for: None,
            flags: flags(recipe, device),
            norm: scalar()?,
            found_inf: scalar()?,
            moving: TensorList::default(),
            kept: Kept::new(&TensorList::default())?,
            stale: true,
            reports: Reports::default(),
            warnings,
            peak: None,
            archive,
            team: None,
            meant: Vec::new(),
            taken,
            root,
            tree,
            cache,
        };
        learner.collect(recipe)?;
        if learner.channels_last {
            learner.lay_out(&input.sample_shape)?;
        }
        if recipe.train.cudnn_benchmark && !device.is_cuda() {
            learner
                .warnings
                .push(format!("train.cudnn_benchmark has no effect on {device_name}: cuDNN is for NVIDIA GPUs"));
        }
        Ok(learner)
    }

    /// Lays the weights out for images in NHWC, or says why that makes no sense.
    fn lay_out(&self, sample: &[usize]) -> Result<()> {
        let why = if !sample.is_empty() && sample.len() != 3 {
            format!("a sample has the shape {sample:?} and is no image")
        } else if self.params.iter().all(|e| e.tensor.dim() != 4) {
            "the model has no convolution over images".to_owned()
        } else {
            return Ok(precision::channels_last(&self.all)?);
        };
        Err(EngineError::Refused(format!("train.channels_last = true: {why}; leave the key out")))
    }

    /// Lists parameters and buffers, and gives each parameter its group.
    fn collect(&mut self, recipe: &Recipe) -> Result<()> {
        let (mut params, mut buffers) = (Vec::new(), Vec::new());
        let mut names = Vec::new();
        // Parameters with the same numbers share one call of the fused kernel.
        let of_params = groups(&recipe.optimizer, &self.tree).map_err(|e| EngineError::Refused(e.to_string()))?;
        let mut distinct = Vec::new();
        for group in &of_params {
            if !distinct.contains(group) {
                distinct.push(*group);
            }
        }
        self.root.walk(&mut |node, _| {
            for slot in &node.slots {
                let name = full_name(node, &slot.name);
                names.push(name.clone());
                let mut entry = Entry { name, module: node.id, tensor: slot.tensor.shallow_clone(), group: 0 };
                if !slot.parameter {
                    buffers.push(entry);
                    continue;
                }
                let group = of_params.get(params.len());
                entry.group = distinct.iter().position(|g| Some(g) == group).unwrap_or(0);
                params.push(entry);
            }
        });
        self.optimizer = Optimizer::new(recipe.optimizer.clone(), distinct, recipe.freeze.optimizer_state);
        self.all = TensorList::new(params.iter().map(|e| &e.tensor));
        self.meant = vec![true; params.len()];
        self.params = params;
        self.buffers = buffers;
        self.state_names = names;
        Ok(())
    }
}

/// A model of the zoo on the CPU, freshly initialised.
pub(super) fn zoo_model(recipe: &Recipe, input: &InputSpec) -> Result<Node> {
    let arch = zoo::find(&recipe.model.arch).ok_or_else(|| unknown_arch(&recipe.model.arch))?;
    if let Some(words) = arch.refuses(&input.sample_shape) {
        return Err(EngineError::Refused(words));
    }
    for (key, given, has) in [
        ("dropout", recipe.model.dropout, arch.dropout),
        ("stochastic_depth", recipe.model.stochastic_depth, arch.stochastic_depth),
    ] {
        // A rate of 0 asks for nothing.
        if !has && given.is_some_and(|p| p > 0.0) {
            return Err(EngineError::Refused(format!(
                "model.{key}: model.arch = \"{}\" has none; leave the key out",
                arch.name
            )));
        }
    }
    let build = Build::new(recipe.train.seed)?;
    Ok((arch.build)(&build, &recipe.model, input)?.finish())
}

fn to_device(node: &mut Node, device: Device) -> Result<()> {
    for Slot { tensor, parameter, .. } in &mut node.slots {
        let moved = tensor.f_detach()?.f_to_device(device)?;
        *tensor = if *parameter { moved.f_set_requires_grad(true)? } else { moved };
    }
    node.children.iter_mut().try_for_each(|c| to_device(c, device))
}

/// The process's flags while a learner computes. A CPU has no use for any.
pub(super) fn flags(recipe: &Recipe, device: Device) -> Flags {
    let train = &recipe.train;
    if !device.is_cuda() {
        return Flags::default();
    }
    Flags {
        deterministic: train.deterministic,
        benchmark: train.cudnn_benchmark,
        tf32: train.precision == Precision::Tf32,
    }
}

/// What autocast casts to.
fn cast(asked: Precision, device: Device) -> Result<Option<Cast>> {
    if asked == Precision::Tf32 && !device.is_cuda() {
        return Err(EngineError::Refused(
            "train.precision = \"tf32\" needs an NVIDIA GPU; use \"fp32\" on the CPU".to_owned(),
        ));
    }
    Ok(match asked {
        Precision::Fp32 | Precision::Tf32 => None,
        Precision::Bf16 => Some(Cast::Bf16),
        Precision::Fp16 => Some(Cast::Fp16),
    })
}

fn unknown_arch(name: &str) -> EngineError {
    let known: Vec<&str> = zoo::all().map(|a| a.name).collect();
    let near = known.iter().min_by_key(|a| strsim::damerau_levenshtein(a, name)).copied().unwrap_or_default();
    EngineError::Refused(format!(
        "model.arch: unknown `{name}`; did you mean `{near}`? Frostline has {}",
        known.join(", ")
    ))
}
