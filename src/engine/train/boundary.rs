//! What is done between two steps at certain points: validation, what depends on it, checkpoints that are due, the end.

use crate::core::checkpoint::policy;
use crate::core::command::Command;
use crate::core::event::{Event, Metrics};
use crate::core::recipe::Mode;
use crate::engine::api::Shortage;
use crate::engine::data::skipped_words;
use crate::engine::{EngineError, EvalSums};

use super::audit;
use super::output::now_ms;
use super::trainer::{End, Flow, Trainer};
use super::{TrainError, evaluate};

/// What came of a validation.
pub enum Validated {
    /// It is done, or there was nothing to validate.
    Yes,
    /// A stop broke it off.
    Stopped,
    /// Memory did not suffice, and what for.
    OutOfMemory(Shortage),
}

impl Trainer<'_> {
    /// The work at the end of a step. It may be broken off by a `stop` during validation; then it is due again, before the
    /// next step, in this process or in one that resumes.
    pub(super) fn boundary(&mut self) -> Flow {
        let at = self.now.at;
        let train = &self.built.recipe.train;
        let epochs_done = (at.step_in_epoch == 0).then_some(at.epoch);
        let every = |n: u64, every: u64| every > 0 && n.is_multiple_of(every);
        let last = at.step >= self.total;
        let validate = last
            || epochs_done.is_some_and(|n| every(n, train.validate_every_epochs))
            || train.validate_every_steps.is_some_and(|n| every(at.step, n));
        let minutes = self.last_save.elapsed().as_secs_f64() / 60.0;
        let due = policy::due(&self.built.recipe.checkpoint, at.step, epochs_done, minutes);
        let audit = !last && at.step > 0 && at.step == train.audit_after_steps;
        if !validate && epochs_done.is_none() && due.is_none() && !audit {
            return Ok(None);
        }
        if let Some(end) = self.settle()? {
            return Ok(Some(end));
        }
        // Once a step: what a stop breaks off is done again.
        if due.is_some() && self.now.own.due_at != at.step {
            (self.now.own.due, self.now.own.due_at) = (self.now.own.due + 1, at.step);
        }
        let epoch = if epochs_done.is_some() { at.epoch - 1 } else { at.epoch };
        if validate {
            match self.validate(epoch)? {
                Validated::Yes => {}
                Validated::Stopped => {
                    self.now.own.boundary_due = true;
                    return Ok(None);
                }
                Validated::OutOfMemory(what) => {
                    self.now.own.boundary_due = true;
                    return self.out_of_memory(&what).map(Some);
                }
            }
            self.saved = None;
            self.observe()?;
        }
        if audit {
            self.audit()?;
        }
        if epochs_done.is_some() {
            self.say(Event::EpochEnded { epoch });
            self.say_skipped_data();
        }
        let ending = last || self.now.own.early_stopped;
        if !ending {
            self.change_phase()?;
        }
        if let Some(reason) = due.filter(|_| !ending) {
            self.save_soon(reason.as_str())?;
        }
        self.rate.restart();
        Ok(None)
    }

    /// Validates, if nothing keeps it from it.
    pub(super) fn validate(&mut self, epoch: u64) -> Result<Validated, TrainError> {
        let mut sums = EvalSums::default();
        for batch in self.built.validation_pass()? {
            match self.built.learner.evaluate(&batch?) {
                Err(EngineError::OutOfMemory(what)) => return Ok(Validated::OutOfMemory(what)),
                more => evaluate::add(&mut sums, &more?),
            }
            self.written(false);
            if self.stop_waits() {
                return Ok(Validated::Stopped);
            }
        }
        let metrics = evaluate::metrics(&sums);
        if metrics.is_empty() {
            return Ok(Validated::Yes);
        }
        let row: Vec<(&str, f64)> = metrics.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        self.out.row(self.now.at.step, now_ms(), &row);
        self.now.metrics.extend(metrics.clone());
        self.say(Event::Validation { epoch, metrics });
        Ok(Validated::Yes)
    }

    /// Looks for a stop without obeying anything yet.
    fn stop_waits(&mut self) -> bool {
        self.waiting.extend(self.inbox.try_iter());
        self.waiting.iter().any(|r| matches!(r.command, Command::Stop { .. }))
    }

    /// What looks at the monitored metric: best value, plateau, early stopping.
    fn observe(&mut self) -> Result<(), TrainError> {
        let monitor = &self.built.recipe.checkpoint.monitor;
        let Some(value) = self.now.metrics.get(monitor).copied() else {
            if !std::mem::replace(&mut self.said_monitor, true) {
                let known: Vec<&str> = self.now.metrics.keys().map(String::as_str).collect();
                let words = format!(
                    "checkpoint.monitor = \"{monitor}\": there is no such metric, so none is the best; there are {}",
                    known.join(", ")
                );
                self.warn(words);
            }
            return Ok(());
        };
        let better = |best: f64| match self.built.recipe.monitor_mode() {
            Mode::Min => value < best,
            Mode::Max => value > best,
        };
        if value.is_finite() && self.now.best.is_none_or(|(best, _)| better(best)) {
            self.now.best = Some((value, self.now.at.step));
        }
        self.now.lr.observe(value);
        if self.now.own.phases.watches(&self.built.schedule) {
            // A metric that stands still brings the next phase, not the end.
            return self.observe_phase(value);
        }
        if self.now.early.as_mut().is_some_and(|e| e.observe(value)) {
            self.now.own.early_stopped = true;
        }
        Ok(())
    }

    fn say_skipped_data(&mut self) {
        let (count, which) = self.built.data.skipped();
        if count > self.said_skipped {
            skipped_words(&which).into_iter().for_each(|words| self.warn(words));
            self.said_skipped = count;
        }
    }

    /// The planned end: a checkpoint, the audit, the last word.
    pub(super) fn finish(&mut self) -> Result<End, TrainError> {
        if let Some(end) = self.settle()? {
            return Ok(end);
        }
        if self.now.own.skipped > 0 {
            let skipped = self.now.own.skipped;
            self.warn(format!("{skipped} steps were skipped because of gradients that are not finite"));
        }
        if self.now.own.early_stopped && self.now.at.step < self.total {
            let recipe = &self.built.recipe;
            let times = match recipe.train.early_stopping_patience {
                1 => "1 validation".to_owned(),
                n => format!("{n} validations in a row"),
            };
            let words = format!(
                "stopped early, at step {} of {}: {} did not improve in {times} (train.early_stopping_patience)",
                self.now.at.step, self.total, recipe.checkpoint.monitor
            );
            self.warn(words);
        }
        if let Err(e) = self.save_surely("end")? {
            return Ok(End::Failed(format!(
                "the run reached its end, but its last checkpoint could not be written: {e}"
            )));
        }
        self.audit()?;
        Ok(End::Finished(last_metrics(&self.now.metrics)))
    }

    /// Says what moved since step 0, and warns where that is not as it was meant. All reports must be in.
    fn audit(&mut self) -> Result<(), TrainError> {
        let weights = self.built.learner.snapshot()?.weights;
        let norms = self.built.recipe.freeze.batch_norm;
        // A rate of 0 in every step: it learns and does not move.
        let (tree, own) = (self.built.learner.tree(), &self.now.own);
        let still = |name: &str| !own.updated || own.learned.is_at_rest(name);
        let verdict = audit::judge(tree, &own.learned, norms, &self.now.initial, &weights, still);
        let said = verdict.words();
        self.say(verdict.event());
        if let Some(words) = said {
            self.warn(words);
        }
        Ok(())
    }
}

fn last_metrics(metrics: &Metrics) -> Metrics {
    metrics.iter().filter(|(_, v)| v.is_finite()).map(|(n, v)| (n.clone(), *v)).collect()
}
