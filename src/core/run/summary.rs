//! One line of the run list, read cheaply: the cache or `run.toml` and the event log, the end of the
//! metrics file, the lock.

use serde::{Deserialize, Serialize};

use super::cache::{Cache, Head};
use super::{Lineage, RunDir, RunId, RunStatus, metrics};
use crate::core::recipe::Mode;

/// One line of the run list; serialises to exactly the object of `ls --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: RunStatus,
    /// Optimizer steps done; at most a second old while the run lives.
    pub step: u64,
    /// Optimizer steps planned; 0 while unknown.
    pub steps: u64,
    /// Whole epochs done.
    pub epoch: u64,
    /// Epochs planned; 0 while unknown.
    pub epochs: u64,
    /// Best value of the monitored metric.
    pub best: Option<f64>,
    /// The monitored metric.
    pub monitor: String,
    /// Whether small or large values of it are better.
    #[serde(default)]
    pub mode: Mode,
    /// When it was created, RFC 3339.
    pub created: jiff::Timestamp,
    /// When it last said something, RFC 3339.
    pub updated: jiff::Timestamp,
    /// Free labels.
    pub tags: Vec<String>,
    /// A free remark.
    pub note: String,
    /// The machine that created it.
    pub host: String,
    /// The architecture.
    pub model: String,
    /// Why it stopped or failed.
    pub message: Option<String>,
    /// The owner's process id while it lives.
    pub pid: Option<u32>,
    /// Where it comes from.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// What of the run could not be read, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl RunSummary {
    pub(super) fn read(run: &RunDir) -> Self {
        let owner = run.owner();
        let (head, progress, problem) = match Cache::current(run.path(), owner.is_some()) {
            Ok(cache) => (cache.head, cache.progress, None),
            Err(e) => (unreadable(run), Cache::progress_alone(run.path()), Some(e.to_string())),
        };
        let status = progress.status(owner.is_some());
        // An ended run's last event names its last step; else the metrics file knows better than the rare events.
        let ended = matches!(status, RunStatus::Finished | RunStatus::Stopped | RunStatus::Failed);
        let latest = if ended { None } else { metrics::last_step(&run.metrics_path()) };
        let step = latest.unwrap_or(progress.step);
        let steps = if progress.steps > 0 { progress.steps } else { head.steps };
        let per_epoch = progress.steps_per_epoch;
        let updated = i64::try_from(progress.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        Self {
            id: run.id().clone(),
            status,
            step,
            steps,
            epoch: step.checked_div(per_epoch).unwrap_or(0),
            epochs: if per_epoch > 0 { steps.div_ceil(per_epoch) } else { head.epochs },
            best: progress.best(),
            updated: updated.map_or(head.created, |u| u.max(head.created)),
            message: progress.message,
            pid: owner.map(|o| o.pid),
            problem,
            name: head.name,
            monitor: head.monitor,
            mode: head.mode,
            created: head.created,
            tags: head.tags,
            note: head.note,
            host: head.host,
            model: head.model,
            lineage: head.lineage,
        }
    }
}

/// Stands in for a `run.toml` that cannot be read.
fn unreadable(run: &RunDir) -> Head {
    Head {
        name: run.id().to_string(),
        tags: Vec::new(),
        note: String::new(),
        created: jiff::Timestamp::UNIX_EPOCH,
        host: String::new(),
        lineage: Lineage::default(),
        model: String::new(),
        monitor: String::new(),
        mode: Mode::Min,
        steps: 0,
        epochs: 0,
    }
}
