//! What the event log says about a run so far, folded event by event, and the cache that spares reading a long log again.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{RunStatus, log};
use crate::core::event::{Event, Record};
use crate::core::io;
use crate::core::recipe::Mode;

/// The fold of a run's events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The last word on the run's life; `None` before it started.
    pub life: Option<RunStatus>,
    /// Optimizer steps done at the last event.
    pub step: u64,
    /// Optimizer steps planned; 0 before it started.
    pub steps: u64,
    /// Optimizer steps of an epoch; 0 before it started.
    pub steps_per_epoch: u64,
    /// Why it stopped or failed.
    pub message: Option<String>,
    /// When the last event was, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Improvements of the monitored metric, (step, value); the last is the best. All are kept, because a resume from an
    /// older checkpoint takes back the later ones.
    pub improvements: Vec<(u64, f64)>,
}

impl Progress {
    /// Takes in one more event.
    pub fn fold(&mut self, record: &Record, monitor: &str, mode: Mode) {
        self.step = record.step;
        self.time_ms = record.time_ms;
        match &record.event {
            Event::Started { steps, steps_per_epoch, resumed_from, .. } => {
                self.life = Some(RunStatus::Running);
                (self.steps, self.steps_per_epoch) = (*steps, *steps_per_epoch);
                self.message = None;
                self.improvements.retain(|(step, _)| resumed_from.is_some_and(|from| *step <= from));
            }
            Event::Paused => self.life = Some(RunStatus::Paused),
            Event::Continued => self.life = Some(RunStatus::Running),
            Event::Finished { .. } => self.life = Some(RunStatus::Finished),
            Event::Stopped { reason } => {
                self.life = Some(RunStatus::Stopped);
                self.message = Some(reason.clone());
            }
            Event::Failed { message } => {
                self.life = Some(RunStatus::Failed);
                self.message = Some(message.clone());
            }
            Event::Validation { metrics, .. } => {
                if let Some(value) = metrics.get(monitor).filter(|v| v.is_finite())
                    && self.best().is_none_or(|best| is_better(*value, best, mode))
                {
                    self.improvements.push((record.step, *value));
                }
            }
            _ => {}
        }
    }

    /// Best value of the monitored metric.
    pub fn best(&self) -> Option<f64> {
        self.improvements.last().map(|(_, v)| *v)
    }

    /// The run's status, given whether a live process owns it.
    pub fn status(&self, owned: bool) -> RunStatus {
        match (self.life, owned) {
            (Some(RunStatus::Paused), true) => RunStatus::Paused,
            (_, true) => RunStatus::Running,
            (Some(ended), false) if !ended.is_live() => ended,
            (_, false) => RunStatus::Crashed,
        }
    }

    /// Reads the run's log, from where the cache ends if there is one.
    pub(super) fn read(run: &Path, monitor: &str, mode: Mode) -> Self {
        let Ok(mut file) = fs::File::open(run.join("events.jsonl")) else { return Self::default() };
        let len = file.metadata().map_or(0, |m| m.len());
        let cached = Cache::load(run, &mut file, len, monitor, mode);
        let (start, mut progress) = cached.map_or((0, Self::default()), |c| (c.bytes, c.progress));
        let mut bytes = Vec::new();
        if file.seek(SeekFrom::Start(start)).is_err() || file.take(len - start).read_to_end(&mut bytes).is_err() {
            return progress;
        }
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        for record in log::parse(&bytes[..whole]).0 {
            progress.fold(&record, monitor, mode);
        }
        let ended = progress.life.is_some_and(|l| !l.is_live());
        if whole > CACHE_AFTER || (ended && whole > 0) {
            let tail = crc32fast::hash(&bytes[whole.saturating_sub(TAIL)..whole]);
            let cache = Cache { monitor: monitor.to_owned(), mode, bytes: start + whole as u64, tail, progress };
            cache.save(run);
            return cache.progress;
        }
        progress
    }
}

/// Whether `a` beats `b`.
pub(crate) fn is_better(a: f64, b: f64, mode: Mode) -> bool {
    match mode {
        Mode::Min => a < b,
        Mode::Max => a > b,
    }
}

/// Bytes of new events from which on it pays to write the cache of a live run.
const CACHE_AFTER: usize = 64 * 1024;
/// Bytes before the cache's end that must be the same.
const TAIL: usize = 256;

/// `progress.json`: disposable, and written by whoever lists runs; a log that does not fit to it makes it void.
#[derive(Serialize, Deserialize)]
struct Cache {
    monitor: String,
    mode: Mode,
    /// Bytes of the log that were folded.
    bytes: u64,
    /// CRC-32 of the last bytes before that, so that a log which lost its end in a power cut is noticed.
    tail: u32,
    progress: Progress,
}

impl Cache {
    fn load(run: &Path, log: &mut fs::File, len: u64, monitor: &str, mode: Mode) -> Option<Self> {
        let cache: Self = serde_json::from_slice(&fs::read(run.join("progress.json")).ok()?).ok()?;
        if cache.bytes > len || cache.monitor != monitor || cache.mode != mode {
            return None;
        }
        let start = cache.bytes.saturating_sub(TAIL as u64);
        let mut tail = Vec::new();
        log.seek(SeekFrom::Start(start)).ok()?;
        log.take(cache.bytes - start).read_to_end(&mut tail).ok()?;
        (crc32fast::hash(&tail) == cache.tail).then_some(cache)
    }

    fn save(&self, run: &Path) {
        let path = run.join("progress.json");
        let temp = io::temp_beside(&path);
        // Not flushed: a cache that a power cut destroys is only built again.
        let written = serde_json::to_vec(self).map_err(std::io::Error::from).and_then(|b| fs::write(&temp, b));
        if written.and_then(|()| fs::rename(&temp, &path)).is_err() {
            let _ = fs::remove_file(&temp);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::event::Metrics;

    fn record(step: u64, event: Event) -> Record {
        Record { time_ms: step, step, event }
    }
    fn started(resumed_from: Option<u64>) -> Event {
        Event::Started { steps: 100, steps_per_epoch: 10, devices: vec![], resumed_from }
    }
    fn validation(loss: f64) -> Event {
        Event::Validation { epoch: 0, metrics: Metrics::from([("val/loss".to_owned(), loss)]) }
    }
    fn fold(records: &[Record]) -> Progress {
        let mut p = Progress::default();
        records.iter().for_each(|r| p.fold(r, "val/loss", Mode::Min));
        p
    }

    #[test]
    fn a_resume_takes_back_the_later_validations() {
        let p = fold(&[
            record(0, started(None)),
            record(10, validation(0.5)),
            record(20, validation(0.1)),
            record(10, started(Some(10))),
        ]);
        assert_eq!(p.best(), Some(0.5));
    }

    #[test]
    fn a_run_without_an_end_and_without_an_owner_crashed() {
        let p = fold(&[record(0, started(None))]);
        assert_eq!(p.status(true), RunStatus::Running);
        assert_eq!(p.status(false), RunStatus::Crashed);
        let p = fold(&[record(0, started(None)), record(5, Event::Paused)]);
        assert_eq!(p.status(true), RunStatus::Paused);
        assert_eq!(p.status(false), RunStatus::Crashed);
        let p = fold(&[record(0, started(None)), record(5, Event::Finished { metrics: Metrics::new() })]);
        assert_eq!(p.status(false), RunStatus::Finished);
        assert_eq!(p.status(true), RunStatus::Running, "a resume that has not said so yet");
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..50u64).prop_map(|s| started(Some(s))),
            (0..100u32).prop_map(|v| validation(f64::from(v) / 7.0)),
            Just(Event::Paused),
            Just(Event::Stopped { reason: "user".into() }),
            Just(Event::Finished { metrics: Metrics::new() }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn reading_through_the_cache_equals_reading_everything(
            events in prop::collection::vec((0..60u64, event()), 1..30),
            looks in prop::collection::vec(any::<bool>(), 30),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut log = log::EventLog::open(&dir.path().join("events.jsonl")).unwrap();
            let records: Vec<Record> = events.into_iter().map(|(s, e)| record(s, e)).collect();
            for (i, r) in records.iter().enumerate() {
                log.append(r).unwrap();
                if looks[i] {
                    prop_assert_eq!(Progress::read(dir.path(), "val/loss", Mode::Min), fold(&records[..=i]));
                }
            }
        }
    }

    #[test]
    fn a_log_that_lost_its_end_voids_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let first =
            [record(0, started(None)), record(10, validation(0.5)), record(11, Event::Stopped { reason: "a".into() })];
        let second =
            [record(0, started(None)), record(10, validation(0.7)), record(11, Event::Stopped { reason: "b".into() })];
        for records in [&first, &second] {
            let _ = fs::remove_file(&path);
            let mut log = log::EventLog::open(&path).unwrap();
            records.iter().for_each(|r| log.append(r).unwrap());
            assert_eq!(Progress::read(dir.path(), "val/loss", Mode::Min), fold(records));
            assert!(dir.path().join("progress.json").exists());
        }
    }
}
