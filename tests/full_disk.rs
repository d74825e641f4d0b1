//! A disk that is really full: the program's run home on a file system of 4 MiB, in a mount namespace of the test's own.
//! Faults of other kinds are injected below `core/io`; this proves that the kernel's own answer takes the same way.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "support/program.rs"]
mod program;

use std::process::{Command, Stdio};

use program::{Bench, Ran};

/// Not a test: the program.
#[test]
fn child() {
    program::be();
}

/// How each story begins: a run has a checkpoint, and then the disk is full. `$@` is the program. Every wait is bounded; the exit code
/// tells which one was in vain.
const START: &str = r#"
mount -t tmpfs -o size=4m frostline home || exit 90
await() { n=0; until eval "$2"; do n=$((n+1)); [ $n -lt 600 ] || { echo "waited in vain: $2" >&2; kill -9 $host; exit $1; }; sleep 0.1; done; }
"$@" train r.toml >out 2>err &
host=$!
await 91 'ls home/runs/*/checkpoints 2>/dev/null | grep -q step-'
cat /dev/zero >home/filler 2>/dev/null
await 92 'grep -q "No space left on device" err'
"#;

/// There is room again.
const STORY: &str = r#"
stood=$(ls home/runs/*/checkpoints | grep -c step-)
sleep 1
[ "$(ls home/runs/*/checkpoints | grep -c step-)" -ge 1 ] && [ "$stood" -ge 1 ] || { kill -9 $host; exit 93; }
kill -0 $host || exit 94
"$@" verify last >verified 2>&1 || { cat verified >&2; kill -9 $host; exit 95; }
newest=$(ls home/runs/*/checkpoints | grep step- | tail -n 1)
rm home/filler
await 96 '[ "$(ls home/runs/*/checkpoints | grep step- | tail -n 1)" \> "$newest" ]'
kill -TERM $host
wait $host; [ $? -eq 130 ] || exit 97
"$@" verify last >verified 2>&1 || { cat verified >&2; exit 98; }
"$@" metrics last --format csv >metrics.csv 2>metrics.err || { cat metrics.err >&2; exit 99; }
"$@" checkpoints last --json >checkpoints.json || exit 89
ls -A home/runs/*/checkpoints >left
"#;

/// Runs a story, and its folder; nothing where this user may not have a disk of its own.
fn on_a_small_disk(script: &str) -> Option<Bench> {
    let may = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "x", "/mnt"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not mount a file system in a namespace of its own");
        return None;
    }
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("home")).unwrap();
    let program = bench.command(&[]);
    let mut story = Command::new("unshare");
    story
        .args(["-rm", "sh", "-c", &[START, script].concat(), "sh"])
        .arg(program.get_program())
        .args(program.get_args());
    story.current_dir(bench.path()).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            story.env(name, value);
        }
    }
    let ran = Ran::of(&story.output().unwrap());
    let said = std::fs::read_to_string(bench.path().join("err")).unwrap_or_default();
    assert_eq!(ran.code, Some(0), "{}\n{said}", ran.err);
    Some(bench)
}

/// The disk stays full: how the run ended is told all the same.
const END: &str = r#"
# Until the events have taken all the room but what is kept for the end.
size() { cat home/runs/*/events.jsonl | wc -c; }
await 93 's=$(size); sleep 1; [ $s -gt 48000 ] && [ $s -eq $(size) ]'
kill -TERM $host
wait $host; [ $? -eq 1 ] || exit 97
cat /dev/zero >>home/filler 2>/dev/null
"$@" ls --json >ls.json || exit 98
"$@" show last >show || exit 99
"#;

#[test]
fn how_a_run_ended_is_told_on_a_full_disk_too() {
    let Some(bench) = on_a_small_disk(END) else { return };
    let read = |name: &str| std::fs::read_to_string(bench.path().join(name)).unwrap_or_default();
    let json = read("ls.json");
    let own = json.split_once("test child ... ").map_or(json.as_str(), |(_, own)| own);
    let listed: serde_json::Value = serde_json::from_str(own).unwrap();
    assert_eq!(listed[0]["status"], "failed", "{json}");
    let show = read("show");
    assert!(show.contains("No space left on device") && show.contains("events could not be written in time"), "{show}");
}

#[test]
fn a_full_disk_costs_no_step_and_no_checkpoint_that_was_whole() {
    let Some(bench) = on_a_small_disk(STORY) else { return };
    let read = |name: &str| std::fs::read_to_string(bench.path().join(name)).unwrap_or_default();

    // It was said what to do, and no panic was seen.
    let said = read("err");
    assert!(said.contains("free some space") && !said.contains("panicked"), "{said}");
    // Every step's row is there, those taken on the full disk too.
    let csv = read("metrics.csv");
    let rows = csv.split_once("test child ... ").map_or(csv.as_str(), |(_, own)| own);
    let steps: Vec<u64> = rows.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    assert!(steps.len() > 20, "{}", steps.len());
    assert!(steps.windows(2).all(|w| w[1] == w[0] + 1 || w[1] == w[0]), "rows are missing: {steps:?}");
    // Nothing half-written is left, and the last step has its checkpoint.
    assert!(read("left").lines().all(|name| name.starts_with("step-")), "{}", read("left"));
    let json = read("checkpoints.json");
    let own = json.split_once("test child ... ").map_or(json.as_str(), |(_, own)| own);
    let listed: serde_json::Value = serde_json::from_str(own).unwrap();
    assert_eq!(listed.as_array().unwrap().last().unwrap()["step"].as_u64(), steps.last().copied());
}
