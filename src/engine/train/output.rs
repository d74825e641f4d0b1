//! What a run says, to all places at once: the event log, the metrics file, `log.txt` and the bus.
//!
//! A disk that is full costs no step: the stores keep what they could not write and are asked again every second; the
//! bus hears of it at once, the disk when it can.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::core::event::{Event, Metrics, Record};
use crate::core::io::{SafeFile, advice};
use crate::core::run::{EventLog, MetricsFlush, MetricsWriter, RunDir, StoreError};

use super::Bus;
use super::words::words;

const RETRY: Duration = Duration::from_secs(1);

/// The trainer's mouth. Owned by its thread.
pub struct Output {
    bus: Arc<Bus>,
    events: EventLog,
    metrics: MetricsWriter,
    /// Best effort: nothing depends on it.
    log: Option<SafeFile>,
    /// Since the last try to write what a full disk refused.
    troubled: Option<Instant>,
    /// The step of the last record.
    step: u64,
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(0)
}

fn unwritten(error: &std::io::Error) -> String {
    format!("metrics cannot be written: {error}; {}", advice(error))
}

impl Output {
    /// Opens the run's files. `resume_at`: the step that it goes on from; what was said of later ones is superseded.
    pub fn open(run: &RunDir, resume_at: Option<u64>, bus: Arc<Bus>) -> Result<Self, StoreError> {
        let events = run.event_log()?;
        let metrics = run.metrics_writer(resume_at)?;
        let log = SafeFile::append(&run.log_path()).ok();
        Ok(Self { bus, events, metrics, log, troubled: None, step: resume_at.unwrap_or(0) })
    }

    /// What was cut off the files' ends on opening them, in words.
    pub fn dropped(&self) -> Option<String> {
        self.metrics.dropped().map(str::to_owned)
    }

    /// Says a rare event.
    pub fn say(&mut self, step: u64, event: Event) {
        self.step = step;
        let record = Record { time_ms: now_ms(), step, event };
        self.write_log(&record);
        if let Err(e) = self.events.append(&record) {
            self.trouble(&e.to_string());
        }
        self.bus.push(record);
    }

    /// Says a warning.
    pub fn warn(&mut self, step: u64, message: impl Into<String>) {
        self.say(step, Event::Warning { message: message.into() });
    }

    /// The step of the last thing said.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Appends metrics after so many optimizer steps.
    pub fn row(&mut self, step: u64, time_ms: u64, values: &[(&str, f64)]) {
        self.step = step;
        if let Err(e) = self.metrics.append(step, time_ms, values) {
            self.trouble(&unwritten(&e));
        }
    }

    /// A step's metrics: to the file, and to whoever watches.
    pub fn step_row(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) {
        let time_ms = now_ms();
        self.row(step, time_ms, values);
        let metrics = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.bus.push(Record { time_ms, step, event: Event::Step { epoch, metrics } });
        self.tick();
    }

    /// Whether somebody is to be told the gradients' norms.
    pub fn wants_gradients(&self, stands_still: bool) -> bool {
        self.bus.wants_gradients(stands_still)
    }

    /// The gradients' norms after so many steps, to whoever watches.
    pub fn gradients(&self, step: u64, norms: Metrics) {
        self.bus.push(Record { time_ms: now_ms(), step, event: Event::Gradients { norms } });
    }

    /// Tries again what could not be written, now and then.
    pub fn tick(&mut self) {
        if self.troubled.is_some_and(|since| since.elapsed() >= RETRY) {
            self.flush();
        }
    }

    /// Writes what waits, without waiting for the disk, and gives what flushes the metrics.
    pub fn hand_over(&mut self) -> MetricsFlush {
        if self.troubled.is_some() {
            // A disk in trouble is waited for: all must be said before the run's end is.
            self.flush();
        } else if let Err(e) = self.metrics.write_pending() {
            self.trouble(&unwritten(&e));
        }
        self.metrics.flusher()
    }

    /// What came of such a flush.
    pub fn flushed(&mut self, outcome: std::io::Result<()>) {
        if let Err(e) = outcome {
            self.trouble(&unwritten(&e));
        }
    }

    /// Brings all to the disk.
    pub fn flush(&mut self) {
        let events = self.events.retry().map_err(|e| e.to_string());
        let metrics = self.metrics.flush().map_err(|e| unwritten(&e));
        match events.and(metrics) {
            Ok(()) if self.troubled.take().is_some() => {
                let lost = self.metrics.lost();
                let lost = if lost > 0 { format!("; {lost} rows of metrics are lost") } else { String::new() };
                self.warn(self.step, format!("events and metrics are written again{lost}"));
            }
            Ok(()) => {}
            Err(e) => self.trouble(&e),
        }
    }

    /// Brings all to the disk at the end, with a little patience for a full one.
    pub fn close(&mut self) {
        for wait in [0, 100, 400, 1500] {
            std::thread::sleep(Duration::from_millis(wait));
            self.flush();
            if self.troubled.is_none() {
                return;
            }
        }
    }

    fn trouble(&mut self, why: &str) {
        let first = self.troubled.replace(Instant::now()).is_none();
        if first {
            let message = format!("{why}; the run goes on and tries again");
            let record = Record { time_ms: now_ms(), step: self.step, event: Event::Warning { message } };
            self.write_log(&record);
            self.bus.push(record);
        }
    }

    fn write_log(&mut self, record: &Record) {
        let Some(log) = &mut self.log else { return };
        let time = i64::try_from(record.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let time = time.map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
        let line = format!("{time} step {}: {}\n", record.step, words(&record.event));
        let _ = log.write_all(line.as_bytes());
    }
}
