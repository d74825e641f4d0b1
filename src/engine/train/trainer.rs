//! The loop: batches in, optimizer steps, reports out. Between two steps it obeys commands (`commands`), at the end of
//! some it validates (`boundary`) and saves (`save`).

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::core::checkpoint::CheckpointStore;
use crate::core::checkpoint::policy::Reason;
use crate::core::command::Request;
use crate::core::event::{Event, Metrics};
use crate::core::freeze::ParamState;
use crate::core::groups::at_rest;
use crate::core::recipe::OnNan;
use crate::core::run::RunDir;
use crate::engine::api::Shortage;
use crate::engine::data::{EpochPlan, Loader};
use crate::engine::telemetry::Telemetry;
use crate::engine::{Batch, Engine, EngineError, StepInput, StepReport};

use super::begin::Standing;
use super::build::Built;
use super::output::Output;
use super::position::{Position, Rate};
use super::saver::Saver;
use super::watch::Watch;
use super::{TrainError, gradients, words};

/// How a run ends.
pub enum End {
    /// At its planned end, or by early stopping.
    Finished(Metrics),
    /// On request, after a checkpoint.
    Stopped(String),
    /// It cannot go on.
    Failed(String),
}

/// `Some` ends the run.
pub type Flow = Result<Option<End>, TrainError>;

/// A step whose report is still to come.
struct Note {
    before: Position,
    lr: f64,
    samples: u64,
}

/// The trainer. Lives on the thread `trainer`.
pub struct Trainer<'a> {
    /// Builds the learner anew where the run goes over to another device.
    pub(super) engine: &'a dyn Engine,
    pub(super) built: Built,
    pub(super) now: Standing,
    pub(super) total: u64,
    pub(super) per_epoch: u64,
    pub(super) run: RunDir,
    pub(super) store: CheckpointStore,
    pub(super) out: &'a mut Output,
    pub(super) inbox: &'a Receiver<Request>,
    /// Commands that came while they could not be obeyed yet.
    pub(super) waiting: VecDeque<Request>,
    /// Nobody can send commands any more.
    pub(super) orphaned: bool,
    pub(super) paused: bool,
    pub(super) saver: Saver,
    /// The saver's buffers are made ready.
    room: bool,
    /// The checkpoint that holds exactly the present state, or will when the saver is done.
    pub(super) saved: Option<String>,
    pub(super) last_save: Instant,
    pub(super) rate: Rate,
    pub(super) said_monitor: bool,
    pub(super) said_skipped: u64,
    pub(super) loader: Option<Loader>,
    micro: Vec<Batch>,
    pending: VecDeque<Note>,
    /// The plan in force is noted for the audit.
    pub(super) noted: bool,
    /// What the devices do.
    watch: Watch,
    pub(super) last_gradients: gradients::Last,
}

impl<'a> Trainer<'a> {
    /// A trainer that has not taken a step yet. `saved`: the checkpoint that it stands on.
    #[expect(clippy::too_many_arguments, reason = "what a trainer is made of")]
    pub fn new(
        engine: &'a dyn Engine,
        built: Built,
        now: Standing,
        total: u64,
        run: RunDir,
        saved: Option<String>,
        out: &'a mut Output,
        inbox: &'a Receiver<Request>,
    ) -> Self {
        let per_epoch = built.steps_per_epoch();
        let store = run.checkpoints();
        Self {
            engine,
            built,
            now,
            total,
            per_epoch,
            saver: Saver::new(store.clone()),
            room: false,
            run,
            store,
            out,
            inbox,
            waiting: VecDeque::new(),
            orphaned: false,
            paused: false,
            saved,
            last_save: Instant::now(),
            rate: Rate::new(),
            said_monitor: false,
            said_skipped: 0,
            loader: None,
            micro: Vec::new(),
            pending: VecDeque::new(),
            noted: false,
            watch: Watch::default(),
            last_gradients: gradients::Last::default(),
        }
    }

    /// Tells of the devices' load in the metrics.
    pub fn watch(&mut self, telemetry: Telemetry) {
        self.watch = Watch::start(telemetry, self.built.devices.clone());
    }

    /// Trains until the end, whichever it is.
    pub fn run(
        &mut self,
        resumed_from: Option<u64>,
        save_first: Option<&'static str>,
        warnings: Vec<String>,
    ) -> Result<End, TrainError> {
        match self.train(resumed_from, save_first, warnings) {
            Err(TrainError::Lost(words)) => self.parted(&words),
            ended => ended,
        }
    }

    fn train(
        &mut self,
        resumed_from: Option<u64>,
        save_first: Option<&'static str>,
        warnings: Vec<String>,
    ) -> Result<End, TrainError> {
        self.say(Event::Started {
            steps: self.total,
            steps_per_epoch: self.per_epoch,
            devices: self.built.devices.clone(),
            resumed_from,
        });
        self.say_plan();
        for warning in warnings {
            self.warn(warning);
        }
        if let Some(reason) = save_first {
            // A failure is said and the run goes on.
            let _ = self.save(reason)?;
        }
        self.rate.restart();
        loop {
            self.written(false);
            if std::mem::take(&mut self.now.own.boundary_due) {
                let done = self.boundary();
                // What could not be done then is done when the run goes on.
                self.now.own.boundary_due |= matches!(done, Err(TrainError::Lost(_)));
                if let Some(end) = done? {
                    return Ok(end);
                }
            }
            if let Some(end) = self.begin_phase()? {
                return Ok(end);
            }
            if let Some(end) = self.obey()? {
                return Ok(end);
            }
            if self.now.own.boundary_due {
                continue;
            }
            if self.now.at.step >= self.total || self.now.own.early_stopped {
                return self.finish();
            }
            if let Some(end) = self.step()? {
                return Ok(end);
            }
            self.now.own.boundary_due = true;
        }
    }

    /// Waits for the checkpoint on its way, whatever ended the run.
    pub fn last_words(&mut self) {
        self.written(true);
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.now.at
    }

    fn step(&mut self) -> Flow {
        self.gather()?;
        if !self.noted {
            let tree = self.built.learner.tree();
            let at_rest =
                at_rest(&self.built.recipe.optimizer, tree).map_err(|e| TrainError::Refused(e.to_string()))?;
            self.now.own.learned.note_at_rest(at_rest);
            self.now.own.learned.note(tree, &self.built.resolution);
            self.noted = true;
        }
        let before = self.now.at;
        let train = &self.built.recipe.train;
        let lr = self.now.base_lr * self.now.lr.factor(before.step);
        let recipe_lr = self.built.recipe.optimizer.lr;
        let done = self.built.learner.step(&StepInput {
            step: before.step,
            seed: train.seed,
            micro: &self.micro,
            lr_scale: if recipe_lr == 0.0 { 0.0 } else { lr / recipe_lr },
            clip_grad_norm: train.clip_grad_norm,
            on_nan: train.on_nan,
        });
        if let Err(EngineError::OutOfMemory(of)) = &done {
            return self.out_of_memory(of).map(Some);
        }
        done?;
        if !std::mem::replace(&mut self.room, true) {
            // Not before: the optimizer has no state then.
            self.saver.prepare(self.built.learner.room()?);
        }
        let samples = self.samples(&before);
        self.saved = None;
        self.pending.push_back(Note { before, lr, samples });
        if self.now.at.advance(samples, self.per_epoch) {
            self.loader = None;
        }
        let reports = self.built.learner.drain(false)?;
        let end = self.take(reports)?;
        if end.is_none() {
            self.offer_gradients();
        }
        Ok(end)
    }

    /// Samples of the step in hand, on all ranks.
    fn samples(&self, at: &Position) -> u64 {
        let data = &self.built.data;
        let train = &self.built.recipe.train;
        let first = at.first_batch(train.accumulate_grad_batches);
        let samples = match data.is_shared() {
            true => data.samples_of(first..first + self.micro.len(), train.batch_size),
            false => self.micro.iter().map(Batch::len).sum(),
        };
        samples as u64
    }

    /// Another rank is lost. This one holds the state before the step that could not be taken: it is saved.
    fn parted(&mut self, words: &str) -> Result<End, TrainError> {
        if let Some(end) = self.settle()? {
            return Ok(end);
        }
        let saved = match self.save_surely("error")? {
            Ok(name) => format!("checkpoint {name} holds the state before it; `resume` goes on from there"),
            Err(e) => format!("the state before it could not be saved: {e}"),
        };
        Ok(End::Failed(format!("{words}; {saved}")))
    }

    /// Fetches the micro batches of the next step. On an error the state is still whole: it is saved.
    fn gather(&mut self) -> Result<(), TrainError> {
        self.micro.clear();
        let train = &self.built.recipe.train;
        let accumulate = train.accumulate_grad_batches.max(1);
        if self.loader.is_none() {
            let plan = EpochPlan {
                seed: train.seed,
                epoch: self.now.at.epoch,
                batch_size: train.batch_size,
                shuffle: train.shuffle,
                drop_last: train.drop_last,
                start_batch: self.now.at.first_batch(accumulate),
            };
            self.loader = Some(self.built.training_pass(plan)?);
        }
        let batches = self.loader.iter_mut().flatten().take(accumulate);
        let mut failed = None;
        for batch in batches {
            match batch {
                Ok(batch) if batch.x.is_empty() => {}
                Ok(batch) => self.micro.push(batch),
                Err(e) => {
                    failed = Some(TrainError::from(e));
                    break;
                }
            }
        }
        if failed.is_none() && self.micro.is_empty() {
            let step = self.now.at.step;
            failed = Some(TrainError::Failed(format!("step {step}: the data gave no sample; check the data set")));
        }
        match failed {
            None => Ok(()),
            Some(error) => {
                if self.settle()?.is_none() {
                    let _ = self.save_surely("error")?;
                }
                Err(error)
            }
        }
    }

    /// Waits for all reports that are still to come.
    pub(super) fn settle(&mut self) -> Flow {
        let reports = self.built.learner.drain(true)?;
        let end = self.take(reports)?;
        if end.is_none() && !self.pending.is_empty() {
            return Err(TrainError::Failed(format!("{} steps were never reported; this is a bug", self.pending.len())));
        }
        Ok(end)
    }

    fn take(&mut self, reports: Vec<StepReport>) -> Flow {
        // Those that come together took the time together.
        let samples = self.pending.iter().take(reports.len()).map(|n| n.samples).sum();
        let rate = if reports.is_empty() { 0.0 } else { self.rate.add(samples) };
        for report in reports {
            let Some(note) = self.pending.pop_front().filter(|n| n.before.step == report.step) else {
                return Err(TrainError::Failed(format!(
                    "step {} was reported out of order; this is a bug",
                    report.step
                )));
            };
            let scaling = report.loss_scale;
            let overflow = scaling.is_some_and(|s| s.overflow);
            if !report.applied && !overflow {
                match self.built.recipe.train.on_nan {
                    OnNan::Stop => return self.non_finite(&note, &report).map(Some),
                    OnNan::Skip => self.skipped(&note, &report)?,
                    OnNan::Ignore => {}
                }
            }
            self.now.own.updated |= report.applied && note.lr > 0.0;
            let mut values = vec![("train/loss", report.loss), ("lr", note.lr)];
            // Where scaled gradients overflowed there is no norm to tell.
            values.extend((!overflow).then_some(("grad_norm", report.grad_norm)));
            values.extend(scaling.map(|s| ("loss_scale", s.scale)));
            let kept = values.len();
            values.push(("samples_per_s", rate));
            let devices = self.watch.take();
            values.extend(devices.iter().map(|(name, value)| (name.as_str(), *value)));
            self.out.step_row(report.step + 1, note.before.epoch, &values);
            for (name, value) in values.iter().take(kept) {
                match self.now.metrics.get_mut(*name) {
                    Some(old) => *old = *value,
                    None => {
                        self.now.metrics.insert((*name).to_owned(), *value);
                    }
                }
            }
        }
        Ok(None)
    }

    /// `on_nan = "stop"`: the learner has applied nothing since the bad step, so the state is the one before it.
    fn non_finite(&mut self, note: &Note, report: &StepReport) -> Result<End, TrainError> {
        self.built.learner.drain(true)?;
        self.pending.clear();
        self.loader = None;
        self.now.at = note.before;
        let what = format!(
            "step {}: {} not finite (loss {}); the update was not applied",
            report.step + 1,
            bad_names(&report.non_finite),
            report.loss
        );
        let saved = match self.save_surely(Reason::Nan.as_str())? {
            Ok(name) => format!("checkpoint {name} holds the state before it"),
            Err(e) => format!("its state could not be saved: {e}"),
        };
        let causes: Vec<String> = [self.bad_samples(&note.before), self.bad_tensors()].into_iter().flatten().collect();
        let remedy = if causes.is_empty() {
            "lower optimizer.lr, set train.clip_grad_norm, or train.on_nan = \"skip\", with `fork`".to_owned()
        } else {
            format!("no learning rate helps here: {}", causes.join("; "))
        };
        Ok(End::Failed(format!("{what}, {saved}; {remedy}")))
    }

    /// `on_nan = "skip"`: counted, and said ever more rarely.
    fn skipped(&mut self, note: &Note, report: &StepReport) -> Result<(), TrainError> {
        self.now.own.skipped += 1;
        let count = self.now.own.skipped;
        if count == 10u64.pow(count.ilog10()) {
            let cause = self.bad_samples(&note.before).map(|c| format!("; {c}")).unwrap_or_default();
            self.warn(format!(
                "step {}: {} not finite (loss {}); the step was skipped, {count} so far{cause}",
                report.step + 1,
                bad_names(&report.non_finite),
                report.loss
            ));
        }
        Ok(())
    }

    /// The learner left everything as it was before the step or the validation that memory did not suffice for.
    pub(super) fn out_of_memory(&mut self, of: &Shortage) -> Result<End, TrainError> {
        let saved = match self.settle() {
            Ok(Some(end)) => return Ok(end),
            Ok(None) => {
                self.micro = Vec::new();
                self.loader = None;
                match self.save_surely(Reason::OutOfMemory.as_str())? {
                    Ok(name) => format!("checkpoint {name} holds the state before it"),
                    Err(e) => format!("its state could not be saved: {e}"),
                }
            }
            // Ranks have parted, and what this one holds cannot be trusted.
            Err(TrainError::Lost(_)) => "the newest checkpoint stands".to_owned(),
            Err(e) => return Err(e),
        };
        let remedy = match self.built.batch_sizes().halved() {
            Some(half) => format!(
                "the same steps in about half the memory: frostline resume {} --set train.batch_size={} --set \
                 train.accumulate_grad_batches={}",
                self.run.id(),
                half.global,
                half.accumulate
            ),
            None => "freeze more, choose a smaller model, or another device".to_owned(),
        };
        let step = self.now.at.step + 1;
        Ok(End::Failed(format!("step {step}: {}; {saved}; {remedy}", self.built.out_of_memory(of))))
    }

    pub(super) fn say(&mut self, event: Event) {
        self.out.say(self.now.at.step, event);
    }

    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.out.warn(self.now.at.step, message);
    }

    pub(super) fn say_plan(&mut self) {
        let states: Vec<ParamState> = self.built.resolution.params.iter().map(|p| p.state).collect();
        let trainable = states.iter().filter(|s| **s == ParamState::Trainable).count();
        let rules = self.built.plan.rules();
        self.say(Event::FreezeChanged { rules, trainable, frozen: states.len() - trainable, states });
        if let Some(starved) = self.built.starved_words() {
            self.warn(starved);
        }
    }
}

fn bad_names(names: &[String]) -> String {
    let some = words::some_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    match names.len() {
        0 => "the loss or a gradient is".to_owned(),
        1 => format!("the gradient of {some} is"),
        _ => format!("the gradients of {some} are"),
    }
}
