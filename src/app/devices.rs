//! What the Devices screen knows: the last readings, the engine's word on what can be used, and the devices that are picked
//! for the next run.

use std::collections::{HashMap, VecDeque};

use crate::core::device::{self, DeviceInfo, DeviceKind, Gpu, Gpus, Reading, Survey};

/// Readings of a load that are kept, one a second.
pub const KEPT: usize = 60;

/// Whether a device can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none of this kind.
    Absent,
    /// It cannot be used.
    Unusable,
    /// It gives no readings.
    Troubled,
    /// The engine has not said yet.
    Unknown,
    /// It can.
    Usable,
}

/// The devices.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// The last readings; `None` until there are any.
    pub survey: Option<Survey>,
    /// What the engine says of them, or why there is none.
    infos: Option<Result<Vec<DeviceInfo>, String>>,
    /// Line under the cursor.
    pub cursor: usize,
    /// Those picked for the next run, in the order of the list.
    picked: Vec<String>,
    loads: HashMap<String, VecDeque<Option<f64>>>,
}

impl Devices {
    /// The devices, if they are known.
    pub fn rows(&self) -> &[Reading] {
        self.survey.as_ref().map_or(&[], |s| s.devices.as_slice())
    }

    /// The device under the cursor.
    pub fn selected(&self) -> Option<&Reading> {
        self.rows().get(self.cursor)
    }

    /// Whether the engine's word is still to come.
    pub fn asks_engine(&self) -> bool {
        self.infos.is_none()
    }

    /// Why nothing can be trained at all.
    pub fn no_engine(&self) -> Option<&str> {
        self.infos.as_ref().and_then(|i| i.as_ref().err()).map(String::as_str)
    }

    /// New readings.
    pub fn take(&mut self, mut survey: Survey) {
        if let Some(Ok(infos)) = &self.infos {
            survey.heed(infos);
        }
        for reading in survey.devices.iter().filter(|d| !d.is_absent()) {
            let loads = self.loads.entry(reading.name.clone()).or_default();
            loads.push_back(reading.load);
            if loads.len() > KEPT {
                loads.pop_front();
            }
        }
        self.put(survey);
    }

    /// The engine's word.
    pub fn heed(&mut self, infos: Result<Vec<DeviceInfo>, String>) {
        self.infos = Some(infos);
        if let (Some(mut survey), Some(Ok(infos))) = (self.survey.clone(), &self.infos) {
            survey.heed(infos);
            self.put(survey);
        }
    }

    fn put(&mut self, survey: Survey) {
        // The list may have grown or shrunk above the cursor.
        let selected = self.selected().map(|d| d.name.clone());
        self.survey = Some(survey);
        let at = self.rows().iter().position(|d| Some(&d.name) == selected.as_ref());
        self.cursor = at.unwrap_or(self.cursor).min(self.rows().len().saturating_sub(1));
    }

    /// Whether a device can be used.
    pub fn state(&self, device: &Reading) -> State {
        match (&device.unusable, &device.problem) {
            (Some(_), _) if device.is_absent() => State::Absent,
            (Some(_), _) => State::Unusable,
            (None, Some(_)) => State::Troubled,
            (None, None) if device.kind == DeviceKind::Cuda && self.infos.is_none() => State::Unknown,
            (None, None) => State::Usable,
        }
    }

    /// Loads of the last minute, the newest last.
    pub fn loads(&self, name: &str) -> Vec<Option<f64>> {
        self.loads.get(name).map(|l| l.iter().copied().collect()).unwrap_or_default()
    }

    /// The devices picked for the next run.
    pub fn picked(&self) -> &[String] {
        &self.picked
    }

    /// Whether a device is picked.
    pub fn is_picked(&self, name: &str) -> bool {
        self.picked.iter().any(|p| p == name)
    }

    /// Nothing is picked any more; whether anything was.
    pub fn unpick(&mut self) -> bool {
        !std::mem::take(&mut self.picked).is_empty()
    }

    /// Picks the device under the cursor, or puts it back.
    ///
    /// # Errors
    /// Why it cannot be picked, in words.
    pub fn toggle(&mut self) -> Result<(), String> {
        let Some(device) = self.selected() else { return Err("there is no device here".to_owned()) };
        let name = device.name.clone();
        if self.is_picked(&name) {
            self.picked.retain(|p| *p != name);
            return Ok(());
        }
        match (self.state(device), device.unusable.as_ref().or(device.problem.as_ref())) {
            (State::Absent, Some(why)) => return Err(why.clone()),
            (State::Unusable | State::Troubled, Some(why)) => return Err(format!("{name} cannot be used: {why}")),
            _ => {}
        }
        if let Some(problem) = self.no_engine() {
            return Err(problem.to_owned());
        }
        let mut picked: Vec<String> = self.rows().iter().map(|d| d.name.clone()).collect();
        picked.retain(|n| *n == name || self.is_picked(n));
        // The same words as for a recipe.
        device::choose(&picked, &self.gpus(), None).map_err(|e| e.trim_start_matches("train.devices: ").to_owned())?;
        self.picked = picked;
        Ok(())
    }

    /// What `auto` and the like choose from.
    fn gpus(&self) -> Gpus {
        let of = |d: &&Reading| d.kind == DeviceKind::Cuda && !d.is_absent();
        let gpus: Vec<&Reading> = self.rows().iter().filter(of).collect();
        let absent = self.rows().iter().find(|d| d.kind == DeviceKind::Cuda && d.is_absent());
        match gpus.first() {
            None => Gpus::Absent(absent.and_then(|d| d.unusable.clone()).unwrap_or_default()),
            Some(first) if gpus.iter().all(|g| g.unusable.is_some()) => {
                Gpus::Unusable(first.unusable.clone().unwrap_or_default())
            }
            Some(_) => Gpus::Usable(gpus.into_iter().map(gpu).collect()),
        }
    }

    /// The devices that a recipe's `train.devices` would mean now, or why it means none.
    ///
    /// # Errors
    /// In words.
    pub fn meant(&self, asked: &[String]) -> Result<Vec<String>, String> {
        device::choose(asked, &self.gpus(), None)
    }

    /// Why no GPU can be used, if so.
    pub fn cuda_off(&self) -> Option<String> {
        match self.gpus() {
            Gpus::Absent(why) | Gpus::Unusable(why) => Some(why).filter(|w| !w.is_empty()),
            Gpus::Usable(_) => None,
        }
    }
}

fn gpu(reading: &Reading) -> Gpu {
    let well = reading.problem.is_none() && reading.unusable.is_none();
    let total = (reading.memory_total > 0).then_some(reading.memory_total);
    Gpu { free: Some(if well { reading.memory_free } else { 0 }), total, load: reading.load }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    fn usual() -> Devices {
        let mut devices = Devices::default();
        devices.take(sample::survey(2));
        devices.heed(Ok(Vec::new()));
        devices
    }

    fn pick(devices: &mut Devices, row: usize) -> Result<(), String> {
        devices.cursor = row;
        devices.toggle()
    }

    #[test]
    fn one_or_several_of_a_kind_are_picked_in_the_order_of_the_list() {
        let mut devices = usual();
        pick(&mut devices, 2).unwrap();
        pick(&mut devices, 1).unwrap();
        assert_eq!(devices.picked(), ["cuda:0", "cuda:1"]);
        pick(&mut devices, 1).unwrap();
        assert_eq!(devices.picked(), ["cuda:1"]);
        assert!(devices.unpick() && !devices.unpick());
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let mut devices = usual();
        pick(&mut devices, 1).unwrap();
        assert!(pick(&mut devices, 0).unwrap_err().contains("cannot share one run"));
        assert!(pick(&mut devices, 3).unwrap_err().contains("macOS"));
        let mut survey = sample::survey(2);
        survey.devices[2].unusable = Some("driver too old".to_owned());
        devices.take(survey);
        assert_eq!(pick(&mut devices, 2).unwrap_err(), "cuda:1 cannot be used: driver too old");
        assert_eq!(devices.picked(), ["cuda:0"]);
        devices.heed(Err("built without libtorch".to_owned()));
        devices.unpick();
        assert_eq!(pick(&mut devices, 0).unwrap_err(), "built without libtorch");
        assert!(Devices::default().toggle().is_err());
    }

    #[test]
    fn what_a_recipe_means_follows_the_readings() {
        let auto = ["auto".to_owned()];
        assert_eq!(usual().meant(&auto).unwrap(), ["cuda:0"]);
        let mut devices = Devices::default();
        devices.take(sample::survey(0));
        assert_eq!(devices.meant(&auto).unwrap(), ["cpu"]);
        assert!(devices.meant(&["cuda:0".to_owned()]).unwrap_err().contains("no NVIDIA GPU"));
        assert_eq!(devices.cuda_off().as_deref(), Some("no NVIDIA GPU on this machine"));
    }

    #[test]
    fn loads_of_a_minute_are_kept_and_the_cursor_stays_on_its_device() {
        let mut devices = Devices::default();
        devices.take(sample::survey(2));
        devices.cursor = 3;
        for _ in 0..KEPT {
            devices.take(sample::survey(8));
        }
        assert_eq!(devices.loads("cuda:0").len(), KEPT);
        assert_eq!(devices.loads("cuda:7").len(), KEPT);
        assert_eq!(devices.selected().map(|d| d.name.as_str()), Some("mps"));
        assert_eq!(devices.state(&devices.rows()[1]), State::Unknown, "the engine has not spoken");
    }
}
