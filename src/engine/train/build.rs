//! From a recipe to what a trainer needs: data, model on its device, pretrained weights, freeze plan. Everything that can
//! be wrong with a recipe shows itself here, before a run exists.

use std::collections::HashSet;

use crate::core::freeze::{Plan, Resolution, Schedule};
use crate::core::recipe::{AUTO_BATCH, Recipe};
use crate::core::run::RunHome;
use crate::core::tensor::HostTensor;
use crate::core::weights::LoadReport;
use crate::engine::data::{self, Dataset, EpochPlan, Loader};
use crate::engine::{Engine, InputSpec, Learner, Pass, archive};

use super::plan::Starved;
use super::{Position, TrainError, pretrained, words};

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

    /// Whether the data's targets are what the loss takes.
    fn loss_fits(&self) -> Result<(), TrainError> {
        self.recipe.loss.kind.unfit(self.data.info().regression).map_or(Ok(()), |words| Err(TrainError::Refused(words)))
    }

    /// What of the model is as it was drawn, in words.
    pub fn untrained(&self) -> Option<String> {
        let Some(report) = &self.loaded else {
            let script = self.recipe.model.arch.starts_with(archive::PREFIX);
            return (!script).then(|| "model.weights is not set: the weights are random".to_owned());
        };
        let fresh: Vec<&str> = report.missing.iter().chain(&report.new_head).map(String::as_str).collect();
        (!fresh.is_empty()).then(|| format!("not loaded and random: {}", words::some_of(&fresh)))
    }

    /// Optimizer steps of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        let train = &self.recipe.train;
        let batches = self.data.batches_per_epoch(train.batch_size, train.drop_last) as u64;
        batches.div_ceil(train.accumulate_grad_batches.max(1) as u64)
    }
}

/// A checkpoint's weights, all of them, for the model that they were taken from.
///
/// # Errors
/// `Refused` where the model has tensors that the checkpoint lacks: they would stay as they were drawn.
pub fn restore(learner: &mut dyn Learner, weights: &[HostTensor]) -> Result<(), TrainError> {
    let there: HashSet<&str> = weights.iter().map(|t| t.name.as_str()).collect();
    let tree = learner.tree();
    let all = tree.parameters.iter().chain(&tree.buffers).map(|t| t.name.as_str());
    let missing: Vec<&str> = all.filter(|name| !there.contains(name)).collect();
    if !missing.is_empty() {
        return Err(TrainError::Refused(format!(
            "the checkpoint lacks {} of the model's tensors ({}): it was written by another model",
            missing.len(),
            words::some_of(&missing)
        )));
    }
    Ok(learner.restore_weights(weights)?)
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
    built.loss_fits()?;
    let plan = Plan::parse(&recipe.freeze.starting_rules())?;
    if recipe.train.batch_size == AUTO_BATCH {
        built.find_batch_size(&plan)?;
        enough_samples(&built.recipe, &built.devices)?;
    }
    built.put(plan.clone(), &Position::default())?;
    built.foresee(&plan)?;
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;

    #[test]
    fn a_checkpoint_of_another_model_is_no_half_of_this_one() {
        let recipe = Recipe::parse(
            "model = { arch = 'resnet8' }\ndata = { source = 'digits', workers = 0 }\ntrain = { epochs = 1, devices = ['cpu'] }",
            "test.toml",
            std::path::Path::new("."),
            &[],
        )
        .unwrap();
        let mut learner = model(&FakeEngine::new(1), &recipe).unwrap().learner;
        let mut weights = learner.snapshot().unwrap().weights;
        restore(&mut *learner, &weights).unwrap();
        let gone = weights.remove(1).name;
        let words = restore(&mut *learner, &weights).unwrap_err().to_string();
        let expected =
            format!("the checkpoint lacks 1 of the model's tensors (`{gone}`): it was written by another model");
        assert_eq!(words, expected);
    }
}
