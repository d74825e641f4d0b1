//! Checkpoints as the trainer makes them: what goes in, what happens when the disk is full, what is removed after.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::core::checkpoint::{DataState, TrainState, policy};
use crate::core::event::Event;
use crate::engine::Snapshot;

use super::TrainError;
use super::begin::OWN;
use super::output::now_ms;
use super::trainer::Trainer;

/// The name of the checkpoint, or why there is none (in words, already said as an event).
pub type Saved = Result<String, String>;

/// Waits before each further try, where a checkpoint must not fail for a moment's full disk.
const PATIENCE: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(800), Duration::from_millis(2000)];

impl Trainer<'_> {
    /// Saves the present state, unless a checkpoint holds it already. All reports must be in. A failure to write is said;
    /// the run goes on and the older checkpoints stand.
    pub(super) fn save(&mut self, reason: &str) -> Result<Saved, TrainError> {
        if let Some(name) = &self.saved {
            return Ok(Ok(name.clone()));
        }
        let snapshot = self.built.learner.snapshot()?;
        Ok(self.write(reason, &snapshot))
    }

    /// [`Trainer::save`] with a little patience: at an end there is no later.
    pub(super) fn save_surely(&mut self, reason: &str) -> Result<Saved, TrainError> {
        if let Some(name) = &self.saved {
            return Ok(Ok(name.clone()));
        }
        let snapshot = self.built.learner.snapshot()?;
        let mut saved = self.write(reason, &snapshot);
        for wait in PATIENCE {
            if saved.is_ok() {
                break;
            }
            std::thread::sleep(wait);
            saved = self.write(reason, &snapshot);
        }
        Ok(saved)
    }

    fn write(&mut self, reason: &str, snapshot: &Snapshot) -> Saved {
        // The metrics before a checkpoint must not be younger than it.
        self.out.flush();
        // A failed try counts too: the next is at the next due time, not at the next step.
        self.last_save = Instant::now();
        let state = self.state(reason, snapshot);
        match self.store.write(&state, &snapshot.weights, &snapshot.optimizer) {
            Ok(info) => {
                self.saved = Some(info.name.clone());
                let (name, bytes, reason) = (info.name.clone(), info.bytes, info.reason);
                self.say(Event::CheckpointWritten { name, bytes, reason });
                self.prune();
                Ok(info.name)
            }
            Err(e) => {
                let message = e.to_string();
                self.say(Event::CheckpointFailed { message: message.clone() });
                Err(message)
            }
        }
    }

    fn state(&self, reason: &str, snapshot: &Snapshot) -> TrainState {
        let now = &self.now;
        let info = self.built.data.info();
        let mut extra = snapshot.extra.clone();
        if let Ok(own) = serde_json::to_value(&now.own) {
            extra.insert(OWN.to_owned(), own);
        }
        TrainState {
            step: now.at.step,
            epoch: now.at.epoch,
            step_in_epoch: now.at.step_in_epoch,
            samples_seen: now.at.samples_seen,
            seed: self.built.recipe.train.seed,
            base_lr: now.base_lr,
            lr_schedule: now.lr.clone(),
            early_stopping: now.early.clone(),
            freeze_rules: self.built.plan.rules(),
            metrics: now.metrics.clone(),
            best: now.best.map(|(value, _)| value),
            best_step: now.best.map(|(_, step)| step),
            extra,
            data: DataState {
                fingerprint: info.fingerprint.clone(),
                class_names: info.class_names.clone(),
                preprocessing: info.preprocessing.clone(),
                sample_shape: info.sample_shape.clone(),
                outputs: self.built.recipe.model.num_classes.unwrap_or(info.outputs),
            },
            versions: BTreeMap::from([
                ("engine".to_owned(), self.built.engine.clone()),
                ("frostline".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ]),
            reason: reason.to_owned(),
            time_ms: now_ms(),
            nth: if now.own.due_at == now.at.step { now.own.due } else { 0 },
            needs: self.phase_best_step(),
            initial_hashes: now.initial.clone(),
            recipe: self.built.recipe.clone(),
            ..TrainState::default()
        }
    }

    fn prune(&mut self) {
        let infos = self.store.list();
        let mut names = policy::to_remove(&infos, &self.built.recipe.checkpoint);
        let needed = self.phase_best();
        names.retain(|name| Some(name) != needed.as_ref());
        for name in names {
            match self.store.remove(&name) {
                Ok(()) => self.say(Event::CheckpointRemoved { name }),
                Err(e) => self.warn(format!("{e}; it is tried again later")),
            }
        }
    }
}
