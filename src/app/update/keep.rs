//! What the run list keeps about runs: names, tags, notes; deleting them.

use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::format::bytes;
use crate::app::message::RunWeight;
use crate::app::model::Model;
use crate::app::overlay::{Confirm, Consent, Overlay, Purpose};
use crate::app::run_view::Level;
use crate::core::run::edit::{checked_name, line};
use crate::core::run::{RunEdit, RunSummary, TagEdit};

/// Runs that a preview or a question names.
const NAMED: usize = 6;

pub(super) fn act(model: &mut Model, action: Action) {
    match action {
        Action::RenameRun | Action::NoteRun => {
            let Some(run) = model.selected_run() else { return };
            let (id, name, note) = (run.id.to_string(), run.name.clone(), run.note.clone());
            let (title, text, purpose) = if action == Action::RenameRun {
                (format!("Another name for {name}"), name, Purpose::RenameRun(id))
            } else {
                (format!("Note on {name}"), note, Purpose::NoteRun(id))
            };
            super::ask::ask(model, title, text, purpose);
        }
        Action::TagRuns => {
            let runs = model.chosen_runs();
            let ids: Vec<String> = runs.iter().map(|r| r.id.to_string()).collect();
            let (title, text) = match runs.as_slice() {
                [] => return,
                [run] => (format!("Tags of {}", run.name), line(&run.tags)),
                // An empty list would take all tags away.
                runs => (format!("Tags of {} runs", runs.len()), "+".to_owned()),
            };
            super::ask::ask(model, title, text, Purpose::TagRuns(ids));
        }
        _ => {}
    }
}

/// Whether the run can have the name, and who else has it.
pub(super) fn preview_name(model: &Model, run: &str, text: &str) -> Result<Vec<String>, String> {
    let name = checked_name(text).map_err(|e| e.to_string())?;
    let others = model.runs.iter().flatten().filter(|r| r.name == name && r.id.as_str() != run).count();
    Ok(match others {
        0 => Vec::new(),
        1 => vec!["Another run has this name: the two are told apart by their ids.".to_owned()],
        n => vec![format!("{n} other runs have this name: they are told apart by their ids.")],
    })
}

/// The tags as they would be.
pub(super) fn preview_tags(model: &Model, runs: &[String], text: &str) -> Result<Vec<String>, String> {
    let edit = TagEdit::parse(text).map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    for run in model.runs.iter().flatten().filter(|r| runs.iter().any(|id| r.id.as_str() == id)) {
        let after = edit.apply(&run.tags).map_err(|e| format!("{}: {e}", run.name))?;
        let after = if after.is_empty() { "no tags".to_owned() } else { line(&after) };
        lines.push(if runs.len() == 1 { after } else { format!("{}: {after}", run.name) });
    }
    if lines.len() > NAMED {
        let more = lines.len() - NAMED;
        lines.truncate(NAMED);
        lines.push(format!("and {more} more"));
    }
    lines.push("+good -old adds and takes off; a plain list replaces; \"two words\"".to_owned());
    Ok(lines)
}

/// What becomes of the note.
pub(super) fn preview_note(text: &str) -> Result<Vec<String>, String> {
    let words =
        if text.is_empty() { "Without a text there is no note." } else { "The filter of the run list finds it." };
    Ok(vec![words.to_owned()])
}

pub(super) fn edit(runs: Vec<String>, edit: RunEdit) -> Vec<Effect> {
    vec![Effect::EditRuns { runs, edit }]
}

/// Runs were changed, or could not be.
pub(super) fn edited(model: &mut Model, result: Result<String, String>) -> Vec<Effect> {
    match result {
        Ok(said) => model.say(Level::Good, said),
        Err(problem) => model.say(Level::Error, problem),
    }
    vec![Effect::ReadRuns]
}

/// Asks before runs are deleted; live ones are not.
pub(super) fn delete(model: &mut Model) -> Vec<Effect> {
    let runs = model.chosen_runs();
    if let Some(live) = runs.iter().find(|r| r.status.is_live() || model.hosted.as_deref() == Some(r.id.as_str())) {
        let words = format!("{} is {}: stop it before it is deleted (`s` on Train)", live.name, live.status);
        model.say(Level::Warning, words);
        return Vec::new();
    }
    let ids: Vec<String> = runs.iter().map(|r| r.id.to_string()).collect();
    let title = match runs.as_slice() {
        [] => return Vec::new(),
        [run] => format!("Delete {}?", run.name),
        runs => format!("Delete {} runs?", runs.len()),
    };
    let mut lines: Vec<String> = runs.iter().take(NAMED).map(|r| describe(r)).collect();
    if runs.len() > NAMED {
        lines.push(format!("and {} more", runs.len() - NAMED));
    }
    let of_these = |from: &str| ids.iter().any(|id| from.split_once('@').is_some_and(|(run, _)| run == id));
    let orphans = model.runs.iter().flatten().filter(|r| !ids.iter().any(|id| r.id.as_str() == id));
    let orphans = orphans.filter(|r| r.lineage.forked_from.as_deref().is_some_and(of_these)).count();
    if orphans > 0 {
        let runs = if orphans == 1 { "1 run was".to_owned() } else { format!("{orphans} runs were") };
        lines.push(format!("{runs} forked from here; what they began with cannot be looked at any more."));
    }
    lines.push("Metrics, events and all checkpoints go, for ever.".to_owned());
    let yes = Consent::DeleteRuns(ids.clone());
    model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
    vec![Effect::WeighRuns(ids)]
}

fn describe(run: &RunSummary) -> String {
    format!("{} ({}), {}, step {}", run.name, run.id, run.status, run.step)
}

/// How much would be deleted: one more line of the question, if it still stands.
pub(super) fn weighed(model: &mut Model, weights: &[RunWeight]) {
    let Some(Overlay::Confirm(Confirm { lines, yes: Consent::DeleteRuns(ids), .. })) = model.overlays.last_mut() else {
        return;
    };
    if !weights.iter().map(|w| &w.run).eq(ids.iter()) {
        return;
    }
    let checkpoints: usize = weights.iter().map(|w| w.checkpoints).sum();
    let size: u64 = weights.iter().map(|w| w.bytes).sum();
    let noun = if checkpoints == 1 { "checkpoint" } else { "checkpoints" };
    let at = lines.len().saturating_sub(1);
    lines.insert(at, format!("{checkpoints} {noun}, {}", bytes(size)));
}

/// Runs are gone, or could not be deleted.
pub(super) fn deleted(model: &mut Model, gone: &[String], problems: Vec<String>) -> Vec<Effect> {
    match gone {
        [] => {}
        [_] => model.say(Level::Good, "1 run deleted"),
        gone => model.say(Level::Good, format!("{} runs deleted", gone.len())),
    }
    for problem in problems {
        model.say(Level::Error, problem);
    }
    model.marks.retain(|id| !gone.contains(id));
    model.views.retain(|v| !gone.contains(&v.id));
    if model.shown.as_ref().is_some_and(|id| gone.contains(id)) {
        model.shown = None;
    }
    vec![Effect::ReadRuns]
}
