//! What a run says: the one stream that feeds the disk log, the charts and the plain-text progress.

use serde::{Deserialize, Serialize};

use super::freeze::ParamState;

/// Metrics by name (`val/loss`), in a fixed order.
pub type Metrics = std::collections::BTreeMap<String, f64>;

/// Metrics in JSON, which knows no NaN: a value that is not finite is written as `null` and read as NaN.
pub mod metrics_json {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Metrics;

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(metrics.iter().map(|(name, v)| (name, v.is_finite().then_some(*v))))
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        let read = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
        Ok(read.into_iter().map(|(name, v)| (name, v.unwrap_or(f64::NAN))).collect())
    }
}

/// One fact of a run, with when it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Optimizer steps done when it was said.
    pub step: u64,
    /// The fact.
    #[serde(flatten)]
    pub event: Event,
}

/// The facts. All but [`Event::Step`] and [`Event::Gradients`] are rare and go to `events.jsonl`; steps go to the metrics file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The trainer is about to take its first step (of this process).
    Started {
        /// Total optimizer steps planned.
        steps: u64,
        /// Optimizer steps of one epoch.
        steps_per_epoch: u64,
        /// Devices in use, PyTorch's names.
        devices: Vec<String>,
        /// The step of the checkpoint it goes on from, if any.
        resumed_from: Option<u64>,
    },
    /// One optimizer step's metrics (`train/loss`, `lr`, `grad_norm`, `samples_per_s`). Never in `events.jsonl`.
    Step {
        /// Epoch that the step belongs to, from 0.
        epoch: u64,
        /// The values.
        #[serde(with = "metrics_json")]
        metrics: Metrics,
    },
    /// L2 norms of the last step's gradients as the optimizer took them, after clipping, by parameter; those that got none
    /// are left out. Said once a second while somebody wants to know. Never in `events.jsonl`.
    Gradients {
        /// `layer1.0.conv1.weight` to its norm.
        #[serde(with = "metrics_json")]
        norms: Metrics,
    },
    /// An epoch ended.
    EpochEnded {
        /// Its number, from 0.
        epoch: u64,
    },
    /// A validation ended.
    Validation {
        /// Epoch, from 0.
        epoch: u64,
        /// `val/loss`, `val/top1`…
        #[serde(with = "metrics_json")]
        metrics: Metrics,
    },
    /// A checkpoint is complete on disk.
    CheckpointWritten {
        /// Folder name (`step-00000120`).
        name: String,
        /// Bytes of all its files.
        bytes: u64,
        /// Why it was written (`every_steps`, `end`, `stop`, `save`…).
        reason: String,
    },
    /// A checkpoint could not be written; the run goes on.
    CheckpointFailed {
        /// What was wrong, where, what to do.
        message: String,
    },
    /// A checkpoint was removed by the policy.
    CheckpointRemoved {
        /// Folder name.
        name: String,
    },
    /// The freeze plan changed (also said once at the start).
    FreezeChanged {
        /// All rules in force, in order.
        rules: Vec<String>,
        /// Number of parameter tensors that learn.
        trainable: usize,
        /// Number that do not.
        frozen: usize,
        /// State of each parameter, in the tree's order.
        states: Vec<ParamState>,
    },
    /// The base learning rate changed, by command or by the freeze schedule.
    LrChanged {
        /// New base rate.
        lr: f64,
    },
    /// The run goes on on other devices, from the checkpoint just written.
    DevicesChanged {
        /// PyTorch's names.
        devices: Vec<String>,
    },
    /// The run stands still.
    Paused,
    /// The run goes on.
    Continued,
    /// Something the user should know.
    Warning {
        /// The words.
        message: String,
    },
    /// A proof of what moved, bit by bit, since the run's first step.
    Audit {
        /// Parameters (and buffers) that changed.
        moved: Vec<String>,
        /// Those that did not change by a bit.
        unmoved: Vec<String>,
        /// Those that changed though frozen, or stood still though trainable.
        mismatched: Vec<String>,
    },
    /// The answer to a command.
    Reply {
        /// The request's number.
        id: u64,
        /// What was done, or why not.
        result: Result<String, String>,
    },
    /// The run reached its end.
    Finished {
        /// Last metrics.
        #[serde(with = "metrics_json")]
        metrics: Metrics,
    },
    /// The run was stopped after a checkpoint.
    Stopped {
        /// By whom or what.
        reason: String,
    },
    /// The run could not go on.
    Failed {
        /// What was wrong, where, what to do.
        message: String,
    },
}

impl Event {
    /// Whether this is a rare event that must never be lost, as against a dense record, of which the newest counts.
    pub fn is_rare(&self) -> bool {
        !matches!(self, Self::Step { .. } | Self::Gradients { .. })
    }
    /// Whether the run is over after it.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Stopped { .. } | Self::Failed { .. })
    }
}
