//! A live run goes over to other devices: its state is saved, a learner built there, and the same run goes on from it.

use crate::core::checkpoint::policy::Reason;
use crate::core::event::Event;
use crate::core::recipe::Recipe;

use super::TrainError;
use super::build::{self, Built};
use super::trainer::Trainer;

impl Trainer<'_> {
    /// From the next step on. Whatever keeps it from that is answered, and the run stays where it is. All reports must be in.
    pub(super) fn set_devices(&mut self, devices: Vec<String>) -> Result<Result<String, String>, TrainError> {
        let stays = |words: String| format!("{words}; the run stays on {}", self.built.device);
        let mut recipe = self.built.recipe.clone();
        recipe.train.devices = devices;
        let checked = recipe.validate().map_err(TrainError::from);
        let device = match checked.and_then(|()| build::one_device(self.engine, &recipe)) {
            Ok(device) => device,
            Err(e) => return Ok(Err(stays(e.to_string()))),
        };
        if device == self.built.device {
            return Ok(Ok(format!("it is on {device} already")));
        }
        self.go_over(recipe, device)
    }

    /// To a device, whether it is another one or not.
    pub(super) fn go_over(&mut self, recipe: Recipe, device: String) -> Result<Result<String, String>, TrainError> {
        let before = self.built.device.clone();
        let name = match self.save(Reason::Devices.as_str())? {
            Ok(name) => name,
            Err(e) => return Ok(Err(format!("{e}; the run stays on {before}"))),
        };
        let snapshot = self.built.learner.snapshot()?;
        let free = build::memory_free(self.engine, &device);
        let built = build::learner(self.engine, &recipe, &self.built.data, &device).and_then(|mut learner| {
            learner.restore_weights(&snapshot.weights)?;
            learner.restore_optimizer(&snapshot.optimizer, &snapshot.extra)?;
            learner.apply_freeze(&self.built.resolution)?;
            Ok(learner)
        });
        match built {
            Ok(learner) => self.built.settle_on(recipe, learner, device.clone(), free),
            Err(e) => return Ok(Err(format!("{e}; the run stays on {before}"))),
        }
        if let Some(telemetry) = self.engine.telemetry() {
            self.watch(telemetry);
        }
        // Recorded where the next resume looks; the checkpoint has the recipe of the place that it was written at.
        let kept = self.run.meta().and_then(|mut meta| {
            meta.recipe.train.devices.clone_from(&self.built.recipe.train.devices);
            self.run.save_meta(&meta)
        });
        if let Err(e) = kept {
            self.warn(format!("{e}; a resume of the run will look for {before} again"));
        }
        self.say(Event::DevicesChanged { devices: vec![device.clone()] });
        let kind = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        if kind(&before) != kind(&device) {
            self.warn(format!(
                "the run was on {before} until {name} and goes on on {device}: the last bits will differ"
            ));
        }
        Ok(Ok(format!("goes on on {device} from {name}")))
    }
}

impl Built {
    /// The learner of another place.
    fn settle_on(
        &mut self,
        recipe: Recipe,
        learner: Box<dyn crate::engine::Learner>,
        device: String,
        free: Option<u64>,
    ) {
        (self.recipe, self.learner, self.device, self.memory_free) = (recipe, learner, device, free);
    }
}
