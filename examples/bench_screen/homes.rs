//! Run homes: very many runs, very many checkpoints, and one run that lives.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use frostline::core::run::{RunHome, RunId};

use crate::terminal::{Result, command};

/// A run that takes some thousand steps a second; the wider its hidden layers, the fewer.
pub fn live(hidden: &str) -> String {
    format!(
        r#"
name = "live"
[model]
arch = "mlp"
hidden = {hidden}
[data]
source = "digits"
workers = 0
[train]
steps = 100000000
batch_size = 32
devices = ["cpu"]
threads = 1
validate_every_epochs = 1000000
[checkpoint]
every_epochs = 1000000
"#
    )
}

const SHORT: &str = r#"
name = "short"
[model]
arch = "mlp"
hidden = [16]
[data]
source = "digits"
workers = 0
[train]
epochs = 2
devices = ["cpu"]
threads = 1
"#;

/// Trains one short run and gives so many of them a folder.
pub fn runs(folder: &Path, number: usize) -> Result<()> {
    train(folder)?;
    let home = RunHome::open(folder.join("home"));
    let first = home.runs()?.into_iter().next().ok_or("no run")?;
    let text = fs::read_to_string(first.path().join("run.toml"))?;
    let mut created = jiff::Timestamp::now();
    for i in 1..number {
        created -= Duration::from_secs(3600);
        let id = RunId::new(created);
        let path = first.path().with_file_name(id.as_str());
        copy(first.path(), &path)?;
        let text = text.replace(first.id().as_str(), id.as_str()).replace("\"short\"", &format!("\"run-{i}\""));
        fs::write(path.join("run.toml"), text)?;
    }
    Ok(())
}

/// Trains one short run and gives it so many checkpoints.
pub fn checkpoints(folder: &Path, number: usize) -> Result<()> {
    train(folder)?;
    let home = RunHome::open(folder.join("home"));
    let run = home.runs()?.into_iter().next().ok_or("no run")?;
    let all = run.path().join("checkpoints");
    let first = fs::read_dir(&all)?.flatten().map(|e| e.path()).max().ok_or("no checkpoint")?;
    let state: serde_json::Value = serde_json::from_slice(&fs::read(first.join("state.json"))?)?;
    let there = fs::read_dir(&all)?.count();
    for step in 0..number.saturating_sub(there) {
        let step = 100_000 + step;
        let path = all.join(format!("step-{step:08}"));
        copy(&first, &path)?;
        let mut state = state.clone();
        state["step"] = step.into();
        fs::write(path.join("state.json"), serde_json::to_vec(&state)?)?;
    }
    Ok(())
}

/// Steps a second of the run home's newest run.
pub fn rate(home: &Path, span: Duration) -> Result<f64> {
    let home = RunHome::open(home);
    let run = home.runs()?.into_iter().next().ok_or("no run")?;
    let (start, before) = (Instant::now(), run.summary().step);
    std::thread::sleep(span);
    let after = run.summary().step;
    Ok(after.saturating_sub(before) as f64 / start.elapsed().as_secs_f64())
}

fn train(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("short.toml"), SHORT)?;
    command(folder, &["train", "short.toml"]).map(|_| ())
}

/// Files are links: they are only read.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else if !["run.toml", "state.json"].iter().any(|n| entry.file_name() == *n) {
            fs::hard_link(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
