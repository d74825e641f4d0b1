//! One run's folder: names of the files in it and how each is opened.

use std::path::{Path, PathBuf};

use super::metrics::{MetricsReader, MetricsWriter};
use super::{
    CalledOff, EventLog, Owner, RunId, RunLock, RunMeta, RunSummary, StoreError, Supervision, lock, log, supervision,
};
use crate::core::checkpoint::CheckpointStore;
use crate::core::event::Record;

/// One run's folder. Cheap: it holds a path and no open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
}

impl RunDir {
    pub(super) fn new(id: RunId, path: PathBuf) -> Self {
        Self { id, path }
    }

    /// A run by its folder, which is named by its id; `None` where the name is none. Nothing is read.
    pub fn at(path: &Path) -> Option<Self> {
        let id = path.file_name()?.to_str()?.parse().ok()?;
        Some(Self::new(id, path.to_owned()))
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.toml`.
    pub fn meta(&self) -> Result<RunMeta, StoreError> {
        RunMeta::load(&self.path.join("run.toml"))
    }

    /// Replaces `run.toml`.
    pub fn save_meta(&self, meta: &RunMeta) -> Result<(), StoreError> {
        meta.save(&self.path.join("run.toml"))
    }

    /// Makes this process the run's owner, and removes half-written files that an earlier owner left in the folder.
    pub fn lock(&self) -> Result<RunLock, StoreError> {
        let lock = RunLock::take(&self.path, self.id.as_str())?;
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".tmp-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(lock)
    }

    /// The process that owns the run right now.
    pub fn owner(&self) -> Option<Owner> {
        lock::owner_of(&self.path)
    }

    /// Makes it known that this process resumes the run after crashes. `None` where another one does.
    pub fn supervise(&self) -> Option<Supervision> {
        Supervision::begin(&self.path)
    }

    /// The process that resumes the run after a crash.
    pub fn supervisor(&self) -> Option<Owner> {
        supervision::supervisor_of(&self.path)
    }

    /// Has it do so no more. `None` where there is none.
    pub fn call_off(&self) -> Option<CalledOff> {
        supervision::call_off(&self.path)
    }

    /// All events, and what had to be dropped, in words.
    pub fn events(&self) -> Result<(Vec<Record>, Option<String>), StoreError> {
        let path = self.events_path();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(log::parse(&bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((Vec::new(), None)),
            Err(e) => Err(StoreError::io("read", &path)(e)),
        }
    }

    /// Opens the event log for appending.
    pub fn event_log(&self) -> Result<EventLog, StoreError> {
        EventLog::open(&self.events_path())
    }

    /// Opens the metrics for reading, from the beginning; it can be polled for what comes later.
    pub fn metrics(&self) -> MetricsReader {
        MetricsReader::new(self.metrics_path())
    }

    /// Opens the metrics for appending. `resume_at` is the step of the checkpoint that the run goes on from: records
    /// after it are superseded.
    pub fn metrics_writer(&self, resume_at: Option<u64>) -> Result<MetricsWriter, StoreError> {
        MetricsWriter::open(&self.metrics_path(), resume_at)
    }

    /// The run's checkpoints.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(&self.path)
    }

    /// What the run list shows. Never fails: what cannot be read is said in the `problem` field.
    pub fn summary(&self) -> RunSummary {
        RunSummary::read(self)
    }

    /// `events.jsonl`.
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `metrics.bin`.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.bin")
    }

    /// `control.sock`, by which a live run is watched and commanded.
    pub fn socket_path(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// `log.txt`, the host's log.
    pub fn log_path(&self) -> PathBuf {
        self.path.join("log.txt")
    }
}
