//! A live run goes over to other devices: its state is saved, a learner built there, and the same run goes on from it.

use crate::core::checkpoint::policy::Reason;
use crate::core::event::Event;
use crate::core::recipe::Recipe;

use super::TrainError;
use super::build::{self, Built, Placed};
use super::trainer::Trainer;

impl Trainer<'_> {
    /// From the next step on. Whatever keeps it from that is answered, and the run stays where it is. All reports must be in.
    pub(super) fn set_devices(&mut self, devices: Vec<String>) -> Result<Result<String, String>, TrainError> {
        let stays = |words: String| format!("{words}; the run stays on {}", names(&self.built.devices));
        let mut recipe = self.built.recipe.clone();
        recipe.train.devices = devices;
        let checked = recipe.validate().map_err(TrainError::from);
        let resolved = checked.and_then(|()| Ok(self.engine.resolve_devices(&recipe.train.devices)?));
        let devices = match resolved {
            Ok(devices) => devices,
            Err(e) => return Ok(Err(stays(e.to_string()))),
        };
        if devices == self.built.devices {
            return Ok(Ok(format!("it is on {} already", names(&devices))));
        }
        self.go_over(recipe, &devices)
    }

    /// To devices, whether they are other ones or not.
    pub(super) fn go_over(&mut self, recipe: Recipe, devices: &[String]) -> Result<Result<String, String>, TrainError> {
        let before = self.built.devices.clone();
        let name = match self.save(Reason::Devices.as_str())? {
            Ok(name) => name,
            Err(e) => return Ok(Err(format!("{e}; the run stays on {}", names(&before)))),
        };
        let snapshot = self.built.learner.snapshot()?;
        let free = build::memory_free(self.engine, devices);
        let built = build::learner(self.engine, &recipe, &self.built.data, devices).and_then(|mut placed| {
            placed.learner.restore_weights(&snapshot.weights)?;
            placed.learner.restore_optimizer(&snapshot.optimizer, &snapshot.extra)?;
            placed.learner.apply_freeze(&self.built.resolution)?;
            Ok(placed)
        });
        match built {
            Ok(placed) => self.built.settle_on(recipe, placed, free),
            Err(e) => return Ok(Err(format!("{e}; the run stays on {}", names(&before)))),
        }
        if let Some(telemetry) = self.engine.telemetry() {
            self.watch(telemetry);
        }
        // Its batches are of the ranks before.
        self.loader = None;
        // Recorded where the next resume looks; the checkpoint has the recipe of the place that it was written at.
        let kept = self.run.meta().and_then(|mut meta| {
            meta.recipe.train.devices.clone_from(&self.built.recipe.train.devices);
            self.run.save_meta(&meta)
        });
        let (before, now) = (names(&before), names(&self.built.devices));
        if let Err(e) = kept {
            self.warn(format!("{e}; a resume of the run will look for {before} again"));
        }
        self.say(Event::DevicesChanged { devices: self.built.devices.clone() });
        let kind = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        if kind(&before) != kind(&now) {
            self.warn(format!("the run was on {before} until {name} and goes on on {now}: the last bits will differ"));
        }
        Ok(Ok(format!("goes on on {now} from {name}")))
    }
}

fn names(devices: &[String]) -> String {
    devices.join(", ")
}

impl Built {
    /// The learner of another place.
    fn settle_on(&mut self, recipe: Recipe, placed: Placed, free: Option<u64>) {
        let Placed { learner, devices, data } = placed;
        (self.recipe, self.learner, self.devices, self.data, self.memory_free) = (recipe, learner, devices, data, free);
    }
}
