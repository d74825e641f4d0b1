//! Checkpoints as the trainer makes them: what goes in, who waits for the disk, what happens when it is full. `saver` writes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::core::checkpoint::{CheckpointInfo, CheckpointStore, DataState, TrainState};
use crate::core::event::Event;
use crate::engine::Snapshot;

use super::TrainError;
use super::begin::OWN;
use super::output::now_ms;
use super::saver::{Done, Job};
use super::trainer::Trainer;

/// The name of the checkpoint, or why there is none (in words, already said as an event).
pub type Saved = Result<String, String>;

/// Waits before each further try, where a checkpoint must not fail for a moment's full disk.
const PATIENCE: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(800), Duration::from_millis(2000)];

impl Trainer<'_> {
    /// Saves the present state and waits until it is on the disk, unless a checkpoint holds it already. All reports must be
    /// in. A failure to write is said; the run goes on and the older checkpoints stand.
    pub(super) fn save(&mut self, reason: &str) -> Result<Saved, TrainError> {
        // What is on its way may be this very state.
        self.written(true);
        if let Some(name) = &self.saved {
            return Ok(Ok(name.clone()));
        }
        self.save_soon(reason)?;
        Ok(self.written(true).unwrap_or_else(|| Err("no checkpoint was written; this is a bug".to_owned())))
    }

    /// [`Trainer::save`] with a little patience: at an end there is no later.
    pub(super) fn save_surely(&mut self, reason: &str) -> Result<Saved, TrainError> {
        let mut saved = self.save(reason)?;
        for wait in PATIENCE {
            if saved.is_ok() {
                break;
            }
            std::thread::sleep(wait);
            saved = self.save(reason)?;
        }
        Ok(saved)
    }

    /// Copies the present state to host memory and lets another thread write it, unless a checkpoint holds it or will. All
    /// reports must be in. One that is still being written is waited for first. What comes of it is said between two later
    /// steps.
    pub(super) fn save_soon(&mut self, reason: &str) -> Result<(), TrainError> {
        if self.saved.is_some() {
            return Ok(());
        }
        self.written(true);
        let mut snapshot = self.saver.buffers();
        self.built.learner.snapshot_into(&mut snapshot)?;
        // A failed try counts too: the next is at the next due time, not at the next step.
        self.last_save = Instant::now();
        let state = self.state(reason, &snapshot);
        self.saved = Some(CheckpointStore::name_of(state.step));
        let metrics = self.out.hand_over();
        self.saver.begin(Job { state, snapshot, metrics });
        Ok(())
    }

    /// Says what came of the checkpoint on its way, if it is written, or once it is.
    pub(super) fn written(&mut self, wait: bool) -> Option<Saved> {
        let Done { name, written, removed, metrics, .. } = self.saver.outcome(wait)?;
        self.out.flushed(metrics);
        // With the last step that was reported: a later one may still be taken back.
        let step = self.out.step();
        let saved = match written {
            Ok(CheckpointInfo { name, bytes, reason, .. }) => {
                self.out.say(step, Event::CheckpointWritten { name: name.clone(), bytes, reason });
                Ok(name)
            }
            Err(message) => {
                // The state that it was to hold may be gone by now.
                if self.saved.as_ref() == Some(&name) {
                    self.saved = None;
                }
                self.out.say(step, Event::CheckpointFailed { message: message.clone() });
                Err(message)
            }
        };
        for removed in removed {
            match removed {
                Ok(name) => self.out.say(step, Event::CheckpointRemoved { name }),
                Err(e) => self.out.warn(step, format!("{e}; it is tried again later")),
            }
        }
        Some(saved)
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
}
