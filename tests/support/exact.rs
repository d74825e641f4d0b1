//! Exact resume: what a run came to, to the last bit, and the ways to interrupt one.

use std::sync::Arc;

use frostline::core::checkpoint::{LoadedCheckpoint, TrainState};
use frostline::core::command::Command;
use frostline::core::run::RunDir;
use frostline::engine::Engine;
use frostline::session::{Outcome, RunHandle, SessionError};

use super::probe::{Probe, Seen};
use super::{Place, differing, to_end};

/// A row of metrics: step, name, bits.
type Row = (u64, String, u64);

/// A finished run without what may differ: times, rates, and why its checkpoints were written.
pub struct Final {
    pub checkpoint: LoadedCheckpoint,
    pub rows: Vec<Row>,
}

pub fn final_of(run: &RunDir) -> Final {
    let (mut checkpoint, passed) = run.checkpoints().newest_good().unwrap();
    assert!(passed.is_empty(), "{passed:?}");
    let state = &mut checkpoint.state;
    *state = TrainState { time_ms: 0, reason: String::new(), files: Default::default(), ..state.clone() };
    let (table, dropped) = frostline::core::run::MetricsReader::read_all(&run.metrics_path()).unwrap();
    assert_eq!(dropped, None);
    let mut rows: Vec<Row> = Vec::new();
    for row in table.rows() {
        for (name, value) in row.values().filter(|(n, _)| *n != "samples_per_s" && !n.starts_with("device/")) {
            rows.push((row.step, name.to_owned(), value.to_bits()));
        }
    }
    Final { checkpoint, rows }
}

pub fn assert_same_bits(a: &Final, b: &Final, how: &str) {
    let empty: Vec<String> = Vec::new();
    assert_eq!(differing(&a.checkpoint.weights, &b.checkpoint.weights), empty, "weights: {how}");
    assert_eq!(differing(&a.checkpoint.optimizer, &b.checkpoint.optimizer), empty, "optimizer: {how}");
    assert_eq!(a.checkpoint.state, b.checkpoint.state, "state: {how}");
    let odd = a.rows.iter().zip(&b.rows).find(|(a, b)| a != b);
    assert_eq!(odd, None, "metrics: {how}");
    assert_eq!(a.rows.len(), b.rows.len(), "metrics: {how}");
}

/// How a run is interrupted in the step with this number (from 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// A stop command: a checkpoint is written.
    Stop(u64),
    /// The trainer dies without a word: back to the newest checkpoint.
    Die(u64),
}

/// Starts (or resumes) and interrupts. A cut at a step that does not come leaves the run finished.
fn interrupted(
    engine: &Arc<dyn Engine>,
    cut: Cut,
    seen: &mut Seen,
    start: impl FnOnce(&Arc<dyn Engine>) -> Result<RunHandle, SessionError>,
) -> RunDir {
    let mut probe = Probe::new(engine);
    if let Cut::Die(step) = cut {
        probe = probe.dying_at(step);
    }
    let held = match cut {
        Cut::Stop(step) => Some(probe.gate(step)),
        Cut::Die(_) => None,
    };
    let handle = start(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    if let Some(held) = held {
        held.during(|| handle.send(Command::Stop { reason: "test".to_owned() }));
    }
    let (outcome, _) = to_end(handle);
    match cut {
        Cut::Stop(step) => assert!(matches!(outcome, Outcome::Stopped { step: s, .. } if s == step + 1), "{outcome:?}"),
        Cut::Die(_) => assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}"),
    }
    seen.extend(probe.seen());
    run
}

/// Runs the recipe once undisturbed and once with these interruptions, each in the run's life in turn, and compares all
/// bits, and the samples of each step.
pub fn resumes_exactly(engine: &Arc<dyn Engine>, sets: &[&str], cuts: &[Cut]) {
    let (alone, probe) = (Place::new(sets), Probe::new(engine));
    let undisturbed = final_of(&alone.finished(&probe.engine()));
    let place = Place::new(sets);
    let mut seen = Seen::new();
    let mut run: Option<RunDir> = None;
    for cut in cuts {
        run = Some(match &run {
            None => interrupted(engine, *cut, &mut seen, |e| place.fresh(e)),
            Some(run) => interrupted(engine, *cut, &mut seen, |e| place.resume(e, run)),
        });
    }
    let run = run.unwrap();
    let last = Probe::new(engine);
    let (outcome, records) = to_end(place.resume(&last.engine(), &run).unwrap());
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?} after {cuts:?}: {records:?}");
    seen.extend(last.seen());
    assert_same_bits(&undisturbed, &final_of(&run), &format!("{cuts:?}, {sets:?}"));
    assert_eq!(probe.seen(), seen, "order of samples: {cuts:?}");
}
