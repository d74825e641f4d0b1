//! From a recipe to what a trainer needs: data, model on its device, pretrained weights, freeze plan. Everything that can
//! be wrong with a recipe shows itself here, before a run exists.

use crate::core::freeze::{Plan, Resolution, Schedule};
use crate::core::recipe::{AUTO_BATCH, Recipe};
use crate::core::run::RunHome;
use crate::core::weights::LoadReport;
use crate::engine::data::{self, Dataset, EpochPlan, Loader};
use crate::engine::{Engine, InputSpec, Learner, Pass};

use super::plan::Starved;
use super::{Position, TrainError, pretrained};

/// A recipe come to life.
pub struct Built {
    /// The recipe.
    pub recipe: Recipe,
    /// The data.
    pub data: Dataset,
    /// Model and optimizer.
    pub learner: Box<dyn Learner>,
    /// The freeze plan in force.
    pub plan: Plan,
    /// What it says of each parameter.
    pub resolution: Resolution,
    /// What no gradient reaches though it should, where the recipe asks to know.
    pub starved: Vec<Starved>,
    /// How the plan changes by itself.
    pub schedule: Schedule,
    /// The devices, one a rank; this rank's first.
    pub devices: Vec<String>,
    /// Free memory of the device before the model came, if it is known.
    pub memory_free: Option<u64>,
    /// Bytes that a forward and backward on one batch held on the device at most, if they were measured.
    pub peak: Option<u64>,
    /// What was chosen for the user, to be said.
    pub notes: Vec<String>,
    /// What became of the pretrained weights, if there are any.
    pub loaded: Option<LoadReport>,
    /// `libtorch 2.11.0`.
    pub engine: String,
}

impl Built {
    /// The device of this rank.
    pub fn device(&self) -> &str {
        self.devices.first().map_or("cpu", String::as_str)
    }

    /// Begins a training pass, on all ranks.
    pub fn training_pass(&mut self, plan: EpochPlan) -> Result<Loader, TrainError> {
        self.learner.begin_pass(Pass::Train(plan))?;
        Ok(self.data.train(plan))
    }

    /// Begins a validation pass, on all ranks.
    pub fn validation_pass(&mut self) -> Result<Loader, TrainError> {
        let batch_size = self.recipe.train.plain_batch_size();
        self.learner.begin_pass(Pass::Validation { batch_size })?;
        Ok(self.data.val(batch_size))
    }

    /// Optimizer steps of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        let train = &self.recipe.train;
        let batches = self.data.batches_per_epoch(train.batch_size, train.drop_last) as u64;
        batches.div_ceil(train.accumulate_grad_batches.max(1) as u64)
    }
}

/// Opens the data and builds the model; no weights are loaded and everything is trainable.
pub fn model(engine: &dyn Engine, recipe: &Recipe) -> Result<Built, TrainError> {
    let asked = engine.resolve_devices(&recipe.train.devices)?;
    let data = data::open(&recipe.data, engine.input_channels(&recipe.model.arch), recipe.train.seed)?;
    let info = data.info();
    let train = &recipe.train;
    if data.batches_per_epoch(train.batch_size, train.drop_last) == 0 {
        return Err(TrainError::Refused(format!(
            "train.batch_size = {}: there is no full batch among {} training samples; make it smaller or set \
             train.drop_last = false",
            train.batch_size, info.train_len
        )));
    }
    let memory_free = memory_free(engine, &asked);
    let Placed { learner, devices, data } = learner(engine, recipe, &data, &asked)?;
    let resolution = Plan::default().resolve(learner.tree())?;
    Ok(Built {
        recipe: recipe.clone(),
        data,
        learner,
        plan: Plan::default(),
        resolution,
        starved: Vec::new(),
        schedule: Schedule::default(),
        devices,
        memory_free,
        peak: None,
        notes: Vec::new(),
        loaded: None,
        engine: engine.name(),
    })
}

/// A learner where it is to learn.
pub struct Placed {
    /// The model, freshly initialised.
    pub learner: Box<dyn Learner>,
    /// One a rank.
    pub devices: Vec<String>,
    /// As this rank sees it.
    pub data: Dataset,
}

/// The model on some devices.
pub fn learner(engine: &dyn Engine, recipe: &Recipe, data: &Dataset, devices: &[String]) -> Result<Placed, TrainError> {
    let info = data.info();
    let outputs = match recipe.model.num_classes {
        Some(n) if info.regression && n != info.outputs => {
            return Err(TrainError::Refused(format!(
                "model.num_classes = {n}: the targets have {} values; leave it out",
                info.outputs
            )));
        }
        Some(n) if n < info.outputs => {
            return Err(TrainError::Refused(format!(
                "model.num_classes = {n}: the data has {} classes; leave it out or choose classes with data.classes",
                info.outputs
            )));
        }
        Some(n) => n,
        None => info.outputs,
    };
    let input = InputSpec { sample_shape: info.sample_shape.clone(), outputs };
    let learner = engine.learner_on(recipe, &input, data, devices)?;
    let (devices, data) = match learner.ranks() {
        [] => (devices.to_vec(), data.share(0, 1)),
        ranks => (ranks.to_vec(), data.share(0, ranks.len())),
    };
    enough_samples(recipe, &devices)?;
    Ok(Placed { learner, devices, data })
}

/// Each device must have a share of each batch.
fn enough_samples(recipe: &Recipe, devices: &[String]) -> Result<(), TrainError> {
    let size = recipe.train.batch_size;
    if size == AUTO_BATCH || size >= devices.len() {
        return Ok(());
    }
    Err(TrainError::Refused(format!(
        "train.batch_size = {size}: {} devices share each batch, so that it must have as many samples at least",
        devices.len()
    )))
}

/// Free memory of a device, if it is known. Replicas share that of the CPU.
pub fn memory_free(engine: &dyn Engine, devices: &[String]) -> Option<u64> {
    let device = devices.first()?;
    let (name, share) = if device.starts_with("cpu") { ("cpu", devices.len() as u64) } else { (device.as_str(), 1) };
    let free = engine.devices().into_iter().find(|d| d.name == name).map(|d| d.memory_free);
    free.filter(|free| *free > 0).map(|free| free / share)
}

/// The one device to train on.
pub fn one_device(engine: &dyn Engine, recipe: &Recipe) -> Result<String, TrainError> {
    let devices = engine.resolve_devices(&recipe.train.devices)?;
    devices.into_iter().next().ok_or_else(|| TrainError::Refused("train.devices is empty; name one".to_owned()))
}

/// [`model`], then the recipe's pretrained weights.
pub fn weighted(engine: &dyn Engine, home: &RunHome, recipe: &Recipe) -> Result<Built, TrainError> {
    let mut built = model(engine, recipe)?;
    built.loaded = pretrained::load(home, recipe, &mut *built.learner)?;
    Ok(built)
}

/// [`weighted`], then the recipe's freeze rules: ready for step 0. `Refused` if nothing would learn.
pub fn trainable(engine: &dyn Engine, home: &RunHome, recipe: &Recipe) -> Result<Built, TrainError> {
    let mut built = weighted(engine, home, recipe)?;
    let plan = Plan::parse(&recipe.freeze.starting_rules())?;
    if recipe.train.batch_size == AUTO_BATCH {
        built.find_batch_size(&plan)?;
        enough_samples(&built.recipe, &built.devices)?;
    }
    built.put(plan.clone(), &Position::default())?;
    built.foresee(&plan)?;
    Ok(built)
}
