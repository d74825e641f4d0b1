//! SIGKILL at random instants over the program as a user starts it: while it starts, steps, saves, prunes, exports. What was
//! reported written stays whole, nothing needs cleaning up, and the run ends as if nothing had happened.
//!
//! 20 kills; 200 with `FROSTLINE_LONG=1`. With libtorch the victim is the binary itself, without it this test binary on
//! the fake engine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use frostline::core::run::{RunDir, RunStatus};
use program::Bench;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::exact::{assert_same_bits, final_of};

const EVERY: u64 = 3;

/// Not a test: the program.
#[test]
fn child() {
    program::be();
}

fn command(bench: &Bench, args: &[&str]) -> Command {
    if !cfg!(feature = "torch") {
        let mut command = bench.command(args);
        command.env("FAKE_DELAY_MS", "0");
        return command;
    }
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("frostline"));
    command.args(args).current_dir(bench.path()).env("FROSTLINE_HOME", bench.path().join("home"));
    command.env("FROSTLINE_CONFIG", bench.path().join("config")).env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ok(bench: &Bench, args: &[&str]) {
    let output = command(bench, args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The step of a checkpoint that the program reports.
fn reported(line: &str) -> Option<u64> {
    line.strip_prefix("checkpoint at step ")?.split(':').next()?.parse().ok()
}

/// Kills after `count` reports of checkpoints and a little more; the newest that was reported.
fn kill_after_reports(mut child: Child, count: usize, rest: Duration) -> u64 {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut newest = lines.by_ref().filter_map(|l| reported(&l)).take(count).last().unwrap_or(0);
    std::thread::sleep(rest);
    child.kill().unwrap();
    child.wait().unwrap();
    newest = lines.filter_map(|l| reported(&l)).fold(newest, u64::max);
    newest
}

fn kill_after(mut child: Child, rest: Duration) {
    std::thread::sleep(rest);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn kills_leave_every_reported_checkpoint_whole_and_the_end_bit_identical() {
    let kills = if std::env::var_os("FROSTLINE_LONG").is_some_and(|v| v == "1") { 200 } else { 20 };
    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.path().join("r.toml")).unwrap();
    let text = text.replace("every_steps = 20", &format!("every_steps = {EVERY}"));
    std::fs::write(bench.path().join("r.toml"), text).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let start = |bench: &Bench| match bench.home().find("last") {
        Ok(_) => command(bench, &["resume", "last"]).spawn().unwrap(),
        Err(_) => command(bench, &["train", "r.toml"]).spawn().unwrap(),
    };
    // How long a start takes here, so that some of them are hit.
    let began = Instant::now();
    let mut newest = kill_after_reports(start(&bench), 1, Duration::ZERO);
    let begin = began.elapsed();
    let exported = bench.path().join("out.safetensors");
    for kill in 1..kills {
        match kill % 4 {
            0 => kill_after(start(&bench), begin.mul_f64(rng.random_range(0.0..1.0))),
            1 | 2 => {
                let rest = Duration::from_micros(rng.random_range(0..15_000));
                newest = kill_after_reports(start(&bench), rng.random_range(1..5), rest).max(newest);
            }
            _ => {
                let child = command(&bench, &["export", "last", "-o", "out.safetensors", "--force"]).spawn().unwrap();
                kill_after(child, begin.mul_f64(rng.random_range(0.0..1.0)));
                // Whole, or not there at all.
                if let Ok(bytes) = std::fs::read(&exported) {
                    let tensors = safetensors::SafeTensors::deserialize(&bytes);
                    assert!(tensors.is_ok_and(|t| !t.is_empty()), "after kill {kill}");
                }
            }
        }
        check(&bench.run(), newest, &format!("after kill {kill}"));
    }
    assert!(newest >= EVERY * kills as u64 / 2, "the victims did not get on: {newest}");

    let run = bench.run();
    let end = format!("train.steps={}", run.checkpoints().list().last().unwrap().step + 10);
    ok(&bench, &["resume", "last", "--set", &end]);
    let left = std::fs::read_dir(run.checkpoints().path()).unwrap().count();
    assert_eq!(left, run.checkpoints().list().len(), "remains were not swept");
    ok(&bench, &["train", "r.toml", "--set", &end]);
    assert_same_bits(&final_of(&bench.run()), &final_of(&run), "after the kills");
}

fn check(run: &RunDir, newest: u64, when: &str) {
    let store = run.checkpoints();
    for info in store.list() {
        assert_eq!(store.verify(&info.name), [], "{when}");
    }
    assert_eq!(run.owner(), None, "{when}: a lock of a killed process is stale at once");
    assert_ne!(run.summary().status, RunStatus::Running, "{when}");
    if newest > 0 {
        let (loaded, passed) = store.newest_good().unwrap();
        assert_eq!(passed, Vec::<String>::new(), "{when}");
        let step = loaded.state.step;
        assert!(step >= newest, "{when}: {newest} was reported, {step} is there");
        // One interval is lost at most, and what was being saved.
        let done = run.summary().step;
        assert!(done <= step + 2 * EVERY, "{when}: {done} steps were done, {step} is the newest checkpoint");
    }
}
