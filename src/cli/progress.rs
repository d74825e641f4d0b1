//! What a run shows while it goes: a bar on a terminal, plain lines in a pipe.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::io::Io;
use super::output::{metrics, plural};
use crate::app::format::{bytes, duration, number};
use crate::core::checkpoint::CheckpointStore;
use crate::core::event::{Event, Metrics, Record};

/// Seconds between two plain lines where nothing else happens.
const QUIET: Duration = Duration::from_secs(5);

/// Shows a run's events as they come.
pub struct Progress {
    status: Status,
    bar: Option<ProgressBar>,
    /// When the last plain line was written.
    last: Instant,
    quiet: bool,
}

impl Progress {
    /// A bar where stderr is a terminal. `quiet` shows warnings alone.
    pub fn new(io: &Io, quiet: bool) -> Self {
        let bar = (io.err_is_terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
            bar
        });
        Self { status: Status::default(), bar, last: Instant::now(), quiet }
    }

    /// Takes in what was said before, for the lines to come; shows none.
    pub fn recall(&mut self, record: &Record) {
        self.status.fold(record);
    }

    /// Shows one event.
    pub fn take(&mut self, record: &Record, io: &mut Io) {
        self.status.fold(record);
        if let Some(bar) = &self.bar {
            bar.set_length(self.status.steps);
            bar.set_position(self.status.step);
            bar.set_message(self.status.line());
        }
        let line = match &record.event {
            Event::Warning { message } => return self.say(io, &format!("warning: {message}")),
            Event::CheckpointFailed { message } => return self.say(io, &format!("warning: no checkpoint: {message}")),
            Event::Audit { mismatched, .. } if !mismatched.is_empty() => {
                return self.say(
                    io,
                    &format!(
                        "warning: audit: moved against the freeze plan, or stood still: {}",
                        mismatched.join(", ")
                    ),
                );
            }
            Event::Step { .. } if self.bar.is_none() && self.last.elapsed() >= QUIET => Some(self.status.whole_line()),
            Event::Step { .. } => None,
            Event::Validation { .. } if self.bar.is_none() => Some(self.status.whole_line()),
            other => words(other, record.step),
        };
        if let Some(line) = line.filter(|_| !self.quiet) {
            self.say(io, &line);
        }
    }

    /// Says a line above the bar.
    pub fn say(&mut self, io: &mut Io, line: &str) {
        self.last = Instant::now();
        match &self.bar {
            Some(bar) => bar.suspend(|| io.say(line)),
            None => io.say(line),
        }
    }

    /// Draws nothing any more: the terminal is gone.
    pub fn hush(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        self.quiet = true;
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A rare event in words; `None` for what the progress line shows anyway.
fn words(event: &Event, step: u64) -> Option<String> {
    Some(match event {
        Event::Started { steps, devices, resumed_from, .. } => {
            let from = resumed_from.map_or_else(String::new, |s| format!(", from step {s}"));
            format!("training on {}: {steps} steps{from}", devices.join(", "))
        }
        Event::FreezeChanged { trainable, frozen, .. } if *frozen == 0 => {
            format!("all {} learn", plural(*trainable, "tensor"))
        }
        Event::FreezeChanged { trainable, frozen, .. } => {
            format!("{} of {} learn", trainable, plural(trainable + frozen, "tensor"))
        }
        Event::CheckpointWritten { name, bytes: size, reason } => {
            // Written while the run went on.
            let step = CheckpointStore::step_of(name).unwrap_or(step);
            format!("checkpoint at step {step}: {} ({reason})", bytes(*size))
        }
        Event::LrChanged { lr } => format!("base learning rate {lr}"),
        Event::DevicesChanged { devices } => format!("going on on {} from step {step}", devices.join(", ")),
        Event::Paused => format!("paused at step {step}"),
        Event::Continued => "going on".to_owned(),
        _ => return None,
    })
}

/// What the progress line is made of, folded from events; pure.
#[derive(Debug, Default)]
struct Status {
    step: u64,
    steps: u64,
    per_epoch: u64,
    /// Step and time of the first step of this process, for the rate.
    first: Option<(u64, u64)>,
    now_ms: u64,
    train: Metrics,
    validation: Metrics,
}

impl Status {
    fn fold(&mut self, record: &Record) {
        self.step = record.step;
        self.now_ms = record.time_ms;
        match &record.event {
            Event::Started { steps, steps_per_epoch, .. } => {
                (self.steps, self.per_epoch) = (*steps, *steps_per_epoch);
                self.first = Some((record.step, record.time_ms));
            }
            Event::Step { metrics, .. } => self.train.clone_from(metrics),
            Event::Validation { metrics, .. } => self.validation.clone_from(metrics),
            _ => {}
        }
    }

    /// Steps a second since this process started the run.
    fn rate(&self) -> Option<f64> {
        let (step, ms) = self.first?;
        let (steps, ms) = (self.step.saturating_sub(step), self.now_ms.saturating_sub(ms));
        (steps > 0 && ms > 0).then(|| steps as f64 * 1000.0 / ms as f64)
    }

    /// What stands behind the bar.
    fn line(&self) -> String {
        let mut parts = Vec::new();
        if self.per_epoch > 0 {
            let epochs = self.steps.div_ceil(self.per_epoch);
            let epoch = (self.step.saturating_sub(1) / self.per_epoch + 1).min(epochs.max(1));
            parts.push(format!("epoch {epoch}/{epochs}"));
        }
        for (name, label) in [("train/loss", "loss"), ("lr", "lr")] {
            if let Some(value) = self.train.get(name) {
                parts.push(format!("{label} {}", number(*value)));
            }
        }
        if !self.validation.is_empty() {
            parts.push(metrics(&self.validation));
        }
        if let Some(rate) = self.rate() {
            match self.train.get("samples_per_s") {
                Some(samples) => parts.push(format!("{samples:.0} samples/s")),
                None => parts.push(format!("{} steps/s", number(rate))),
            }
            if self.step < self.steps {
                parts.push(format!("{} left", duration((self.steps - self.step) as f64 / rate)));
            }
        }
        parts.join("  ")
    }

    /// A plain line, which has no bar beside it.
    fn whole_line(&self) -> String {
        format!("step {}/{}  {}", self.step, self.steps, self.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_ms: u64, step: u64, event: Event) -> Record {
        Record { time_ms, step, event }
    }

    fn started() -> Event {
        Event::Started { steps: 100, steps_per_epoch: 50, devices: vec!["cpu".into()], resumed_from: Some(20) }
    }

    fn step(loss: f64) -> Event {
        Event::Step { epoch: 0, metrics: Metrics::from([("train/loss".into(), loss), ("lr".into(), 1e-3)]) }
    }

    #[test]
    fn the_rate_counts_this_process_alone_and_gives_the_time_left() {
        let mut status = Status::default();
        status.fold(&record(1000, 20, started()));
        status.fold(&record(3000, 40, step(0.5)));
        assert_eq!(status.rate(), Some(10.0));
        assert_eq!(status.line(), "epoch 1/2  loss 0.5000  lr 0.0010  10.00 steps/s  6 s left");
    }

    #[test]
    fn the_last_step_belongs_to_the_last_epoch() {
        let mut status = Status::default();
        status.fold(&record(0, 20, started()));
        status.fold(&record(1, 100, step(0.5)));
        assert!(status.line().starts_with("epoch 2/2") && !status.line().contains("left"));
    }

    #[test]
    fn a_pipe_gets_validations_checkpoints_and_warnings_but_not_every_step() {
        let (mut io, captured) = Io::captured();
        let mut progress = Progress::new(&io, false);
        for n in 21..=50 {
            progress.take(&record(n, n, step(0.5)), &mut io);
        }
        progress.take(
            &record(51, 50, Event::Validation { epoch: 0, metrics: Metrics::from([("val/loss".into(), 0.25)]) }),
            &mut io,
        );
        progress.take(&record(52, 50, Event::Warning { message: "disk is short".into() }), &mut io);
        let written =
            Event::CheckpointWritten { name: "step-00000050".into(), bytes: 1500, reason: "every_epochs".into() };
        progress.take(&record(53, 50, written), &mut io);
        let text = captured.stderr();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("val/loss 0.2500"));
        assert_eq!(lines[1..], ["warning: disk is short", "checkpoint at step 50: 1.50 kB (every_epochs)"]);
        assert_eq!(captured.stdout(), "");
    }
}
