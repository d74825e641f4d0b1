//! The freeze schedule, carried out between two steps. What is decided lies in `core::freeze::Progress`, which is kept in
//! every checkpoint: a resumed run changes its plan where an undisturbed one would.

use crate::core::checkpoint::CheckpointStore;
use crate::core::event::Event;

use super::TrainError;
use super::begin::engine_extra;
use super::trainer::{Flow, Trainer};

/// Why the best checkpoint of a phase was written.
const PHASE_BEST: &str = "phase_best";

impl Trainer<'_> {
    /// Begins the phases whose time has come, if there are any.
    pub(super) fn begin_phase(&mut self) -> Flow {
        let over = self.now.at.step >= self.total || self.now.own.early_stopped || self.now.own.boundary_due;
        if over || !self.phase_due() {
            return Ok(None);
        }
        if let Some(end) = self.settle()? {
            return Ok(Some(end));
        }
        self.change_phase()?;
        Ok(None)
    }

    fn phase_due(&self) -> bool {
        self.now.own.phases.due(&self.built.schedule, self.now.at.epoch, self.now.at.step).is_some()
    }

    /// [`Trainer::begin_phase`] where all reports are in and there is a next step.
    pub(super) fn change_phase(&mut self) -> Result<(), TrainError> {
        let at = self.now.at;
        while let Some(phase) = self.now.own.phases.due(&self.built.schedule, at.epoch, at.step).cloned() {
            self.restore_phase_best()?;
            let number = self.now.own.phases.taken();
            self.now.own.phases.advance();
            self.saved = None;
            let mut plan = self.built.plan.clone();
            let changed = phase.apply(&mut plan).map_err(|e| e.to_string()).and_then(|()| self.change_plan(plan));
            if let Err(words) = changed {
                // It was sound at the start: an edit of the live run has changed what it builds on.
                self.warn(format!("freeze.schedule[{number}] (at {}): {words}", phase.at));
            }
            if phase.lr_scale != 1.0 {
                self.now.base_lr *= phase.lr_scale;
                self.say(Event::LrChanged { lr: self.now.base_lr });
            }
        }
        Ok(())
    }

    /// The monitored metric, where the next phase waits for it.
    pub(super) fn observe_phase(&mut self, value: f64) -> Result<(), TrainError> {
        let step = self.now.at.step;
        if self.now.own.phases.observe(&self.built.schedule, value, step) && self.built.schedule.restores() {
            // A failure is said; the next phase then begins with the last state.
            self.save_soon(PHASE_BEST)?;
        }
        Ok(())
    }

    /// The step of the checkpoint that the end of the phase needs; it is not removed before.
    pub(super) fn phase_best_step(&self) -> Option<u64> {
        self.now.own.phases.best_step().filter(|_| self.built.schedule.restores())
    }

    /// Weights, optimizer state and validation metrics of the phase's best checkpoint.
    fn restore_phase_best(&mut self) -> Result<(), TrainError> {
        let Some(name) = self.phase_best_step().map(CheckpointStore::name_of) else { return Ok(()) };
        // It may be on its way.
        self.written(true);
        match self.store.load(&name) {
            Ok(best) => {
                super::build::restore(&mut *self.built.learner, &best.weights)?;
                self.built.learner.restore_optimizer(&best.optimizer, &engine_extra(&best.state))?;
                let monitor = &self.built.recipe.checkpoint.monitor;
                let metrics = best.state.metrics.into_iter().filter(|(n, _)| n.starts_with("val/") || n == monitor);
                self.now.metrics.extend(metrics);
                self.warn(format!("freeze.schedule: {name}, the best of the phase, is restored before the next one"));
            }
            Err(e) => {
                self.warn(format!("freeze.schedule: the best of the phase cannot be restored, so the last stays: {e}"));
            }
        }
        Ok(())
    }
}
