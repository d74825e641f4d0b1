//! Where a run begins: at step 0 of a recipe, at a checkpoint of its own, or at step 0 with another run's weights.
//!
//! Everything is checked before a run folder appears or an existing run is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::checkpoint::{CheckpointError, LoadedCheckpoint, TrainState};
use crate::core::event::Metrics;
use crate::core::freeze::{Plan, Progress};
use crate::core::lr::{EarlyStopping, LrSchedule};
use crate::core::recipe::{Recipe, TrainSpec};
use crate::core::run::{CheckpointRef, Lineage, RunDir, RunHome, RunLock, RunStatus, forked};
use crate::core::shown::json_words;
use crate::core::tree::Tree;
use crate::engine::telemetry::Telemetry;
use crate::engine::{Engine, archive};

use super::audit::{self, Learned};
use super::build::{self, Built};
use super::devices::Place;
use super::disk::Disk;
use super::output::Output;
use super::position::Position;
use super::{Bus, TrainError};

/// The trainer's own place in a checkpoint's `extra`.
pub const OWN: &str = "trainer";

/// What the trainer itself keeps in `state.json`, under `extra.trainer`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Own {
    /// Steps that were not applied because of non-finite gradients.
    pub skipped: u64,
    /// Early stopping has ended the run.
    pub early_stopped: bool,
    /// The work of the step's end (validation…) is still to be done.
    pub boundary_due: bool,
    /// Checkpoints that were due by the recipe's `every_*` keys so far, written or not.
    pub due: u64,
    /// The step at which the last of them was.
    pub due_at: u64,
    /// An update with a rate above 0 was applied.
    pub updated: bool,
    /// How far the freeze schedule has come.
    pub phases: Progress,
    /// What learned, for the audit.
    pub learned: Learned,
}

/// A training state without tensors, as the loop uses it.
pub struct Standing {
    pub at: Position,
    pub lr: LrSchedule,
    pub base_lr: f64,
    pub early: Option<EarlyStopping>,
    pub metrics: Metrics,
    pub best: Option<(f64, u64)>,
    pub initial: BTreeMap<String, String>,
    pub own: Own,
}

/// A run that is ready to go.
pub struct Job {
    pub(super) built: Built,
    pub(super) run: RunDir,
    /// Held until the run is over.
    pub(super) lock: RunLock,
    pub(super) out: Output,
    pub(super) standing: Standing,
    /// The step that ends the run.
    pub(super) total: u64,
    /// The step and the name of the checkpoint that it goes on from.
    pub(super) resumed_from: Option<(u64, String)>,
    /// Write a checkpoint before the first step, for this reason.
    pub(super) save_first: Option<&'static str>,
    /// To be said once it has started.
    pub(super) warnings: Vec<String>,
    /// What reads the devices, if anybody is to.
    pub(super) telemetry: Option<Telemetry>,
}

impl Job {
    /// The run's folder.
    pub fn run_dir(&self) -> &RunDir {
        &self.run
    }

    /// The model's layer tree.
    pub fn tree(&self) -> &Tree {
        self.built.learner.tree()
    }

    /// Has the devices' load told in the run's metrics.
    pub fn watch(&mut self, telemetry: Telemetry) {
        self.telemetry = Some(telemetry);
    }

    /// Something to be said once it has started.
    pub fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }
}

/// What beginning came to.
pub enum Begun {
    /// It can go.
    Run(Box<Job>),
    /// There is nothing to do.
    AlreadyFinished(RunDir),
}

/// A new run of a recipe.
pub fn fresh(engine: &dyn Engine, home: &RunHome, bus: Arc<Bus>, recipe: &Recipe) -> Result<Begun, TrainError> {
    let built = build::trainable(engine, home, recipe)?;
    let run = home.create(&built.recipe, Lineage::default())?;
    let lock = run.lock()?;
    Ok(Begun::Run(at_step_zero(built, Owned { run, lock, bus }, None)?))
}

/// A new run with a checkpoint's weights, and its optimizer state if asked for.
pub fn fork(
    engine: &dyn Engine,
    home: &RunHome,
    bus: Arc<Bus>,
    checkpoint: &CheckpointRef,
    optimizer: bool,
    sets: &[String],
) -> Result<Begun, TrainError> {
    let loaded = checkpoint.load()?;
    let label = checkpoint.label();
    let mut recipe = loaded.state.recipe.clone();
    if let Some(run) = &checkpoint.run {
        recipe = run.meta()?.recipe;
    }
    let recipe = forked(recipe, &loaded.state, &label).with_sets(sets)?;
    if recipe.model.weights.as_ref() != Some(&label) {
        return Err(TrainError::Refused(
            "model.weights: a fork takes its weights from the checkpoint; `frostline train` starts from others"
                .to_owned(),
        ));
    }
    let mut built = build::trainable(engine, home, &recipe)?;
    if optimizer {
        built.learner.restore_optimizer(&loaded.optimizer, &engine_extra(&loaded.state))?;
    }
    let run = home.create(&built.recipe, Lineage { resumed_from: None, forked_from: Some(label) })?;
    let lock = run.lock()?;
    let mut job = at_step_zero(built, Owned { run, lock, bus }, None)?;
    // So that the new run stands on its own: the parent may go, and its optimizer state is nowhere else.
    job.save_first = Some("fork");
    Ok(Begun::Run(job))
}

/// What `at_step_zero` and [`resume`] have in common: an owned run.
struct Owned {
    run: RunDir,
    lock: RunLock,
    bus: Arc<Bus>,
}

fn at_step_zero(mut built: Built, owned: Owned, resume_at: Option<u64>) -> Result<Box<Job>, TrainError> {
    let Owned { run, lock, bus } = owned;
    let out = Output::open(&run, resume_at, bus)?;
    let initial = audit::hashes(&built.learner.snapshot()?.weights);
    let recipe = &built.recipe;
    let per_epoch = built.steps_per_epoch();
    let total = total_steps(recipe, &Position::default(), per_epoch);
    let mode = recipe.monitor_mode();
    let patience = recipe.train.early_stopping_patience;
    let standing = Standing {
        at: Position::default(),
        lr: LrSchedule::new(&recipe.lr_schedule, total, per_epoch, mode),
        base_lr: recipe.optimizer.lr,
        early: (patience > 0).then(|| EarlyStopping::new(patience, mode)),
        metrics: Metrics::new(),
        best: None,
        initial,
        own: Own::default(),
    };
    let mut warnings = std::mem::take(&mut built.notes);
    if let Some(report) = &built.loaded {
        warnings.extend((!report.is_strict()).then(|| format!("model.weights: {}", report.summary())));
    }
    warnings.extend(built.never_comes(total));
    warnings.extend(built.learner.warnings());
    warnings.extend(built.memory().shortage(built.device(), &built.batch_sizes()));
    warnings.extend(Disk::of(&built, total, run.path()).shortage(0));
    let (resumed_from, save_first) = (None, None);
    let telemetry = None;
    Ok(Box::new(Job { built, run, lock, out, standing, total, resumed_from, save_first, warnings, telemetry }))
}

/// The run goes on where its newest good checkpoint, or the one asked for, was written.
pub fn resume(
    engine: &dyn Engine,
    home: &RunHome,
    bus: Arc<Bus>,
    run: RunDir,
    from: Option<&str>,
    sets: &[String],
) -> Result<Begun, TrainError> {
    only_end_and_place(&run, sets)?;
    // Before the lock is taken: an owned run counts as running.
    let finished = run.summary().status == RunStatus::Finished;
    let lock = run.lock()?;
    let mut meta = run.meta()?;
    let mut anew = None;
    if !sets.is_empty() {
        let recipe = meta.recipe.with_sets(sets)?;
        anew = same_steps(&meta.recipe, &recipe)?;
        meta.recipe = recipe;
    }
    let mut warnings = run.checkpoints().sweep();
    warnings.extend(anew);
    let (loaded, passed) = match from {
        Some(from) => (Some(chosen(home, &run, from)?), Vec::new()),
        None => newest(&run)?,
    };
    let intact = from.is_none() && passed.is_empty();
    let Some(loaded) = loaded else {
        let built = build::trainable(engine, home, &meta.recipe)?;
        run.save_meta(&meta)?;
        warnings.push("the run had no checkpoint yet and starts from step 0 again".to_owned());
        let mut job = at_step_zero(built, Owned { run, lock, bus }, Some(0))?;
        job.warnings.splice(0..0, warnings);
        return Ok(Begun::Run(job));
    };
    if intact && finished && sets.is_empty() {
        return Ok(Begun::AlreadyFinished(run));
    }
    let step = loaded.state.step;
    warnings.extend(passed.into_iter().map(|p| format!("{p}; the run goes on from step {step}")));
    archive::unchanged(&meta.recipe, &loaded.state.extra)?;
    let mut built = build::model(engine, &meta.recipe)?;
    build::restore(&mut *built.learner, &loaded.weights)?;
    built.learner.restore_optimizer(&loaded.optimizer, &engine_extra(&loaded.state))?;
    warnings.extend(changed_data(&built, &loaded.state));
    warnings.extend(changed_device(&built, &loaded.state));
    let plan = Plan::parse(&loaded.state.freeze_rules)?;
    let (standing, total) = standing(&built, loaded.state)?;
    if intact && finished && total == step {
        return Ok(Begun::AlreadyFinished(run));
    }
    built.put(plan, &standing.at)?;
    built.read_schedule()?;
    // From here on the run is changed.
    for aside in run.checkpoints().set_aside_after(step)? {
        warnings.push(format!("the later checkpoint {} was set aside", aside.display()));
    }
    let name = loaded.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    meta.lineage.resumed_from = Some(format!("{}@{step}", run.id()));
    match run.save_meta(&meta) {
        // A longer end must be known to the next resume; the lineage alone is not worth a refusal on a full disk.
        Err(e) if !sets.is_empty() => return Err(e.into()),
        Err(e) => warnings.push(e.to_string()),
        Ok(()) => {}
    }
    let there = run.checkpoints().list().iter().map(|i| i.bytes).sum();
    warnings.extend(Disk::of(&built, total, run.path()).shortage(there));
    let out = Output::open(&run, Some(step), bus)?;
    warnings.extend(out.dropped());
    let (resumed_from, save_first) = (Some((step, name)), None);
    let telemetry = None;
    let job = Job { built, run, lock, out, standing, total, resumed_from, save_first, warnings, telemetry };
    Ok(Begun::Run(Box::new(job)))
}

/// The newest checkpoint that is whole, if there is any at all, and what is wrong with newer ones.
fn newest(run: &RunDir) -> Result<(Option<LoadedCheckpoint>, Vec<String>), TrainError> {
    match run.checkpoints().newest_good() {
        Ok((loaded, passed)) => Ok((Some(loaded), passed)),
        Err(CheckpointError::NoneGood { passed, .. }) if passed.is_empty() => Ok((None, passed)),
        Err(CheckpointError::NoneGood { passed, .. }) => Err(TrainError::Refused(format!(
            "run {}: no checkpoint is whole ({}); start anew with `frostline train {}`",
            run.id(),
            passed.join("; "),
            run.path().join("run.toml").display()
        ))),
        Err(e) => Err(e.into()),
    }
}

/// The checkpoint that the user names: `120`, `step-00000120`, `best`, `RUN@120` or a path, of this run.
fn chosen(home: &RunHome, run: &RunDir, from: &str) -> Result<LoadedCheckpoint, TrainError> {
    let whole = if from.contains(['@', '/']) { from.to_owned() } else { format!("{}@{from}", run.id()) };
    let checkpoint = home.find_checkpoint(&whole)?;
    if checkpoint.run.as_ref().is_none_or(|r| r.id() != run.id()) {
        return Err(TrainError::Refused(format!(
            "--from {from}: it is not a checkpoint of run {}; `frostline fork` starts a new run from any checkpoint",
            run.id()
        )));
    }
    Ok(checkpoint.load()?)
}

/// A resume may change the end of a run and where it runs, and nothing else.
fn only_end_and_place(run: &RunDir, sets: &[String]) -> Result<(), TrainError> {
    const ALLOWED: [&str; 5] =
        ["train.epochs", "train.steps", "train.devices", "train.batch_size", "train.accumulate_grad_batches"];
    let key = |set: &String| set.split('=').next().unwrap_or_default().trim().to_owned();
    match sets.iter().map(key).find(|k| !ALLOWED.contains(&k.as_str())) {
        Some(key) => Err(TrainError::Refused(format!(
            "--set {key}: resume can change train.epochs, train.steps and train.devices, and share out the samples of a step \
             anew (train.batch_size, train.accumulate_grad_batches); the rest is fork's: `frostline fork {} --set {key}=…`",
            run.id()
        ))),
        None => Ok(()),
    }
}

/// The samples of a step may be shared out anew, if each step keeps its own.
fn same_steps(before: &Recipe, after: &Recipe) -> Result<Option<String>, TrainError> {
    let (a, b) = (&before.train, &after.train);
    let size = |t: &TrainSpec| (t.batch_size, t.accumulate_grad_batches.max(1));
    if size(a) == size(b) {
        return Ok(None);
    }
    let product = |t: &TrainSpec| t.batch_size * t.accumulate_grad_batches.max(1);
    let words = format!(
        "train.batch_size = {} with train.accumulate_grad_batches = {}",
        b.batch_size, b.accumulate_grad_batches
    );
    if product(a) != product(b) {
        return Err(TrainError::Refused(format!(
            "{words}: a step of the run has {} samples and would have {}; resume keeps them, `frostline fork` does not",
            product(a),
            product(b)
        )));
    }
    if a.drop_last {
        return Err(TrainError::Refused(format!(
            "{words}: with train.drop_last = true other samples would be left out; `frostline fork` starts anew with it"
        )));
    }
    Ok(Some(format!("the samples of a step are shared out anew ({words}): the last bits will differ")))
}

fn changed_data(built: &Built, state: &TrainState) -> Option<String> {
    let (now, then) = (&built.data.info().fingerprint, &state.data.fingerprint);
    (now != then).then(|| {
        format!(
            "the data has changed since step {} (its names or sizes differ): the run goes on with what is there now and \
             will not end as it would have",
            state.step
        )
    })
}

fn changed_device(built: &Built, state: &TrainState) -> Option<String> {
    let device = state.extra.get("device")?.as_str()?;
    let ranks = state.extra.get("ranks").and_then(serde_json::Value::as_u64).unwrap_or(1);
    let then = Place { device, ranks: usize::try_from(ranks).unwrap_or(1) };
    then.other_bits(Place::of(&built.devices), &format!("step {}", state.step))
}

/// The engine's part of `extra`.
pub fn engine_extra(state: &TrainState) -> serde_json::Map<String, serde_json::Value> {
    let mut extra = state.extra.clone();
    extra.remove(OWN);
    extra
}

/// The loop's state from a checkpoint, and the step that ends the run.
fn standing(built: &Built, state: TrainState) -> Result<(Standing, u64), TrainError> {
    let per_epoch = built.steps_per_epoch();
    let mut at = Position {
        step: state.step,
        epoch: state.epoch,
        step_in_epoch: state.step_in_epoch,
        samples_seen: state.samples_seen,
    };
    // Only where the data has shrunk.
    at.wrap(per_epoch);
    let train = &built.recipe.train;
    let total = match train.epochs.filter(|_| train.steps.is_none()) {
        // Whole epochs that are done and not wanted.
        Some(epochs) if epochs < at.epoch => epochs.saturating_mul(per_epoch),
        _ => total_steps(&built.recipe, &at, per_epoch),
    };
    if total < at.step {
        return Err(TrainError::Refused(format!(
            "the run has done {} steps and would end at {total}; give train.epochs or train.steps a larger value, or go on \
             from an older checkpoint with --from",
            at.step
        )));
    }
    let mut lr = state.lr_schedule;
    let mut own: Own = match state.extra.get(OWN) {
        Some(value) => serde_json::from_value(value.clone()).map_err(|e| {
            let words = json_words(&e);
            TrainError::Failed(format!("state.json: extra.{OWN}: {words}; the checkpoint is of another version"))
        })?,
        None => Own::default(),
    };
    if total > lr.total_steps() {
        own.early_stopped = false;
    }
    if total != lr.total_steps() {
        lr.set_total(total);
    }
    let standing = Standing {
        at,
        lr,
        base_lr: state.base_lr,
        early: state.early_stopping,
        metrics: state.metrics,
        best: state.best.zip(state.best_step),
        initial: state.initial_hashes,
        own,
    };
    Ok((standing, total))
}

/// The step that ends the run.
pub fn total_steps(recipe: &Recipe, at: &Position, per_epoch: u64) -> u64 {
    match (recipe.train.steps, recipe.train.epochs) {
        (Some(steps), _) => steps,
        (None, epochs) => at.end_of(epochs.unwrap_or(10), per_epoch),
    }
}
