//! SIGKILL at random instants over a process that does nothing but write, replace and remove checkpoints.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::core::run::{Lineage, RunHome};
use crate::core::tensor::HostTensor;

const FOLDER: &str = "FROSTLINE_TEST_KILL_FOLDER";
const KILLS: u64 = 12;
const STEPS: u64 = 3;

/// Not a test of its own: the process that is killed. Without the variable it does nothing.
#[test]
fn the_victim() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let run = RunHome::open(folder).find("last").unwrap();
    let _lock = run.lock().unwrap();
    let store = run.checkpoints();
    store.sweep();
    let first = store.list().iter().filter_map(|i| i.metrics.get("round")).fold(0.0, |a: f64, b| a.max(*b)) as u64 + 1;
    for round in first.. {
        // The same few steps again and again, with another content each time.
        let mut state = TrainState { step: round % STEPS, ..TrainState::default() };
        state.metrics.insert("round".into(), round as f64);
        let weights = HostTensor::from_f32("w", &[4000], &[round as f32; 4000]);
        store.write(&state, &[weights], &[]).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "\nack {} {round}", state.step).unwrap();
        out.flush().unwrap();
        if round % 7 == 0 {
            let name = CheckpointStore::name_of((round + 1) % STEPS);
            writeln!(out, "\nremoving {}", (round + 1) % STEPS).unwrap();
            out.flush().unwrap();
            let _ = store.remove(&name);
        }
    }
}

#[test]
fn after_a_kill_at_any_instant_every_acknowledged_checkpoint_loads() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunHome::open(dir.path()).create(&crate::core::recipe::Recipe::default(), Lineage::default()).unwrap();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for kill in 0..KILLS {
        read_acks(dir.path(), Duration::from_millis(20 + kill * 37 % 90), &mut acknowledged);
        assert_eq!(run.owner(), None, "a lock of a killed process is stale at once");
        for (step, round) in &acknowledged {
            let loaded = run.checkpoints().load(&CheckpointStore::name_of(*step)).unwrap();
            let found = loaded.state.metrics["round"];
            assert!(found >= *round as f64, "step {step}: round {round} was acknowledged, {found} is there");
            assert_eq!(loaded.weights[0].to_f32().unwrap(), [found as f32; 4000]);
        }
        assert!(run.checkpoints().names().iter().all(|n| run.checkpoints().verify(n).is_empty()));
    }
    assert!(!acknowledged.is_empty(), "nothing was ever written");
    let _lock = run.lock().unwrap();
    run.checkpoints().sweep();
    let left = std::fs::read_dir(run.checkpoints().path()).unwrap().count();
    assert_eq!(left, run.checkpoints().list().len(), "a sweep leaves whole checkpoints only");
}

/// Runs the victim, kills it some time after its first word, and takes in what it acknowledged.
fn read_acks(home: &Path, after: Duration, acknowledged: &mut HashMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "core::checkpoint::kill_tests::the_victim", "--nocapture", "--test-threads=1"])
        .env(FOLDER, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut take = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ack", step, round] => {
                acknowledged.insert(step.parse().unwrap(), round.parse().unwrap());
                true
            }
            ["removing", step] => acknowledged.remove(&step.parse().unwrap()).is_some(),
            _ => false,
        }
    };
    while !take(lines.next().expect("the victim ended by itself").unwrap()) {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    lines.map_while(Result::ok).for_each(|line| {
        take(line);
    });
    killer.join().unwrap();
}
