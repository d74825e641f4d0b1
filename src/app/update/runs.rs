//! The run list.

use crate::app::action::Action;
use crate::app::effect::{Effect, StartJob};
use crate::app::model::{Model, Subject, can_resume};
use crate::app::overlay::{Overlay, Purpose};
use crate::app::place::Screen;
use crate::app::run_view::Level;
use crate::core::run::{Filter, RunStatus};

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::RefreshRuns => vec![Effect::ReadRuns],
        Action::NewRun => {
            model.overlays.push(Overlay::Recipes { entries: None, cursor: 0 });
            vec![Effect::ListRecipes]
        }
        Action::NewRecipe => {
            super::form::open(model);
            Vec::new()
        }
        Action::OpenRun => open(model),
        Action::ResumeRun => resume(model),
        Action::MarkRun => {
            mark(model);
            Vec::new()
        }
        Action::CompareRuns => super::compare::open(model),
        Action::RenameRun | Action::TagRuns | Action::NoteRun => {
            super::keep::act(model, action);
            Vec::new()
        }
        Action::DeleteRuns => super::keep::delete(model),
        Action::Lineage => {
            let Some(id) = model.selected_run().map(|r| r.id.to_string()) else { return Vec::new() };
            let (kin, cursor) = crate::app::lineage::family(model.runs.as_deref().unwrap_or_default(), &id);
            model.overlays.push(Overlay::Lineage { kin, cursor });
            Vec::new()
        }
        Action::FilterRuns => {
            let before = model.run_list.filter.clone();
            let text = before.as_str().to_owned();
            super::ask::ask(model, "Show the runs that pass", text, Purpose::FilterRuns { before });
            Vec::new()
        }
        Action::SortRuns | Action::ReverseRuns => {
            let selected = model.selected_run().map(|r| r.id.clone());
            if action == Action::SortRuns {
                model.run_list.order_mut().next();
            } else {
                model.run_list.order_mut().reverse();
            }
            model.arrange_runs(selected)
        }
        _ => Vec::new(),
    }
}

/// Marks the run under the cursor, or takes its mark off, and goes on to the next one.
fn mark(model: &mut Model) {
    let Some(id) = model.selected_run().map(|r| r.id.to_string()) else { return };
    if model.marks.contains(&id) {
        model.marks.retain(|m| *m != id);
    } else {
        model.marks.push(id);
    }
    model.run_cursor = (model.run_cursor + 1).min(model.run_list.shown().len().saturating_sub(1));
}

/// Puts the cursor on a run, though the filter hides it.
pub(super) fn jump(model: &mut Model, id: &str) -> Vec<Effect> {
    let Some(target) = model.runs.iter().flatten().find(|r| r.id.as_str() == id).map(|r| r.id.clone()) else {
        return Vec::new();
    };
    model.screen = Screen::Runs;
    let mut effects = model.arrange_runs(Some(target.clone()));
    if model.selected_run().is_none_or(|r| r.id != target) {
        model.say(Level::Info, "the filter hid it and was taken away");
        model.run_list.filter = Filter::default();
        effects.extend(model.arrange_runs(Some(target)));
    }
    effects
}

/// Puts a filter into force.
pub(super) fn set_filter(model: &mut Model, filter: Filter) -> Vec<Effect> {
    let selected = model.selected_run().map(|r| r.id.clone());
    model.run_list.filter = filter;
    model.arrange_runs(selected)
}

/// How many runs pass, or what is wrong with the filter.
pub(super) fn preview_filter(model: &Model, text: &str) -> Result<Vec<String>, String> {
    Filter::parse(text).map_err(|e| e.to_string())?;
    let (shown, all) = (model.run_list.shown().len(), model.runs.as_ref().map_or(0, Vec::len));
    Ok(vec![
        format!("{shown} of {all} runs"),
        "words; tag: name: id: status: note:; best<0.3; cfg.optimizer.lr>=1e-3; - not; | or".to_owned(),
    ])
}

fn open(model: &mut Model) -> Vec<Effect> {
    let Some(id) = model.selected_run().map(|r| r.id.to_string()) else {
        model.say(Level::Info, "no run to open yet; `n` starts one from a recipe");
        return Vec::new();
    };
    model.subject = Subject::Run;
    model.returning = None;
    // The hosted run is known already, and better than from its files.
    if model.hosted.as_deref() == Some(id.as_str()) {
        model.look_at(id);
        model.screen = Screen::Train;
        return Vec::new();
    }
    open_by_id(model, id)
}

/// Opens a run of the run home, as `enter` on it does.
pub fn open_by_id(model: &mut Model, id: String) -> Vec<Effect> {
    model.subject = Subject::Run;
    model.opening = Some(id.clone());
    vec![Effect::OpenRun(id)]
}

fn resume(model: &mut Model) -> Vec<Effect> {
    let Some(run) = model.selected_run() else { return Vec::new() };
    let (id, status) = (run.id.to_string(), run.status);
    if status == RunStatus::Finished && model.enabled(Action::ResumeRun) {
        return super::lengthen::ask(model, &id);
    }
    if !can_resume(status) {
        model.say(Level::Info, format!("{} is {status}: there is nothing to resume", run_name(model)));
        return Vec::new();
    }
    super::train::start(model, StartJob::Resume { run: id, from: None, sets: Vec::new() })
}

fn run_name(model: &Model) -> String {
    model.selected_run().map_or_else(String::new, |r| r.name.clone())
}
