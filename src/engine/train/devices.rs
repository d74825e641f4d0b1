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
        let said = self.built.learner.warnings();
        let name = match self.save(Reason::Devices.as_str())? {
            Ok(name) => name,
            Err(e) => return Ok(Err(format!("{e}; the run stays on {}", names(&before)))),
        };
        let snapshot = self.built.learner.snapshot()?;
        // It stands beside the new one until that is whole, perhaps on one of its devices.
        let roomy = self.built.learner.make_room().map_err(TrainError::from);
        let free = build::memory_free(self.engine, devices);
        let built = roomy.and_then(|()| {
            let mut placed = build::learner(self.engine, &recipe, &self.built.data, devices)?;
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
        let now = self.built.devices.clone();
        if let Err(e) = kept {
            self.warn(format!("{e}; a resume of the run will look for {} again", names(&before)));
        }
        self.say(Event::DevicesChanged { devices: now.clone() });
        let other_bits = Place::of(&before).other_bits(Place::of(&now), &name);
        let new = self.built.learner.warnings().into_iter().filter(|warning| !said.contains(warning));
        new.chain(other_bits).for_each(|warning| self.warn(warning));
        let now = names(&now);
        Ok(Ok(format!("goes on on {now} from {name}")))
    }
}

/// Where a run computes, as far as its bits depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Of the first rank.
    pub device: &'a str,
    /// How many share a batch.
    pub ranks: usize,
}

impl<'a> Place<'a> {
    pub fn of(devices: &'a [String]) -> Self {
        Self { device: devices.first().map_or("cpu", String::as_str), ranks: devices.len().max(1) }
    }

    fn words(self) -> String {
        match self.ranks {
            1 => self.device.to_owned(),
            n => format!("{n} devices ({}, …)", self.device),
        }
    }

    /// What a user should know of a run that was here `until` then: bits are the same on one kind of device only, and sums over
    /// a batch depend on how many share it.
    pub fn other_bits(self, now: Place<'_>, until: &str) -> Option<String> {
        let bits = |place: Place<'_>| (place.device.split(':').next().unwrap_or_default().to_owned(), place.ranks);
        (bits(self) != bits(now)).then(|| {
            format!(
                "the run was on {} until {until} and goes on on {}: the last bits will differ",
                self.words(),
                now.words()
            )
        })
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

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn bits_depend_on_the_kind_of_device_and_on_the_number_of_ranks() {
        let words = |then: (&str, usize), now: (&str, usize)| {
            let place = |(device, ranks)| Place { device, ranks };
            place(then).other_bits(place(now), "step 7")
        };
        assert_eq!(words(("cpu", 1), ("cpu:0", 1)), None);
        assert_eq!(words(("cuda:0", 2), ("cuda:2", 2)), None);
        let kind = "the run was on cuda:0 until step 7 and goes on on cpu: the last bits will differ";
        assert_eq!(words(("cuda:0", 1), ("cpu", 1)).as_deref(), Some(kind));
        let ranks = "the run was on 2 devices (cpu:0, …) until step 7 and goes on on cpu: the last bits will differ";
        assert_eq!(words(("cpu:0", 2), ("cpu", 1)).as_deref(), Some(ranks));
    }
}
