//! SIGKILL at random instants: what was reported written stays whole, and the run ends as if nothing had happened.
//!
//! The victim is this test binary itself, started again for the ignored test `victim`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use frostline::core::checkpoint::CheckpointStore;
use frostline::core::event::Event;
use frostline::core::run::{RunDir, RunHome};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::{Session, Start};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::exact::{assert_same_bits, final_of};
use support::{Place, to_end};

const HOME: &str = "FROSTLINE_TEST_VICTIM_HOME";
/// Without end: how far the victims come depends on the machine.
const SETS: [&str; 3] = ["train.steps=1000000", "checkpoint.every_steps=3", "checkpoint.keep_last=3"];
const KILLS: usize = 50;

fn engine() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

/// Not a test: the process that is killed. Prints `written NAME` for each checkpoint that was reported.
#[test]
#[ignore = "started by the other test, as a process to be killed"]
fn victim() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let place = Place::new(&SETS);
    let home = RunHome::open(home);
    let start = match home.runs().unwrap().into_iter().next() {
        Some(run) => Start::Resume { run, from: None, sets: Vec::new() },
        None => Start::Fresh { recipe: place.recipe },
    };
    let handle = Session::start(engine(), &home, start).unwrap();
    let mut out = std::io::stdout();
    while !handle.is_over() {
        handle.wait(Duration::from_secs(1));
        for record in handle.drain() {
            if let Event::CheckpointWritten { name, .. } = record.event {
                writeln!(out, "written {name}").unwrap();
                out.flush().unwrap();
            }
        }
    }
}

/// When a victim is killed.
enum When {
    /// So long after its start: it may not have got far.
    After(Duration),
    /// So long after it reported so many checkpoints.
    Written(usize, Duration),
}

/// Lets the victim live; the checkpoints that it reported.
fn live(home: &Path, when: When) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture", "--test-threads=1"])
        .env(HOME, home)
        // What a killed victim cannot remove goes with the test's own folder.
        .env("TMPDIR", home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let name = |line: String| line.rsplit_once("written ").map(|(_, name)| name.to_owned());
    let mut written: Vec<String> = Vec::new();
    match when {
        When::After(time) => std::thread::sleep(time),
        When::Written(count, time) => {
            written.extend(lines.by_ref().filter_map(name).take(count));
            std::thread::sleep(time);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    written.extend(lines.filter_map(name));
    written
}

#[test]
fn fifty_kills_leave_every_reported_checkpoint_whole_and_the_end_bit_identical() {
    let folder = tempfile::tempdir().unwrap();
    let home = RunHome::open(folder.path());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut newest = 0;
    for kill in 0..KILLS {
        let when = if kill % 2 == 0 {
            When::After(Duration::from_millis(rng.random_range(5..120)))
        } else {
            When::Written(rng.random_range(1..4), Duration::from_micros(rng.random_range(0..15_000)))
        };
        let written = live(folder.path(), when);
        let steps = written.iter().map(|name| CheckpointStore::step_of(name).unwrap());
        newest = steps.fold(newest, u64::max);
        let Some(run) = run_in(&home) else { continue };
        let store = run.checkpoints();
        for info in store.list() {
            assert_eq!(store.verify(&info.name), [], "after kill {kill}");
        }
        if newest > 0 {
            let (loaded, passed) = store.newest_good().unwrap();
            assert_eq!(passed, Vec::<String>::new(), "after kill {kill}");
            assert!(loaded.state.step >= newest, "after kill {kill}: {newest} was reported");
        }
    }
    assert!(newest >= 3 * KILLS as u64 / 2, "the victims did not get on: {newest}");
    let run = run_in(&home).unwrap();
    let end = run.checkpoints().list().last().unwrap().step + 10;
    let sets = [format!("train.steps={end}")];
    let start = Start::Resume { run: run.clone(), from: None, sets: sets.to_vec() };
    to_end(Session::start(engine(), &home, start).unwrap());
    let mut place = Place::new(&SETS);
    place.recipe = place.recipe.with_sets(&sets).unwrap();
    assert_same_bits(&final_of(&place.finished(&engine())), &final_of(&run), "after the kills");
    let left = std::fs::read_dir(run.checkpoints().path()).unwrap().count();
    assert_eq!(left, run.checkpoints().list().len(), "remains were not swept");
}

fn run_in(home: &RunHome) -> Option<RunDir> {
    home.runs().unwrap().into_iter().next()
}
