//! What the event log says about a run so far, folded event by event.

use serde::{Deserialize, Serialize};

use super::RunStatus;
use crate::core::event::{Event, Record};
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
}

/// Whether `a` beats `b`.
pub(crate) fn is_better(a: f64, b: f64, mode: Mode) -> bool {
    match mode {
        Mode::Min => a < b,
        Mode::Max => a > b,
    }
}

#[cfg(test)]
mod tests {
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
}
