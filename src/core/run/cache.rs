//! `summary.json`: what a listing needs of a run, so that a list of thousands parses no `run.toml` and no long log twice.
//!
//! Disposable, and written by whoever lists runs: a stamp of `run.toml` and a checksum of the log's last bytes say whether
//! it still fits.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Lineage, Progress, RunMeta, StoreError, log};
use crate::core::io;
use crate::core::recipe::Mode;

/// What a listing takes from `run.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) note: String,
    pub(super) created: jiff::Timestamp,
    pub(super) host: String,
    pub(super) lineage: Lineage,
    pub(super) model: String,
    pub(super) monitor: String,
    pub(super) mode: Mode,
    pub(super) steps: u64,
    pub(super) epochs: u64,
}

impl From<RunMeta> for Head {
    fn from(meta: RunMeta) -> Self {
        let mode = meta.recipe.monitor_mode();
        Self {
            name: meta.name,
            tags: meta.tags,
            note: meta.note,
            created: meta.created,
            host: meta.host,
            lineage: meta.lineage,
            mode,
            model: meta.recipe.model.arch,
            monitor: meta.recipe.checkpoint.monitor,
            steps: meta.recipe.train.steps.unwrap_or(0),
            epochs: meta.recipe.train.epochs.unwrap_or(0),
        }
    }
}

/// Tells one version of `run.toml` from another: it is only ever replaced whole, so a new one has another inode or time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    nanoseconds: u128,
    inode: u64,
}

impl Stamp {
    fn of(run: &Path) -> Option<Self> {
        let meta = fs::metadata(run.join("run.toml")).ok()?;
        let time = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { bytes: meta.len(), nanoseconds: time.as_nanos(), inode })
    }
}

/// Bytes before the cache's end of the log that must be the same.
const TAIL: usize = 256;
/// Bytes of new events from which on it pays to write the cache of a live run too.
const PAYS: usize = 64 * 1024;

/// The file's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cache {
    stamp: Stamp,
    pub(super) head: Head,
    /// Bytes of the log that were folded.
    bytes: u64,
    /// CRC-32 of the last bytes before that, so that a log which lost its end in a power cut is noticed.
    tail: u32,
    pub(super) progress: Progress,
}

impl Cache {
    /// What is known of a run now, through the cache where it fits. `Err`: `run.toml` cannot be read.
    pub(super) fn current(run: &Path, owned: bool) -> Result<Self, StoreError> {
        let stored = fs::read(run.join("summary.json")).ok().and_then(|b| serde_json::from_slice::<Self>(&b).ok());
        let stamp = Stamp::of(run);
        let fresh_head = stored.as_ref().is_none_or(|c| Some(&c.stamp) != stamp.as_ref());
        let mut cache = match stored {
            Some(cache) if !fresh_head => cache,
            stored => {
                let head = Head::from(RunMeta::load(&run.join("run.toml"))?);
                let same = |c: &Self| c.head.monitor == head.monitor && c.head.mode == head.mode;
                let (bytes, tail, progress) =
                    stored.filter(same).map_or((0, 0, Progress::default()), |c| (c.bytes, c.tail, c.progress));
                Self { stamp: stamp.unwrap_or_default(), head, bytes, tail, progress }
            }
        };
        if !cache.fits_log(run) {
            (cache.bytes, cache.progress) = (0, Progress::default());
        }
        let new = fold(run, &mut cache.progress, cache.bytes, &cache.head.monitor, cache.head.mode);
        if let Some((bytes, tail)) = new {
            (cache.bytes, cache.tail) = (cache.bytes + bytes as u64, tail);
        }
        let bytes = new.map_or(0, |(n, _)| n);
        if bytes > PAYS || (!owned && (bytes > 0 || fresh_head)) {
            cache.save(run);
        }
        Ok(cache)
    }

    /// The log alone, for a run whose `run.toml` cannot be read: which metric is monitored is not known then.
    pub(super) fn progress_alone(run: &Path) -> Progress {
        let mut progress = Progress::default();
        fold(run, &mut progress, 0, "", Mode::Min);
        progress
    }

    fn fits_log(&self, run: &Path) -> bool {
        let start = self.bytes.saturating_sub(TAIL as u64);
        self.bytes == 0
            || read_range(&run.join("events.jsonl"), start, self.bytes)
                .is_some_and(|tail| tail.len() as u64 == self.bytes - start && crc32fast::hash(&tail) == self.tail)
    }

    fn save(&self, run: &Path) {
        let path = run.join("summary.json");
        let temp = io::temp_beside(&path);
        // Not flushed: a cache that a power cut destroys is only built again. A folder that cannot be written has none.
        let written = serde_json::to_vec(self).map_err(std::io::Error::from).and_then(|b| fs::write(&temp, b));
        if written.and_then(|()| fs::rename(&temp, &path)).is_err() {
            let _ = fs::remove_file(&temp);
        }
    }
}

fn read_range(path: &Path, from: u64, to: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).ok()?;
    file.take(to - from).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Folds the whole lines of the log from `from` on. Returns how many bytes they were and the checksum of the last.
fn fold(run: &Path, progress: &mut Progress, from: u64, monitor: &str, mode: Mode) -> Option<(usize, u32)> {
    let bytes = read_range(&run.join("events.jsonl"), from, u64::MAX)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n')? + 1;
    for record in log::parse(&bytes[..whole]).0 {
        progress.fold(&record, monitor, mode);
    }
    // The tail may begin before what was read now.
    let end = from + whole as u64;
    let tail = read_range(&run.join("events.jsonl"), end.saturating_sub(TAIL as u64), end)?;
    Some((whole, crc32fast::hash(&tail)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{EventLog, RunHome};
    use super::*;
    use crate::core::event::{Event, Metrics, Record};
    use crate::core::recipe::Recipe;

    fn record(step: u64, event: Event) -> Record {
        Record { time_ms: step, step, event }
    }
    fn started(resumed_from: Option<u64>) -> Event {
        Event::Started { steps: 100, steps_per_epoch: 10, devices: vec![], resumed_from }
    }
    fn validation(loss: f64) -> Event {
        Event::Validation { epoch: 0, metrics: Metrics::from([("val/loss".to_owned(), loss)]) }
    }
    fn folded(records: &[Record]) -> Progress {
        let mut p = Progress::default();
        records.iter().for_each(|r| p.fold(r, "val/loss", Mode::Min));
        p
    }
    fn run() -> (tempfile::TempDir, super::super::RunDir) {
        let dir = tempfile::tempdir().unwrap();
        let run = RunHome::open(dir.path()).create(&Recipe::default(), Lineage::default()).unwrap();
        (dir, run)
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
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn reading_through_the_cache_equals_reading_everything(
            events in prop::collection::vec((0..60u64, event()), 1..30),
            looks in prop::collection::vec(any::<bool>(), 30),
        ) {
            let (_dir, run) = run();
            let mut log = run.event_log().unwrap();
            let records: Vec<Record> = events.into_iter().map(|(s, e)| record(s, e)).collect();
            for (i, r) in records.iter().enumerate() {
                log.append(r).unwrap();
                if looks[i] {
                    prop_assert_eq!(Cache::current(run.path(), false).unwrap().progress, folded(&records[..=i]));
                    prop_assert!(run.path().join("summary.json").exists());
                }
            }
        }
    }

    #[test]
    fn a_log_that_lost_its_end_voids_the_cache() {
        let (_dir, run) = run();
        let versions = [0.5, 0.7].map(|loss| {
            [record(0, started(None)), record(10, validation(loss)), record(11, Event::Stopped { reason: "a".into() })]
        });
        for records in &versions {
            let _ = fs::remove_file(run.events_path());
            let mut log: EventLog = run.event_log().unwrap();
            records.iter().for_each(|r| log.append(r).unwrap());
            assert_eq!(Cache::current(run.path(), false).unwrap().progress, folded(records));
        }
    }

    #[test]
    fn another_monitored_metric_voids_the_cached_best() {
        let (_dir, run) = run();
        let metrics = Metrics::from([("val/loss".to_owned(), 0.5), ("val/top1".to_owned(), 0.9)]);
        run.event_log().unwrap().append(&record(1, Event::Validation { epoch: 0, metrics })).unwrap();
        assert_eq!(Cache::current(run.path(), false).unwrap().progress.best(), Some(0.5));
        let mut meta = run.meta().unwrap();
        meta.recipe.checkpoint.monitor = "val/top1".into();
        run.save_meta(&meta).unwrap();
        assert_eq!(Cache::current(run.path(), false).unwrap().progress.best(), Some(0.9));
    }

    #[test]
    fn a_destroyed_cache_is_built_again() {
        let (_dir, run) = run();
        run.event_log().unwrap().append(&record(3, started(None))).unwrap();
        for junk in ["", "{", "{\"stamp\":1}"] {
            fs::write(run.path().join("summary.json"), junk).unwrap();
            assert_eq!(Cache::current(run.path(), false).unwrap().progress.step, 3);
        }
    }
}
