//! What deserves an alert: decided from a run's events alone, so that the host, a screen and a plain viewer agree.

use serde::{Deserialize, Serialize};

use super::checkpoint::policy::Reason;
use super::event::{Event, Metrics, Record, metrics_json};
use super::lr::EarlyStopping;
use super::recipe::Mode;

/// Kinds of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The run reached its end.
    Finished,
    /// It was stopped after a checkpoint.
    Stopped,
    /// It could not go on and said why.
    Failed,
    /// Its process died without a word.
    Crashed,
    /// A loss, a gradient or a metric is not finite.
    Nan,
    /// The monitored metric stands still.
    Plateau,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Finished, Self::Stopped, Self::Failed, Self::Crashed, Self::Nan, Self::Plateau];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Nan => "nan",
            Self::Plateau => "plateau",
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What happened.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// Optimizer steps done.
    pub step: u64,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// In words.
    pub message: String,
    /// The newest validation.
    #[serde(with = "metrics_json")]
    pub metrics: Metrics,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// The program to run and its arguments; empty for none.
    pub command: Vec<String>,
    /// Kinds that are told.
    pub kinds: Vec<Kind>,
    /// Validations in a row without an improvement that make a plateau; 0 for never.
    pub plateau: u64,
    /// Ring the terminal's bell.
    pub bell: bool,
    /// Ask the terminal for a notification (OSC 9).
    pub notify: bool,
}

impl Default for Alerts {
    fn default() -> Self {
        // A stop is somebody's wish: whoever wished it knows.
        let kinds = Kind::ALL.into_iter().filter(|k| *k != Kind::Stopped).collect();
        Self { command: Vec::new(), kinds, plateau: 5, bell: true, notify: true }
    }
}

impl Alerts {
    /// Whether this kind is told.
    pub fn tells(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// What a terminal is sent for an alert. The words must hold no control characters.
    pub fn to_terminal(&self, words: &str) -> String {
        let notify = if self.notify { format!("\x1b]9;{words}\x07") } else { String::new() };
        let bell = if self.bell { "\x07" } else { "" };
        notify + bell
    }
}

/// Looks at one run's events.
#[derive(Debug, Clone)]
pub struct Watch {
    monitor: String,
    plateau: EarlyStopping,
    patience: u64,
    /// The plateau was told and has not ended since.
    standing_still: bool,
    /// It was told once since the run started.
    nan: bool,
    metrics: Metrics,
}

impl Watch {
    /// Of a run with this monitored metric.
    pub fn new(monitor: &str, mode: Mode, patience: u64) -> Self {
        Self {
            monitor: monitor.to_owned(),
            plateau: EarlyStopping::new(patience, mode),
            patience,
            standing_still: false,
            nan: false,
            metrics: Metrics::new(),
        }
    }

    /// Takes in one more record.
    pub fn fold(&mut self, record: &Record) -> Option<Alert> {
        let (kind, message) = match &record.event {
            Event::Started { .. } => {
                self.nan = false;
                return None;
            }
            Event::Step { metrics, .. } => self.not_finite(metrics)?,
            Event::Validation { metrics, .. } => {
                self.metrics.clone_from(metrics);
                self.not_finite(metrics).or_else(|| self.stands_still(metrics))?
            }
            Event::CheckpointWritten { reason, .. } if *reason == Reason::Nan.as_str() => {
                self.once("the loss or a gradient is not finite".to_owned())?
            }
            Event::Finished { metrics } => {
                let metrics = if metrics.is_empty() { &self.metrics } else { metrics };
                (Kind::Finished, format!("finished{}", self.monitored(metrics)))
            }
            Event::Stopped { reason } => (Kind::Stopped, format!("stopped: {reason}")),
            Event::Failed { message } => (Kind::Failed, format!("failed: {message}")),
            _ => return None,
        };
        Some(Alert { kind, step: record.step, time_ms: record.time_ms, message, metrics: self.metrics.clone() })
    }

    fn monitored(&self, metrics: &Metrics) -> String {
        metrics.get(&self.monitor).map_or_else(String::new, |v| format!(", {} {v:.4}", self.monitor))
    }

    fn not_finite(&mut self, metrics: &Metrics) -> Option<(Kind, String)> {
        let (name, value) = metrics.iter().find(|(_, v)| !v.is_finite())?;
        self.once(format!("{name} is {value}"))
    }

    fn once(&mut self, message: String) -> Option<(Kind, String)> {
        (!std::mem::replace(&mut self.nan, true)).then_some((Kind::Nan, message))
    }

    fn stands_still(&mut self, metrics: &Metrics) -> Option<(Kind, String)> {
        let value = metrics.get(&self.monitor)?;
        let still = self.plateau.observe(*value);
        let first = still && !self.standing_still;
        self.standing_still = still;
        let message = format!("{} has not become better in {} validations", self.monitor, self.patience);
        first.then_some((Kind::Plateau, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(watch: &mut Watch, events: &[Event]) -> Vec<Kind> {
        let record = |event: &Event| Record { time_ms: 1, step: 5, event: event.clone() };
        events.iter().filter_map(|e| watch.fold(&record(e))).map(|a| a.kind).collect()
    }

    fn validation(loss: f64) -> Event {
        Event::Validation { epoch: 0, metrics: Metrics::from([("val/loss".to_owned(), loss)]) }
    }

    fn step(loss: f64) -> Event {
        Event::Step { epoch: 0, metrics: Metrics::from([("train/loss".to_owned(), loss)]) }
    }

    #[test]
    fn a_plateau_is_told_once_and_again_after_an_improvement() {
        let mut watch = Watch::new("val/loss", Mode::Min, 2);
        let losses = [1.0, 0.9, 0.95, 0.9].map(validation);
        assert_eq!(kinds(&mut watch, &losses), [Kind::Plateau]);
        assert_eq!(kinds(&mut watch, &[0.91, 0.92].map(validation)), []);
        assert_eq!(kinds(&mut watch, &[0.5, 0.6, 0.6, 0.7].map(validation)), [Kind::Plateau]);
        let mut never = Watch::new("val/loss", Mode::Min, 0);
        assert_eq!(kinds(&mut never, &[1.0, 1.0, 1.0, 1.0].map(validation)), []);
    }

    #[test]
    fn what_is_not_finite_is_told_once_a_start() {
        let mut watch = Watch::new("val/loss", Mode::Min, 2);
        let written = Event::CheckpointWritten { name: "step-00000005".into(), bytes: 1, reason: "nan".into() };
        assert_eq!(kinds(&mut watch, &[step(0.5), step(f64::NAN), step(f64::NAN), written.clone()]), [Kind::Nan]);
        let started = Event::Started { steps: 9, steps_per_epoch: 3, devices: vec![], resumed_from: Some(5) };
        assert_eq!(kinds(&mut watch, &[started, written]), [Kind::Nan]);
        let failed = Event::Failed { message: "the disk".into() };
        assert_eq!(kinds(&mut watch, &[failed]), [Kind::Failed]);
    }

    #[test]
    fn a_terminal_gets_what_is_asked_for() {
        let all = Alerts::default();
        assert_eq!(all.to_terminal("digits: finished"), "\x1b]9;digits: finished\x07\x07");
        assert_eq!(Alerts { notify: false, ..all.clone() }.to_terminal("x"), "\x07");
        assert_eq!(Alerts { notify: false, bell: false, ..all.clone() }.to_terminal("x"), "");
        assert!(all.tells(Kind::Crashed) && !all.tells(Kind::Stopped));
    }
}
