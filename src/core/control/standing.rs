//! Where a run stands, folded from what it says: what a viewer that comes now needs to know.

use serde::{Deserialize, Serialize};

use crate::core::event::{Event, Metrics, Record, metrics_json};
use crate::core::run::RunStatus;

/// The state of a live run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// `running`, `paused`, and at its end `finished`, `stopped`, `failed`.
    pub status: RunStatus,
    /// Why it stopped or failed.
    pub message: Option<String>,
    /// Milliseconds since the Unix epoch of the newest record.
    pub time_ms: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned; 0 before it started.
    pub steps: u64,
    /// Optimizer steps of an epoch; 0 before it started.
    pub steps_per_epoch: u64,
    /// The epoch of the newest step, from 0.
    pub epoch: u64,
    /// PyTorch's names.
    pub devices: Vec<String>,
    /// The newest value of each metric.
    #[serde(with = "metrics_json")]
    pub metrics: Metrics,
    /// The freeze plan in force; `None` before it was said.
    pub freeze: Option<Plan>,
    /// The newest checkpoint of this process's making.
    pub checkpoint: Option<String>,
}

/// A freeze plan in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// All rules in force, in order.
    pub rules: Vec<String>,
    /// Parameter tensors that learn.
    pub trainable: usize,
    /// Those that do not.
    pub frozen: usize,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            status: RunStatus::Running,
            message: None,
            time_ms: 0,
            step: 0,
            steps: 0,
            steps_per_epoch: 0,
            epoch: 0,
            devices: Vec::new(),
            metrics: Metrics::new(),
            freeze: None,
            checkpoint: None,
        }
    }
}

impl Standing {
    /// Takes in one more record.
    pub fn fold(&mut self, record: &Record) {
        (self.time_ms, self.step) = (record.time_ms, record.step);
        match &record.event {
            Event::Started { steps, steps_per_epoch, devices, .. } => {
                (self.steps, self.steps_per_epoch) = (*steps, *steps_per_epoch);
                self.devices.clone_from(devices);
                self.epoch = record.step.checked_div(*steps_per_epoch).unwrap_or(0);
            }
            Event::DevicesChanged { devices } => self.devices.clone_from(devices),
            Event::Step { epoch, metrics } => {
                self.epoch = *epoch;
                for (name, value) in metrics {
                    match self.metrics.get_mut(name) {
                        Some(old) => *old = *value,
                        None => {
                            self.metrics.insert(name.clone(), *value);
                        }
                    }
                }
            }
            Event::Validation { metrics, .. } => self.metrics.extend(metrics.clone()),
            Event::FreezeChanged { rules, trainable, frozen, .. } => {
                self.freeze = Some(Plan { rules: rules.clone(), trainable: *trainable, frozen: *frozen });
            }
            Event::CheckpointWritten { name, .. } => self.checkpoint = Some(name.clone()),
            Event::Paused => self.status = RunStatus::Paused,
            Event::Continued => self.status = RunStatus::Running,
            Event::Finished { .. } => self.status = RunStatus::Finished,
            Event::Stopped { reason } => {
                (self.status, self.message) = (RunStatus::Stopped, Some(reason.clone()));
            }
            Event::Failed { message } => {
                (self.status, self.message) = (RunStatus::Failed, Some(message.clone()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_everything_is_kept() {
        let mut standing = Standing::default();
        let mut say = |step, event| standing.fold(&Record { time_ms: step, step, event });
        say(0, Event::Started { steps: 100, steps_per_epoch: 10, devices: vec!["cpu".into()], resumed_from: None });
        say(11, Event::Step { epoch: 1, metrics: Metrics::from([("train/loss".into(), 0.5)]) });
        say(11, Event::Validation { epoch: 1, metrics: Metrics::from([("val/loss".into(), 0.4)]) });
        say(12, Event::Step { epoch: 1, metrics: Metrics::from([("train/loss".into(), 0.3)]) });
        say(12, Event::Paused);
        assert_eq!((standing.status, standing.step, standing.steps, standing.epoch), (RunStatus::Paused, 12, 100, 1));
        assert_eq!(standing.metrics, Metrics::from([("train/loss".into(), 0.3), ("val/loss".into(), 0.4)]));
        standing.fold(&Record { time_ms: 13, step: 12, event: Event::Stopped { reason: "user".into() } });
        assert_eq!((standing.status, standing.message.as_deref()), (RunStatus::Stopped, Some("user")));
    }
}
