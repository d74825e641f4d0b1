//! The checkpoints of the run on view: listed again as they come and go, and looked at one by one.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

use super::{Job, Places, next, run_dir};
use crate::app::effect::Effect;
use crate::app::form::Tensor;
use crate::app::message::{CheckpointFacts, CheckpointRow, Message};
use crate::core::checkpoint::history::{Entry, History};
use crate::core::checkpoint::policy::{self, Guard};
use crate::core::checkpoint::{CheckpointInfo, CheckpointStore, WEIGHTS};
use crate::core::event::Metrics;
use crate::core::recipe::Recipe;
use crate::core::run::{RunDir, forked};
use crate::core::tensor::DType;
use crate::core::weights::{TensorListing, inspect};
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting = VecDeque::new();
    // Of the run that was listed last.
    let mut known = (String::new(), History::default());
    while let Some(job) = next(queue, &mut waiting) {
        let Job::Effect(effect) = job else { continue };
        let message = match effect {
            Effect::ReadCheckpoints(id) => match run_dir(places, &id) {
                Ok(run) => {
                    if known.0 != id {
                        known = (id.clone(), History::default());
                    }
                    Message::Checkpoints { rows: rows(&run, &mut known.1), run: id }
                }
                Err(problem) => Message::Warning(problem),
            },
            Effect::ReadFacts { run, name, time_ms } => {
                let result = facts(places, &run, &name).map(Box::new);
                Message::Facts { run, name, time_ms, result }
            }
            Effect::PinCheckpoint { run, name, pinned } => {
                let result = pin(places, &run, &name, pinned);
                Message::Pinned { run, result }
            }
            Effect::ReadTensors { run, name } => {
                let result = tensors(places, &run, &name);
                Message::Tensors { run, name, result }
            }
            Effect::ReadForkBase { run, name } => {
                let result = fork_base(places, &run, &name).map(Box::new);
                Message::ForkBase { run, name, result }
            }
            _ => continue,
        };
        if !post.message(message) {
            return;
        }
    }
}

/// The lines of the list, oldest first.
fn rows(run: &RunDir, history: &mut History) -> Vec<CheckpointRow> {
    let store = run.checkpoints();
    let (entries, pins) = (history.read(&store), store.pins());
    let recipe = run.meta().map(|m| m.recipe).unwrap_or_default();
    let infos: Vec<CheckpointInfo> = entries.iter().filter_map(Entry::info).cloned().collect();
    let mut kept = policy::kept_reasons(&infos, &recipe.checkpoint).into_iter();
    let mut guards = policy::guards(&infos, &recipe.checkpoint).into_iter();
    let row = |entry: Entry| match entry {
        Entry::Whole(info) => CheckpointRow {
            guard: guards.next().flatten(),
            name: info.name,
            step: info.step,
            epoch: info.epoch,
            reason: info.reason,
            metrics: info.metrics,
            bytes: info.bytes,
            time_ms: info.time_ms,
            kept: kept.next().unwrap_or_default(),
            problem: None,
        },
        Entry::Damaged { name, problem } => CheckpointRow {
            step: CheckpointStore::step_of(&name).unwrap_or(0),
            epoch: 0,
            reason: String::new(),
            metrics: Metrics::new(),
            bytes: 0,
            time_ms: 0,
            kept: Vec::new(),
            guard: pins.contains(&name).then_some(Guard::Pinned),
            problem: Some(problem),
            name,
        },
    };
    entries.into_iter().map(row).collect()
}

fn pin(places: &Places, run: &str, name: &str, pinned: bool) -> Result<String, String> {
    run_dir(places, run)?.checkpoints().pin(name, pinned).map_err(|e| e.to_string())?;
    let step = CheckpointStore::step_of(name).unwrap_or(0);
    Ok(if pinned { format!("step {step} is kept for ever") } else { format!("step {step} is no longer pinned") })
}

/// Names and sizes of the weights, from the file's header.
fn tensors(places: &Places, run: &str, name: &str) -> Result<Vec<Tensor>, String> {
    let file = run_dir(places, run)?.checkpoints().path().join(name).join(WEIGHTS);
    let listing = inspect(&file).map_err(|e| e.to_string())?;
    let tensor = |t: TensorListing| {
        let elements = t.shape.iter().map(|n| *n as u64).product();
        Some(Tensor { dtype: DType::of_name(t.dtype)?, elements, name: t.name })
    };
    Ok(listing.tensors.into_iter().filter_map(tensor).collect())
}

fn fork_base(places: &Places, run: &str, name: &str) -> Result<Recipe, String> {
    let run = run_dir(places, run)?;
    let state = run.checkpoints().state(name).map_err(|e| e.to_string())?;
    let recipe = run.meta().map_err(|e| e.to_string())?.recipe;
    Ok(forked(recipe, &state, &format!("{}@{}", run.id(), state.step)))
}

fn facts(places: &Places, run: &str, name: &str) -> Result<CheckpointFacts, String> {
    let state = run_dir(places, run)?.checkpoints().state(name).map_err(|e| e.to_string())?;
    Ok(CheckpointFacts {
        step_in_epoch: state.step_in_epoch,
        samples_seen: state.samples_seen,
        lr: state.base_lr,
        best: state.best.map(|best| (best, state.best_step)),
        files: state.files.iter().map(|(name, sum)| (name.clone(), sum.bytes)).collect(),
        versions: state.versions.into_iter().collect(),
        rules: state.freeze_rules,
    })
}
