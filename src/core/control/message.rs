//! The lines.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Standing;
use crate::core::command::Request;
use crate::core::event::{Event, Metrics, Record};
use crate::core::shown::json_words;
use crate::core::tree::Tree;

/// What a host says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made, written and gone")]
pub enum FromHost {
    /// The first line of every connection.
    Hello(Hello),
    /// Where the run stands: the answer to `watch` and `snapshot`, and what follows a `lagged`.
    Snapshot(Standing),
    /// A rare event, as in `events.jsonl`.
    Event(Record),
    /// Optimizer steps since the last such line.
    Steps(Steps),
    /// The viewer was too slow: so many steps and events were left out. A snapshot follows; the run's folder has all.
    Lagged {
        /// Records left out.
        missed: u64,
    },
    /// The answer to a command.
    Answer(Answer),
    /// The answer to `tree`.
    Tree {
        /// The model's layers.
        tree: Tree,
    },
    /// A line could not be understood.
    Error {
        /// What was wrong.
        message: String,
    },
    /// The last line: the run has ended, and its lock is free.
    Bye {
        /// `finished`, `stopped: REASON`, `failed: MESSAGE`, or why the host ends the connection.
        reason: String,
    },
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The host's version.
    pub frostline: String,
    /// The run's id.
    pub run: String,
    /// The host's process id.
    pub pid: u32,
}

/// Steps in columns: the same names for all rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// Names of the metrics.
    pub columns: Vec<String>,
    /// `[step, epoch, milliseconds since the Unix epoch, [values in the columns' order]]`; a value that is not finite is null.
    pub rows: Vec<(u64, u64, u64, Vec<Option<f64>>)>,
}

/// The answer to the command with this number: exactly one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The number that the command carried.
    pub id: u64,
    /// What was done. It is done when this is said: a checkpoint is on disk, a paused run stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<String>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// From a result.
    pub fn new(id: u64, result: Result<String, String>) -> Self {
        match result {
            Ok(ok) => Self { id, ok: Some(ok), error: None },
            Err(error) => Self { id, ok: None, error: Some(error) },
        }
    }

    /// As a result.
    pub fn result(self) -> Result<String, String> {
        match (self.ok, self.error) {
            (_, Some(error)) => Err(error),
            (ok, None) => Ok(ok.unwrap_or_default()),
        }
    }
}

/// What is said to a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHost {
    /// Send a snapshot, and from then on what happens.
    Watch {
        /// The steps too, ten times a second at most; without, the rare events alone.
        #[serde(default)]
        steps: bool,
    },
    /// Send a snapshot.
    Snapshot,
    /// Send the layer tree.
    Tree,
    /// Have the gradients' norms told once a second, or no longer. They come as events, to those who watch steps.
    Gradients {
        /// Whether.
        on: bool,
    },
    /// Do something; an answer with the same number follows when it is done.
    Command(Request),
}

impl Steps {
    /// Gathers a step's record; false where it has other columns than those before it (or is no step).
    pub fn push(&mut self, record: &Record) -> bool {
        let Event::Step { epoch, metrics } = &record.event else { return false };
        if self.rows.is_empty() {
            self.columns = metrics.keys().cloned().collect();
        } else if !self.columns.iter().eq(metrics.keys()) {
            return false;
        }
        let values = metrics.values().map(|v| v.is_finite().then_some(*v)).collect();
        self.rows.push((record.step, *epoch, record.time_ms, values));
        true
    }

    /// The records again.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.rows.iter().map(|(step, epoch, time_ms, values)| {
            let values = values.iter().map(|v| v.unwrap_or(f64::NAN));
            let metrics: Metrics = self.columns.iter().cloned().zip(values).collect();
            Record { time_ms: *time_ms, step: *step, event: Event::Step { epoch: *epoch, metrics } }
        })
    }
}

/// One line, with its end.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads one line; the error is in words.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|e| json_words(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::Command;

    fn text(message: &impl Serialize) -> String {
        String::from_utf8(encode(message)).unwrap()
    }

    #[test]
    fn the_lines_are_those_of_the_documentation() {
        let page = include_str!("../../../docs/control.md");
        let step = |n: u64, loss: f64| {
            let metrics = Metrics::from([("lr".to_owned(), 0.001), ("train/loss".to_owned(), loss)]);
            Record { time_ms: 1_790_000_000_000 + n, step: n, event: Event::Step { epoch: 0, metrics } }
        };
        let mut steps = Steps::default();
        assert!(steps.push(&step(121, 0.5)) && steps.push(&step(122, f64::NAN)));
        let event = |event| Record { time_ms: 1_790_000_000_000, step: 120, event };
        let mut standing = Standing::default();
        let started =
            Event::Started { steps: 450, steps_per_epoch: 45, devices: vec!["cpu".into()], resumed_from: None };
        standing.fold(&event(started));
        let norms = Metrics::from([("fc.bias".to_owned(), 0.25), ("fc.weight".to_owned(), f64::NAN)]);
        let said = [
            FromHost::Hello(Hello {
                protocol: 1,
                frostline: "0.1.0".into(),
                run: "20261125-032042-8b6a".into(),
                pid: 4711,
            }),
            FromHost::Snapshot(standing),
            FromHost::Event(event(Event::Paused)),
            FromHost::Steps(steps),
            FromHost::Event(event(Event::Gradients { norms })),
            FromHost::Lagged { missed: 812 },
            FromHost::Answer(Answer::new(7, Ok("paused after step 120".into()))),
            FromHost::Answer(Answer::new(8, Err("lr = -1: give a finite number that is not negative".into()))),
            FromHost::Error { message: "the line is longer than 65536 bytes".into() },
            FromHost::Bye { reason: "stopped: user".into() },
        ];
        for message in &said {
            let line = text(message);
            assert!(page.contains(line.trim_end()), "docs/control.md shows this line:\n{line}");
            let back: FromHost = decode(line.as_bytes()).unwrap();
            // NaN is not equal to itself.
            assert_eq!(text(&back), line);
        }
        let command = |id, command| ToHost::Command(Request { id, command });
        for message in [
            ToHost::Watch { steps: true },
            ToHost::Snapshot,
            ToHost::Tree,
            ToHost::Gradients { on: true },
            command(7, Command::Pause),
            command(8, Command::Continue),
            command(9, Command::Save),
            command(10, Command::Evaluate),
            command(11, Command::Stop { reason: "user".into() }),
            command(12, Command::Freeze { rules: vec!["freeze layer1".into()] }),
            command(13, Command::SetLr { lr: 0.0001 }),
            command(14, Command::SetDevices { devices: vec!["cuda:0".into()] }),
        ] {
            let line = text(&message);
            assert!(page.contains(line.trim_end()), "docs/control.md shows this line:\n{line}");
            assert_eq!(decode::<ToHost>(line.as_bytes()).unwrap(), message);
        }
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        assert_eq!(decode::<FromHost>(br#"{"type":"weather","rain":true}"#), Ok(FromHost::Unknown));
        assert_eq!(decode::<ToHost>(br#"{"type":"watch","colour":"blue"}"#), Ok(ToHost::Watch { steps: false }));
    }

    #[test]
    fn steps_come_back_as_they_were_and_other_columns_begin_another_line() {
        let record = |step, names: &[&str]| {
            let metrics = names.iter().map(|n| ((*n).to_owned(), 0.25 * step as f64)).collect();
            Record { time_ms: step, step, event: Event::Step { epoch: 1, metrics } }
        };
        let mut steps = Steps::default();
        let (a, b) = (record(1, &["x", "y"]), record(2, &["x", "y"]));
        assert!(steps.push(&a) && steps.push(&b));
        assert!(!steps.push(&record(3, &["x", "z"])));
        assert_eq!(steps.records().collect::<Vec<_>>(), [a, b]);
    }
}
