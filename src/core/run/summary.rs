//! One line of the run list, read cheaply: `run.toml`, the end of the event log, the end of the metrics file, the lock.

use serde::{Deserialize, Serialize};

use super::{Lineage, Progress, RunDir, RunId, RunStatus, metrics};
use crate::core::recipe::{Mode, Recipe};

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

/// Way of a monitored metric: as the recipe says, else by its name (a loss falls, all else rises).
pub(super) fn mode_of(recipe: &Recipe) -> Mode {
    recipe
        .checkpoint
        .mode
        .unwrap_or_else(|| if recipe.checkpoint.monitor.contains("loss") { Mode::Min } else { Mode::Max })
}

impl RunSummary {
    pub(super) fn read(run: &RunDir) -> Self {
        let (meta, problem) = match run.meta() {
            Ok(meta) => (Some(meta), None),
            Err(e) => (None, Some(e.to_string())),
        };
        let recipe = meta.as_ref().map(|m| m.recipe.clone()).unwrap_or_default();
        let progress = Progress::read(run.path(), &recipe.checkpoint.monitor, mode_of(&recipe));
        let owner = run.owner();
        let status = progress.status(owner.is_some());
        // An ended run's last event names its last step; else the metrics file knows better than the rare events.
        let ended = matches!(status, RunStatus::Finished | RunStatus::Stopped | RunStatus::Failed);
        let latest = if ended { None } else { metrics::last_step(&run.metrics_path()) };
        let step = latest.unwrap_or(progress.step);
        let steps = if progress.steps > 0 { progress.steps } else { recipe.train.steps.unwrap_or(0) };
        let per_epoch = progress.steps_per_epoch;
        let created = meta.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |m| m.created);
        let updated = i64::try_from(progress.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        Self {
            id: run.id().clone(),
            name: meta.as_ref().map_or_else(|| run.id().to_string(), |m| m.name.clone()),
            status,
            step,
            steps,
            epoch: step.checked_div(per_epoch).unwrap_or(0),
            epochs: if per_epoch > 0 { steps.div_ceil(per_epoch) } else { recipe.train.epochs.unwrap_or(0) },
            best: progress.best(),
            monitor: recipe.checkpoint.monitor.clone(),
            created,
            updated: updated.map_or(created, |u| u.max(created)),
            tags: recipe.tags.clone(),
            note: recipe.note.clone(),
            host: meta.as_ref().map(|m| m.host.clone()).unwrap_or_default(),
            model: recipe.model.arch.clone(),
            message: progress.message,
            pid: owner.map(|o| o.pid),
            lineage: meta.map(|m| m.lineage).unwrap_or_default(),
            problem,
        }
    }
}
