//! The run that lives in this process, or in one that the screen is connected to: its start, what it says, its end.

use super::background::fail;
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::form::{Form, Purpose};
use crate::app::message::StartedRun;
use crate::app::model::{Draft, Model, Subject};
use crate::app::overlay::{Consent, Overlay};
use crate::app::place::Screen;
use crate::app::run_view::{Level, RunView};
use crate::core::command::{HANDED_OVER, NOT_HANDED_OVER};
use crate::core::event::{Event, Record};
use crate::core::run::RunStatus;

/// A run was started in this process, or could not be.
pub(super) fn started(model: &mut Model, result: Result<Box<StartedRun>, String>) -> Vec<Effect> {
    let starting = model.busy.starting.take().unwrap_or_default();
    match result {
        Ok(started) => {
            let StartedRun { opened, tree } = *started;
            let mut view = RunView::new(opened, true);
            // An empty tree: the run was finished already, and nothing was started.
            if !tree.modules.is_empty() {
                view.set_tree(tree);
                view.status = RunStatus::Running;
            }
            let id = view.id.clone();
            model.hosted = Some(id.clone());
            model.toasts.resumed(&id);
            super::form::close(model, is_fork);
            super::devices::taken(model, &starting.devices);
            // One that was opened or edited since is not what the run has.
            let came = |d: &mut Draft| starting.draft == Some((d.path.clone(), d.layers.all_rules()));
            let draft = model.draft.take_if(came);
            let edits = model.screen == Screen::Model && model.subject == Subject::Draft && model.draft.is_some();
            model.show(view);
            model.fold_run(&id);
            if edits {
                model.subject = Subject::Draft;
                let key = model.keymap.first(Action::ShowTrain);
                let name = model.hosted().map_or("the run", |v| &v.name);
                let said = format!("{name} has started; `{key}` shows it");
                model.say(Level::Good, said);
            } else {
                model.screen = Screen::Train;
            }
            model.opening = None;
            let mut effects = vec![Effect::ReadRuns, Effect::ReadCheckpoints(id)];
            // The run has the edits now.
            effects.extend(draft.filter(Draft::is_unwritten).map(|d| Effect::ForgetDraft(d.path)));
            // The user left, or a signal came, while it started.
            if model.leaving {
                let reason = std::mem::take(&mut model.stop_reason);
                effects.extend(super::leave::stop_and_leave(model, &reason));
            }
            effects
        }
        Err(problem) => {
            if model.leaving {
                return vec![Effect::Quit];
            }
            if model.watch {
                model.screen = Screen::Runs;
            }
            fail(model, "The run did not start", &problem);
            super::form::refused(model, is_fork);
            Vec::new()
        }
    }
}

fn is_fork(form: &Form) -> bool {
    matches!(form.purpose, Purpose::Fork(_))
}

/// What a live run said, here or in another process.
pub(super) fn take(model: &mut Model, id: Option<String>, records: &[Record]) -> Vec<Effect> {
    let mut effects = Vec::new();
    let Some(id) = id else { return effects };
    let now_ms = model.now_ms;
    if let Some(view) = model.view_mut(&id) {
        view.hear(now_ms);
    }
    for record in records {
        let plateau = model.alerts.plateau;
        let alert = model.view_mut(&id).and_then(|view| Some((view.take(record, plateau)?, view.name.clone())));
        if let Some((alert, name)) = alert.filter(|(alert, _)| model.alerts.tells(alert.kind)) {
            effects.push(Effect::Alert(format!("{name}: {}", alert.message)));
        }
        match &record.event {
            Event::Reply { result, .. } => {
                if let Some(layers) = model.view_mut(&id).and_then(|v| v.layers.as_mut()) {
                    layers.end_apply();
                }
                if result.as_ref().is_err_and(|words| words.starts_with(NOT_HANDED_OVER)) {
                    super::leave::not_handed_over(model);
                }
                match result {
                    Ok(said) => model.say(Level::Good, in_words(said)),
                    Err(problem) => model.say(Level::Error, problem.clone()),
                }
            }
            Event::Warning { message } => model.say(Level::Warning, message.clone()),
            Event::CheckpointFailed { message } => model.say(Level::Error, message.clone()),
            Event::Failed { message } => model.say(Level::Error, message.clone()),
            Event::Finished { .. } => model.say(Level::Good, "the run has finished"),
            // Somebody else may have stopped it, at another screen or at a command line.
            Event::Stopped { reason } if reason != HANDED_OVER && !model.leaving => {
                model.say(Level::Info, format!("the run has stopped ({reason})"));
            }
            Event::CheckpointWritten { .. } | Event::CheckpointRemoved { .. } => {
                let effect = Effect::ReadCheckpoints(id.clone());
                if !effects.contains(&effect) {
                    effects.push(effect);
                }
            }
            _ => {}
        }
    }
    // The list's line of the live run follows the stream, not the file.
    if let Some(view) = model.view(&id).map(|v| (v.step, v.status))
        && let Some(run) = model.runs.iter_mut().flatten().find(|r| r.id.to_string() == id)
    {
        (run.step, run.status) = (view.0.max(run.step), view.1);
    }
    effects
}

/// An answer in words: that to `save` is the checkpoint's name alone.
fn in_words(answer: &str) -> String {
    let step = answer.strip_prefix("step-").and_then(|step| step.parse::<u64>().ok());
    step.map_or_else(|| answer.to_owned(), |step| format!("a checkpoint of step {step} is written"))
}

/// The hosted run's thread has ended and its files are complete.
pub(super) fn ended(model: &mut Model) -> Vec<Effect> {
    let Some(id) = model.hosted.take() else { return Vec::new() };
    if let Some(view) = model.view_mut(&id) {
        view.hosted = false;
        if view.status.is_live() {
            // The stream ended without a word: the session says why in its log.
            view.status = RunStatus::Failed;
        }
        if let Some(layers) = &mut view.layers {
            layers.end_apply();
        }
    }
    let next = model.next_start.take();
    if model.leaving {
        super::form::refused(model, is_fork);
        return super::leave::run_ended(model, id);
    }
    // A question about stopping it has no object any more.
    model.overlays.retain(
        |o| !matches!(o, Overlay::Confirm(c) if matches!(c.yes, Consent::Stop | Consent::StopAndLeave | Consent::LeaveAtOnce)),
    );
    let mut effects = vec![Effect::ReadRuns, Effect::ReadCheckpoints(id)];
    if let Some((job, starting)) = next {
        effects.extend(super::train::start_with(model, job, starting));
    }
    effects
}
