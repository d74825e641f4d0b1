//! One run as the screens show it, built from its files and its events.

use std::collections::{BTreeMap, VecDeque};

use crate::core::alerts::{Alert, Watch};
use crate::core::command::HANDED_OVER;
use crate::core::event::{Event, Metrics, Record};
use crate::core::fit::BatchSizes;
use crate::core::freeze::ParamState;
use crate::core::recipe::{Mode, OptimizerSpec};
use crate::core::run::{RunStatus, RunSummary};
use crate::core::series::{Clock, Series};
use crate::core::tree::Tree;

mod gradients;
mod overlap;
mod pace;
mod renew;
mod silence;

use super::format;
use super::layers::Layers;
use super::message::{AttachedRun, CheckpointRow, OpenedRun};
pub use gradients::Gradients;
use overlap::Overlap;
use pace::Pace;

/// Event lines that are kept for the screen; the file has them all.
const LINES: usize = 500;

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Plain fact.
    Info,
    /// Something went well.
    Good,
    /// Worth a look.
    Warning,
    /// Went wrong.
    Error,
}

/// One line of the event tail.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// How loud.
    pub level: Level,
    /// The words.
    pub text: String,
}

/// What is known of a checkpoint's bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// Being checked.
    Checking,
    /// Every byte is as it was written.
    Verified,
    /// What is damaged, in words.
    Damaged(Vec<String>),
}

/// One run on the screens.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: RunStatus,
    /// Whether its trainer lives in this process.
    pub hosted: bool,
    /// The process that hosts it, where this screen is connected to that.
    pub attached: Option<u32>,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub steps: u64,
    /// Optimizer steps of one epoch; 0 while unknown.
    pub steps_per_epoch: u64,
    /// Epochs planned, where the recipe counts in epochs.
    pub epochs: u64,
    /// PyTorch's names.
    pub devices: Vec<String>,
    /// The metric that "best" looks at.
    pub monitor: String,
    /// Dense and rare metrics, by name.
    pub series: BTreeMap<String, Series>,
    /// When each step was.
    pub clock: Clock,
    /// The newest value of each.
    pub latest: Metrics,
    /// The event tail, oldest first.
    pub lines: VecDeque<Line>,
    /// Base learning rate in force.
    pub lr: f64,
    /// Freeze rules in force.
    pub rules: Vec<String>,
    /// Its optimizer.
    pub optimizer: OptimizerSpec,
    /// Samples of its batches.
    pub batches: BatchSizes,
    /// The layers, once they are known.
    pub layers: Option<Layers>,
    /// Why they are not, if they cannot be.
    pub layers_problem: Option<String>,
    /// How large the gradients were when the run last told.
    pub gradients: Option<Gradients>,
    /// Checkpoints, oldest first; `None` while they are read.
    pub checkpoints: Option<Vec<CheckpointRow>>,
    /// What is known of the checkpoints' bytes.
    pub health: BTreeMap<String, Health>,
    /// State of each parameter under the plan in force, as the trainer said.
    states: Vec<ParamState>,
    /// Better values of the monitored metric are smaller, or larger.
    mode: Mode,
    /// What deserves an alert; made at the stream's first record.
    watch: Option<Watch>,
    overlap: Overlap,
    /// Its last host stopped it for another one.
    handed_over: bool,
    /// It was paused when it was stopped.
    stood_still: bool,
    pace: Pace,
    /// When the stream said something last, in milliseconds since the Unix epoch; 0 where there is none.
    heard_ms: u64,
    /// Weight of the smoothing that all series have.
    smoothing: f64,
}

impl RunView {
    /// From the run's files.
    pub fn new(opened: OpenedRun, hosted: bool) -> Self {
        let OpenedRun { summary, lr, rules, monitor, mode, optimizer, batches, records, series, times, latest, notes } =
            opened;
        let mut view = Self {
            id: summary.id.to_string(),
            name: summary.name.clone(),
            status: summary.status,
            hosted,
            attached: None,
            overlap: Overlap::default(),
            handed_over: false,
            stood_still: false,
            states: Vec::new(),
            mode,
            optimizer,
            batches,
            watch: None,
            step: summary.step,
            steps: 0,
            steps_per_epoch: 0,
            epochs: 0,
            devices: Vec::new(),
            monitor,
            series: series.into_iter().collect(),
            clock: clock(&records, &times),
            latest,
            lines: VecDeque::new(),
            lr,
            rules,
            layers: None,
            layers_problem: None,
            gradients: None,
            checkpoints: None,
            health: BTreeMap::new(),
            pace: Pace::default(),
            heard_ms: 0,
            smoothing: 0.0,
        };
        view.take_summary(&summary);
        for record in &records {
            view.take_rare(record, true);
        }
        view.take_summary(&summary);
        for note in notes {
            view.say(summary.step, 0, Level::Warning, note);
        }
        view.pace = Pace::default();
        view
    }

    /// From the run's files, for a stream that began before they were read.
    pub fn attached(attached: AttachedRun) -> Self {
        let AttachedRun { opened, tree, pid } = attached;
        let overlap = Overlap::of(&opened);
        let mut view = Self::new(opened, false);
        (view.attached, view.overlap) = (Some(pid), overlap);
        view.set_tree(tree);
        view
    }

    /// Whether a stream of it feeds this view, from this process or another one.
    pub fn is_followed(&self) -> bool {
        self.hosted || self.attached.is_some()
    }

    /// Whether its last host stopped it for another one, which has not said yet that it goes on.
    pub fn was_handed_over(&self) -> bool {
        self.handed_over
    }

    /// Whether it was paused when it was stopped.
    pub fn stood_still(&self) -> bool {
        self.stood_still
    }

    /// Whether another process is about to host it.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over && !self.status.is_live()
    }

    /// What the run list says newer.
    pub fn take_summary(&mut self, summary: &RunSummary) {
        self.status = summary.status;
        self.name.clone_from(&summary.name);
        self.step = self.step.max(summary.step);
        self.steps = summary.steps.max(self.steps);
        self.epochs = summary.epochs;
    }

    /// The layers became known.
    pub fn set_tree(&mut self, tree: Tree) {
        let (layers, problem) = Layers::new(tree, self.rules.clone());
        self.layers_problem = problem;
        let mut layers = layers;
        layers.set_rates(&self.optimizer);
        if !self.states.is_empty() {
            layers.set_states(&self.states);
        }
        self.layers = Some(layers);
    }

    /// One record of the live run, and the alert that it deserves. `plateau`: as in [`Alerts`].
    ///
    /// [`Alerts`]: crate::core::alerts::Alerts
    pub fn take(&mut self, record: &Record, plateau: u64) -> Option<Alert> {
        if self.attached.is_some() && self.overlap.holds(record) {
            // The files were read after it was said, but the status follows the stream.
            match record.event {
                Event::Paused => self.status = RunStatus::Paused,
                Event::Continued => self.status = RunStatus::Running,
                _ => {}
            }
            return None;
        }
        let watch = self.watch.get_or_insert_with(|| Watch::new(&self.monitor, self.mode, plateau));
        let alert = watch.fold(record);
        match &record.event {
            Event::Step { metrics, .. } => {
                self.step = self.step.max(record.step);
                self.pace.take(record);
                self.clock.push(record.step, record.time_ms);
                self.chart(record.step, metrics);
            }
            Event::Gradients { norms } => self.gradients = Some(Gradients::new(record.step, norms)),
            _ => {
                set_clock(&mut self.clock, record);
                self.take_rare(record, false);
            }
        }
        alert
    }

    fn chart(&mut self, step: u64, metrics: &Metrics) {
        for (name, value) in metrics {
            match self.series.get_mut(name) {
                Some(series) => series.push(step as f64, *value),
                None => {
                    let mut series = Series::default();
                    series.set_smoothing(self.smoothing);
                    series.push(step as f64, *value);
                    self.series.insert(name.clone(), series);
                }
            }
            self.latest.insert(name.clone(), *value);
        }
    }

    /// `past`: read from the log, so that the metrics are in the series already.
    fn take_rare(&mut self, record: &Record, past: bool) {
        let line = |view: &mut Self, level, text: String| view.say(record.step, record.time_ms, level, text);
        match &record.event {
            Event::Step { .. } | Event::Gradients { .. } | Event::EpochEnded { .. } => {}
            Event::Started { steps, steps_per_epoch, devices, resumed_from } => {
                (self.steps, self.steps_per_epoch) = (*steps, *steps_per_epoch);
                self.devices.clone_from(devices);
                self.status = RunStatus::Running;
                self.handed_over = false;
                self.pace = Pace::default();
                if let Some(from) = resumed_from {
                    self.step = *from;
                }
                let on = devices.join(", ");
                let text = match resumed_from {
                    Some(step) => format!("goes on from step {step} on {on}, {steps} steps planned"),
                    None => format!("started on {on}: {steps} steps, {steps_per_epoch} an epoch"),
                };
                line(self, Level::Info, text);
            }
            Event::Validation { metrics, .. } => {
                if !past {
                    self.chart(record.step, metrics);
                }
                let values: Vec<String> = metrics.iter().map(|(n, v)| format!("{n} {}", format::number(*v))).collect();
                line(self, Level::Info, format!("validation: {}", values.join(", ")));
            }
            Event::CheckpointWritten { name, bytes, reason } => {
                line(self, Level::Good, format!("checkpoint {name} ({}, {reason})", format::bytes(*bytes)));
            }
            Event::CheckpointFailed { message } => line(self, Level::Error, message.clone()),
            Event::CheckpointRemoved { .. } => {}
            Event::FreezeChanged { rules, trainable, frozen, states } => {
                // Those of another plan.
                self.gradients = None;
                self.rules.clone_from(rules);
                self.states.clone_from(states);
                if let Some(layers) = &mut self.layers {
                    self.layers_problem = layers.set_rules(rules.clone()).err();
                    layers.set_states(states);
                }
                line(self, Level::Info, format!("plan: {trainable} tensors learn, {frozen} do not"));
            }
            Event::LrChanged { lr } => {
                self.lr = *lr;
                line(self, Level::Info, format!("base learning rate {lr}"));
            }
            Event::DevicesChanged { devices } => {
                self.devices.clone_from(devices);
                line(self, Level::Info, format!("goes on on {}", devices.join(", ")));
            }
            Event::Paused => {
                self.status = RunStatus::Paused;
                self.pace.pause();
                line(self, Level::Info, "paused".to_owned());
            }
            Event::Continued => {
                self.status = RunStatus::Running;
                line(self, Level::Info, "goes on".to_owned());
            }
            Event::Warning { message } => line(self, Level::Warning, message.clone()),
            Event::Audit { moved, unmoved, mismatched } => {
                let level = if mismatched.is_empty() { Level::Good } else { Level::Warning };
                let odd =
                    if mismatched.is_empty() { String::new() } else { format!(", odd: {}", mismatched.join(", ")) };
                line(self, level, format!("audit: {} moved, {} bit-equal{odd}", moved.len(), unmoved.len()));
            }
            Event::Reply { .. } => {}
            Event::Finished { .. } => {
                self.status = RunStatus::Finished;
                line(self, Level::Good, "finished".to_owned());
            }
            Event::Stopped { reason } => {
                self.stood_still = self.status == RunStatus::Paused;
                self.status = RunStatus::Stopped;
                self.handed_over = reason == HANDED_OVER;
                line(self, Level::Info, format!("stopped ({reason})"));
            }
            Event::Failed { message } => {
                self.status = RunStatus::Failed;
                line(self, Level::Error, message.clone());
            }
        }
    }

    fn say(&mut self, step: u64, time_ms: u64, level: Level, text: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { time_ms, step, level, text });
    }

    /// Smooths every series with this weight, and those that come.
    pub fn smooth(&mut self, weight: f64) {
        self.smoothing = weight;
        self.series.values_mut().for_each(|s| s.set_smoothing(weight));
    }

    /// First and last step of all series.
    pub fn span(&self) -> Option<(f64, f64)> {
        let spans = self.series.values().filter_map(Series::span);
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Where the monitored metric was best, and how good.
    pub fn best(&self) -> Option<(f64, f64)> {
        self.series.get(&self.monitor)?.extreme(self.mode == Mode::Max)
    }

    /// Steps a second over the last while; `None` before two steps were seen.
    pub fn rate(&self) -> Option<f64> {
        self.pace.rate().filter(|_| self.status == RunStatus::Running)
    }

    /// Whether smaller values of the monitored metric are better, or larger ones.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Seconds until the end at this pace.
    pub fn seconds_left(&self) -> Option<f64> {
        Some(self.steps.saturating_sub(self.step) as f64 / self.rate()?)
    }

    /// The epoch that the step belongs to, from 1, and how many there are.
    pub fn epoch(&self) -> Option<(u64, u64)> {
        let per = Some(self.steps_per_epoch).filter(|n| *n > 0)?;
        let epochs = self.steps.div_ceil(per).max(1);
        Some(((self.step / per + 1).min(epochs), epochs))
    }

    /// Part of the run that is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        if self.steps == 0 { 0.0 } else { (self.step as f64 / self.steps as f64).clamp(0.0, 1.0) }
    }
}

/// The clock that a run's files tell.
fn clock(records: &[Record], times: &[(u64, u64)]) -> Clock {
    let mut clock = Clock::default();
    let mut steps = times.iter().peekable();
    for record in records {
        while let Some((step, time_ms)) = steps.next_if(|(_, time_ms)| *time_ms <= record.time_ms) {
            clock.push(*step, *time_ms);
        }
        set_clock(&mut clock, record);
    }
    steps.for_each(|(step, time_ms)| clock.push(*step, *time_ms));
    clock
}

fn set_clock(clock: &mut Clock, record: &Record) {
    match &record.event {
        Event::Started { resumed_from, .. } => clock.start(resumed_from.unwrap_or(0), record.time_ms),
        Event::Paused => clock.pause(record.time_ms),
        Event::Continued => clock.go_on(record.time_ms),
        event if event.is_end() => clock.pause(record.time_ms),
        _ => {}
    }
}
