//! The history of one run: what is listed, and what is done with one checkpoint.

use std::collections::HashMap;

use crate::app::action::Action;
use crate::app::checkpoint_list;
use crate::app::effect::{Effect, StartJob};
use crate::app::form::{Form, Purpose};
use crate::app::format::{ago, bytes, number};
use crate::app::message::CheckpointRow;
use crate::app::model::{Facts, Model};
use crate::app::overlay::{Confirm, Consent, Overlay, Purpose as Asked};
use crate::app::place::Screen;
use crate::app::run_view::{Health, Level};
use crate::core::checkpoint::policy::Guard;
use crate::core::filter::Query;
use crate::core::recipe::Recipe;
use crate::core::run::RunStatus;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(view) = model.shown() else {
        model.say(Level::Info, "no run is open; `1` shows the runs");
        return Vec::new();
    };
    let run = view.id.clone();
    match action {
        Action::FilterCheckpoints => {
            let before = model.checkpoint_list.filter.clone();
            let text = before.as_str().to_owned();
            super::ask::ask(model, "Show the checkpoints that pass", text, Asked::FilterCheckpoints { before });
            return Vec::new();
        }
        Action::SortCheckpoints | Action::ReverseCheckpoints => {
            let selected = model.selected_checkpoint().map(|r| r.name.clone());
            let order = model.checkpoint_list.order_mut();
            if action == Action::SortCheckpoints {
                order.next()
            } else {
                order.reverse()
            }
            model.arrange_checkpoints(selected.as_deref());
            return Vec::new();
        }
        Action::RefreshCheckpoints => return vec![Effect::ReadCheckpoints(run)],
        Action::VerifyAll => {
            let rows = view.checkpoints.as_deref().unwrap_or_default();
            let listed = model.checkpoint_list.shown().iter().filter_map(|i| rows.get(*i));
            let names = listed.map(|row| row.name.clone()).collect();
            return verify(model, run, names);
        }
        _ => {}
    }
    let Some(row) = model.selected_checkpoint().cloned() else {
        let none = view.checkpoints.as_ref().is_none_or(Vec::is_empty);
        let words = if none { "this run has no checkpoint yet" } else { "no checkpoint passes the filter" };
        model.say(Level::Info, words);
        return Vec::new();
    };
    match action {
        Action::Resume => resume(model, run, row.name, row.step),
        Action::Export => super::export::open(model, run, row),
        Action::ForkWith => fork(model, run, row),
        Action::ShowLayers => vec![Effect::ReadCheckpointTree { run, name: row.name }],
        Action::Verify => verify(model, run, vec![row.name]),
        Action::MarkCheckpoint => {
            super::diff::mark(model, &row);
            Vec::new()
        }
        Action::DiffCheckpoints => super::diff::open(model, &row),
        Action::Pin => {
            let pinned = row.guard != Some(Guard::Pinned);
            vec![Effect::PinCheckpoint { run, name: row.name, pinned }]
        }
        Action::DeleteCheckpoint => {
            delete(model, run, &row);
            Vec::new()
        }
        Action::Details => {
            match model.is_wide() {
                true => model.side = !model.side,
                false => model.overlays.push(Overlay::Explain { scroll: 0 }),
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn verify(model: &mut Model, run: String, names: Vec<String>) -> Vec<Effect> {
    let Some(view) = model.shown_mut() else { return Vec::new() };
    // Those that wait already are not asked for again.
    let names: Vec<String> = names
        .into_iter()
        .filter(|n| view.health.insert(n.clone(), Health::Checking) != Some(Health::Checking))
        .collect();
    if names.is_empty() { Vec::new() } else { vec![Effect::Verify { run, names }] }
}

/// Asks before a checkpoint is deleted; one that the run cannot do without is not.
fn delete(model: &mut Model, run: String, row: &CheckpointRow) {
    let health = model.shown().and_then(|v| v.health.get(&row.name));
    let damaged = row.problem.is_some() || matches!(health, Some(Health::Damaged(_)));
    if let Some(guard) = row.guard.as_ref().filter(|guard| !damaged || **guard == Guard::Pinned) {
        let key =
            if *guard == Guard::Pinned { format!(" (`{}`)", model.keymap.first(Action::Pin)) } else { String::new() };
        model.say(Level::Warning, format!("step {} is not deleted: {guard}{key}", row.step));
        return;
    }
    let mut lines = Vec::new();
    if row.problem.is_none() {
        let monitor = model.shown().map_or("", |v| v.monitor.as_str());
        let measured = row.metrics.get(monitor).map_or_else(String::new, |v| format!(", {monitor} {}", number(*v)));
        let written = ago(model.now_ms, row.time_ms);
        lines.push(format!("Epoch {}{measured}, {}, written {written}.", row.epoch, bytes(row.bytes)));
    }
    if damaged {
        lines.push("It is damaged.".to_owned());
    } else if !row.kept.is_empty() {
        lines.push(format!("The recipe would keep it: {}.", row.kept.join(", ")));
    }
    let from = format!("{run}@{}", row.step);
    let forks = model.runs.iter().flatten().filter(|r| r.lineage.forked_from.as_deref() == Some(&from)).count();
    if forks > 0 {
        let runs = if forks == 1 { "1 run was".to_owned() } else { format!("{forks} runs were") };
        lines.push(format!("{runs} forked from here; what they began with cannot be looked at any more."));
    }
    lines.push("Weights and optimizer state go, for ever.".to_owned());
    let title = format!("Delete the checkpoint of step {}?", row.step);
    let yes = Consent::DeleteCheckpoint { run, name: row.name.clone() };
    model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
}

/// A checkpoint was pinned, unpinned or deleted, or could not be.
pub(super) fn changed(model: &mut Model, run: String, result: Result<String, String>) -> Vec<Effect> {
    match result {
        Ok(said) => model.say(Level::Good, said),
        Err(problem) => model.say(Level::Error, problem),
    }
    vec![Effect::ReadCheckpoints(run)]
}

/// The history was read.
pub(super) fn listed(model: &mut Model, run: &str, rows: Vec<CheckpointRow>) {
    let on_view = model.shown.as_deref() == Some(run);
    // The cursor stays on its checkpoint when newer ones come in above it; on the newest it follows the newest.
    let selected = model.selected_checkpoint().map(|r| r.name.clone());
    let selected = selected.filter(|_| !model.is_on_newest_checkpoint());
    let Some(view) = model.view_mut(run) else { return };
    // What is known of a checkpoint's bytes goes with it, also where another one of the same step took its place.
    let old = view.checkpoints.take().unwrap_or_default();
    let times = |rows: &[CheckpointRow]| -> HashMap<String, u64> {
        rows.iter().map(|row| (row.name.clone(), row.time_ms)).collect()
    };
    let (before, now) = (times(&old), times(&rows));
    let stays = |name: &String| now.get(name).is_some_and(|t| before.get(name).is_none_or(|b| b == t));
    view.health.retain(|name, _| stays(name));
    view.checkpoints = Some(rows);
    if on_view {
        model.arrange_checkpoints(selected.as_deref());
    }
}

/// Puts a filter into force.
pub(super) fn set_filter(model: &mut Model, filter: Query) {
    let selected = model.selected_checkpoint().map(|r| r.name.clone());
    model.checkpoint_list.filter = filter;
    model.arrange_checkpoints(selected.as_deref());
}

/// How many checkpoints pass, or what is wrong with the filter.
pub(super) fn preview_filter(model: &Model, text: &str) -> Result<Vec<String>, String> {
    checkpoint_list::parse(text).map_err(|e| e.to_string())?;
    let all = model.shown().and_then(|v| v.checkpoints.as_ref()).map_or(0, Vec::len);
    Ok(vec![
        format!("{} of {all} checkpoints", model.checkpoint_list.shown().len()),
        "words; step>=100 epoch=3 val/loss<0.3 size>1e6; kept: why: state:damaged; - not; | or".to_owned(),
    ])
}

/// Esc: shows all again, then takes the mark off.
pub(super) fn back(model: &mut Model) -> bool {
    if !model.checkpoint_list.filter.is_empty() {
        set_filter(model, Query::default());
        return true;
    }
    model.marked.take().is_some()
}

/// Has the `state.json` of what is under the cursor read when its details are shown and not known yet.
pub(super) fn facts(model: &mut Model) -> Option<Effect> {
    if model.screen != Screen::Checkpoints || !model.has_side() {
        return None;
    }
    let (run, row) = (model.shown()?.id.clone(), model.selected_checkpoint()?);
    let (name, time_ms) = (row.name.clone(), row.time_ms);
    if model.facts.as_ref().is_some_and(|f| f.run == run && f.name == name && f.time_ms == time_ms) {
        return None;
    }
    model.facts = Some(Facts { run: run.clone(), name: name.clone(), time_ms, read: None });
    Some(Effect::ReadFacts { run, name, time_ms })
}

/// Puts the form of a fork on top.
fn fork(model: &mut Model, run: String, row: CheckpointRow) -> Vec<Effect> {
    if model.hosts_a_live_run() {
        let name = model.hosted().map_or("a run", |v| &v.name);
        let text = format!("{name} is live here; stop it before another one starts");
        model.say(Level::Warning, text);
        return Vec::new();
    }
    let tree = model.shown().and_then(|v| v.layers.as_ref()).map(|l| l.tree().clone());
    model.overlays.push(Overlay::Form(Box::new(Form::fork(run.clone(), row.name.clone(), row.step, tree))));
    vec![Effect::ReadForkBase { run, name: row.name }]
}

/// The recipe that a fork begins with was read, or cannot be.
pub(super) fn fork_base(model: &mut Model, run: &str, name: &str, result: Result<Box<Recipe>, String>) {
    let form = model.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Form(form) => match &form.purpose {
            Purpose::Fork(of) if of.run == run && of.checkpoint == name => Some(form),
            _ => None,
        },
        _ => None,
    });
    if let Some(form) = form {
        form.take_base(result);
    }
}

fn resume(model: &mut Model, run: String, name: String, step: u64) -> Vec<Effect> {
    if !model.enabled(Action::Resume) && !model.hosts_a_live_run() {
        let status = model.shown().map_or_else(String::new, |v| v.status.to_string());
        let fork = model.keymap.first(Action::ForkWith);
        model.say(
            Level::Info,
            format!("this run is {status}: there is nothing to resume; `{fork}` starts a new run from it"),
        );
        return Vec::new();
    }
    let newest = model.shown().and_then(|v| v.checkpoints.as_ref()?.last().map(|r| r.step));
    let is_finished = model.shown().is_some_and(|v| v.status == RunStatus::Finished);
    if is_finished && newest == Some(step) && !model.hosts_a_live_run() {
        return super::lengthen::ask(model, &run);
    }
    let job = StartJob::Resume { run, from: Some(name), sets: Vec::new() };
    if newest.is_some_and(|n| n > step) && !model.hosts_a_live_run() {
        let lines = vec![
            format!("Later checkpoints (up to step {}) are set aside, none is deleted.", newest.unwrap_or(step)),
            "What the run measured after this step is superseded.".to_owned(),
        ];
        let title = format!("Resume from step {step}?");
        model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes: Consent::Start(job), other: None }));
        return Vec::new();
    }
    super::train::start(model, job)
}
