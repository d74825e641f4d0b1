//! What a run would be, without starting it.

use serde::Serialize;

use crate::core::fit::{BatchSizes, MemoryEstimate};
use crate::core::freeze::ParamState;
use crate::core::recipe::Recipe;
use crate::core::run::RunHome;
use crate::core::size::bytes;
use crate::core::tree::Tree;
use crate::engine::Engine;
use crate::engine::train::{self, Disk, Position, TrainError};

/// The facts of a run that is not started; everything was opened, built and loaded as it would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRun {
    /// The device, or all of them, separated by commas.
    pub device: String,
    /// Training samples.
    pub train_samples: usize,
    /// Validation samples.
    pub val_samples: usize,
    /// Shape of one sample.
    pub sample_shape: Vec<usize>,
    /// Names of the classes; empty for regression.
    pub class_names: Vec<String>,
    /// Optimizer steps of an epoch.
    pub steps_per_epoch: u64,
    /// Optimizer steps of the run.
    pub steps: u64,
    /// Values in all parameters.
    pub parameters: u64,
    /// Values in those that learn.
    pub trainable_parameters: u64,
    /// Parameter tensors that learn.
    pub trainable_tensors: usize,
    /// All parameter tensors.
    pub tensors: usize,
    /// What became of the pretrained weights.
    pub weights: Option<String>,
    /// The freeze rules in force.
    pub freeze_rules: Vec<String>,
    /// Estimated peak of the device's memory in bytes: weights, gradients, optimizer, batch, activations.
    pub memory_bytes: u64,
    /// Free memory of the device, if known.
    pub memory_free: Option<u64>,
    /// What the memory is for.
    pub memory: MemoryEstimate,
    /// Samples of a batch: over all devices, on each, and of a step.
    pub batches: BatchSizes,
    /// Bytes of one checkpoint.
    pub checkpoint_bytes: u64,
    /// Checkpoints that are kept at a time, at most.
    pub checkpoints_kept: u64,
    /// Bytes of all those, and of one being written.
    pub disk_bytes: u64,
    /// Free bytes on the run home's disk, if known.
    pub disk_free: Option<u64>,
    /// What the user should know, in words.
    pub warnings: Vec<String>,
}

/// Checks recipe, data, weights and freeze plan as a start would, and says what would happen. Leaves nothing behind.
///
/// # Errors
/// As [`super::Session::start`].
pub fn dry_run(engine: &dyn Engine, home: &RunHome, recipe: &Recipe) -> Result<DryRun, TrainError> {
    let built = train::guarded(|| {
        let mut built = train::trainable(engine, home, recipe)?;
        built.measure()?;
        Ok(built)
    })?;
    let info = built.data.info();
    let per_epoch = built.steps_per_epoch();
    let (memory, batches) = (built.memory(), built.batch_sizes());
    let steps = train::total_steps(recipe, &Position::default(), per_epoch);
    let disk = Disk::of(&built, steps, home.path());
    let states = built.resolution.params.iter().map(|p| p.state);
    let learning =
        counts(built.learner.tree()).zip(states).filter(|(_, s)| *s == ParamState::Trainable).map(|(count, _)| count);
    let mut facts = DryRun {
        device: built.devices.join(", "),
        train_samples: info.train_len,
        val_samples: info.val_len,
        sample_shape: info.sample_shape.clone(),
        class_names: info.class_names.clone(),
        steps_per_epoch: per_epoch,
        steps,
        parameters: counts(built.learner.tree()).sum(),
        trainable_parameters: learning.sum(),
        trainable_tensors: built.resolution.trainable(),
        tensors: built.resolution.params.len(),
        weights: built.loaded.as_ref().map(|report| report.summary()),
        freeze_rules: built.plan.rules(),
        memory_bytes: memory.total(),
        memory_free: memory.free,
        memory,
        batches,
        checkpoint_bytes: disk.checkpoint,
        checkpoints_kept: disk.kept,
        disk_bytes: disk.bytes,
        disk_free: disk.free,
        warnings: [built.notes.clone(), built.learner.warnings()].concat(),
    };
    facts.warn(recipe);
    facts.warnings.extend(built.never_comes(steps));
    facts.warnings.extend(disk.shortage(0));
    home.can_be_written()?;
    Ok(facts)
}

impl DryRun {
    fn warn(&mut self, recipe: &Recipe) {
        if self.val_samples == 0 {
            self.warnings.push("there is no validation data: no checkpoint will be the best".to_owned());
        }
        self.warnings.extend(self.memory.shortage(&self.device, &self.batches));
        if recipe.checkpoint.every_minutes.is_some() && recipe.checkpoint.keep_every.is_some() {
            self.warnings.push("how many checkpoints keep_every keeps depends on how long the run takes".to_owned());
        }
        if recipe.optimizer.lr == 0.0 {
            self.warnings.push("optimizer.lr is 0: nothing will move".to_owned());
        }
        if self.steps == 0 {
            self.warnings.push("the run has no step: train.epochs or train.steps is 0".to_owned());
        }
    }

    /// The facts as label and value, for people.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let free = |n: Option<u64>| n.map(|n| format!(", {} free", bytes(n))).unwrap_or_default();
        let mut lines = vec![
            ("device", self.device.clone()),
            ("data", format!("{} training, {} validation samples", self.train_samples, self.val_samples)),
            ("sample", self.sample_shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")),
        ];
        if !self.class_names.is_empty() {
            lines.push(("classes", self.class_names.join(", ")));
        }
        lines.push(("steps", format!("{} ({} an epoch)", self.steps, self.steps_per_epoch)));
        lines.push(("samples", self.batches.shares()));
        lines.push(("parameters", format!("{} ({} learn)", self.parameters, self.trainable_parameters)));
        lines.push(("tensors", format!("{} ({} learn)", self.tensors, self.trainable_tensors)));
        if let Some(weights) = &self.weights {
            lines.push(("weights", weights.clone()));
        }
        let rules = if self.freeze_rules.is_empty() { "none".to_owned() } else { self.freeze_rules.join("; ") };
        lines.push(("freeze rules", rules));
        let parts: Vec<_> = self.memory.parts().iter().map(|(name, n)| format!("{name} {}", bytes(*n))).collect();
        let how = if self.memory.measured { "measured on a batch" } else { "activations counted, not measured" };
        lines.push(("memory", format!("about {}{}", bytes(self.memory_bytes), free(self.memory_free))));
        lines.push(("", format!("{} ({how})", parts.join(", "))));
        let disk = format!(
            "{} a checkpoint, {} with {} kept and one being written",
            bytes(self.checkpoint_bytes),
            bytes(self.disk_bytes),
            self.checkpoints_kept
        );
        lines.push(("disk", disk + &free(self.disk_free)));
        lines
    }
}

/// Values of each parameter.
fn counts(tree: &Tree) -> impl Iterator<Item = u64> + '_ {
    tree.parameters.iter().map(|p| p.count() as u64)
}
