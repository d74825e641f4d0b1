//! Load and memory of a run's devices, read every few seconds on a thread of its own, for the metrics of the steps.
//!
//! Owned by the trainer, which looks at a flag after each step and never waits: the driver may take its time to answer. Dropping the
//! [`Watch`] ends the thread; one that the driver holds up is not waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::core::device::{Reading, Survey};
use crate::engine::telemetry::Telemetry;

/// Until the first reading: a load is that of some time.
const FIRST: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1000 });
/// Between two readings.
const PERIOD: Duration = Duration::from_secs(5);

/// What was read and not yet taken.
#[derive(Debug, Default)]
struct Latest {
    fresh: AtomicBool,
    values: Mutex<Vec<(String, f64)>>,
}

/// The trainer's end of the thread. Watches nothing by default.
#[derive(Debug, Default)]
pub struct Watch {
    latest: Arc<Latest>,
    /// Dropped to end the thread.
    _end: Option<Sender<()>>,
}

impl Watch {
    /// Watches these devices. Where the thread cannot be had, nothing is watched.
    pub fn start(telemetry: Telemetry, devices: Vec<String>) -> Self {
        Self::every(FIRST, PERIOD, telemetry, devices)
    }

    fn every(first: Duration, period: Duration, mut telemetry: Telemetry, devices: Vec<String>) -> Self {
        let latest = Arc::new(Latest::default());
        let (end, ended) = channel();
        let theirs = Arc::clone(&latest);
        let work = move || {
            // The CPU's load is that since the reading before.
            telemetry.survey();
            let mut wait = first;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = period;
                theirs.put(values(&telemetry.survey(), &devices));
            }
        };
        let thread = std::thread::Builder::new().name("frostline-device".to_owned()).spawn(work);
        Self { latest, _end: thread.is_ok().then_some(end) }
    }

    /// What was read since the last call; most often nothing.
    pub fn take(&self) -> Vec<(String, f64)> {
        if !self.latest.fresh.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.latest.values.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Latest {
    fn put(&self, values: Vec<(String, f64)>) {
        *self.values.lock().unwrap_or_else(PoisonError::into_inner) = values;
        self.fresh.store(true, Ordering::Release);
    }
}

/// `device/<name>/load` and the like. Replicas on the CPU share one.
fn values(survey: &Survey, devices: &[String]) -> Vec<(String, f64)> {
    let mut names: Vec<&str> = Vec::new();
    for name in devices {
        let name = if name.starts_with("cpu") { "cpu" } else { name.as_str() };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let read = names.iter().filter_map(|name| survey.get(name)).filter(|r| r.problem.is_none());
    read.flat_map(of).collect()
}

fn of(reading: &Reading) -> impl Iterator<Item = (String, f64)> + '_ {
    let memory = (reading.memory_total > 0).then_some(reading.memory_used as f64);
    let values =
        [("load", reading.load), ("memory", memory), ("temperature", reading.temperature), ("power", reading.power)];
    values.into_iter().filter_map(|(what, value)| Some((format!("device/{}/{what}", reading.name), value?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::telemetry::{Environment, FakeGpu, FakeGpus};

    fn telemetry() -> Telemetry {
        let gpus = vec![FakeGpu::busy(0, 40, 0.5), FakeGpu { dies_after: Some(0), ..FakeGpu::idle(1) }];
        Telemetry::with(Ok(Box::new(FakeGpus::new(gpus))), &Environment::default())
    }

    #[test]
    fn values_have_the_devices_names_and_what_is_not_told_is_left_out() {
        let survey = telemetry().survey();
        let names = |devices: &[&str]| -> Vec<String> {
            let devices: Vec<String> = devices.iter().map(|d| (*d).to_owned()).collect();
            values(&survey, &devices).into_iter().map(|(name, _)| name).collect()
        };
        let of_gpu = ["load", "memory", "temperature", "power"].map(|w| format!("device/cuda:0/{w}"));
        assert_eq!(names(&["cuda:0", "cuda:1"]), of_gpu, "the second one is lost");
        assert_eq!(names(&["cpu:0", "cpu:1"]), ["device/cpu/memory"], "one CPU; no load at the first reading");
        assert_eq!(values(&survey, &["cuda:0".to_owned()])[1].1, f64::from(40 << 10) * f64::from(1 << 20));
    }

    #[test]
    fn a_reading_is_taken_once() {
        let short = Duration::from_millis(1);
        let watch = Watch::every(short, Duration::from_secs(3600), telemetry(), vec!["cuda:0".to_owned()]);
        let values = loop {
            match watch.take() {
                none if none.is_empty() => std::thread::sleep(short),
                values => break values,
            }
        };
        assert_eq!(values[0], ("device/cuda:0/load".to_owned(), 0.5));
        assert!(watch.take().is_empty());
        assert!(Watch::default().take().is_empty());
    }
}
