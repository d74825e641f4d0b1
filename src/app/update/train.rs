//! Commands to the live run, and the start of one.

use crate::app::action::Action;
use crate::app::effect::{Effect, StartJob};
use crate::app::format::number;
use crate::app::model::{Model, Starting};
use crate::app::overlay::{Confirm, Consent, Overlay, Purpose};
use crate::app::run_view::Level;
use crate::core::command::Command;
use crate::core::run::RunStatus;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if !model.enabled(action) {
        if !model.leaving && model.shown().is_some_and(|v| v.status.is_live() && !v.is_followed()) {
            super::attach::say_out_of_reach(model);
            return Vec::new();
        }
        let text = match model.shown() {
            None if model.busy.starting.is_some() => "the run is just being started; a moment",
            None => "no run is open; `1` shows the runs, `n` there starts one",
            Some(_) if model.leaving => "the run is stopping",
            Some(v) if v.is_handed_over() => "the run goes over to another process; try again in a moment",
            Some(_) => "this run is not live; `5` shows its checkpoints, `r` there resumes it",
        };
        model.say(Level::Info, text);
        return Vec::new();
    }
    let live = [Action::Pause, Action::Stop, Action::Save, Action::Evaluate, Action::SetLr];
    if !live.contains(&action) {
        return super::charts::act(model, action);
    }
    let paused = model.shown().is_some_and(|v| v.status == RunStatus::Paused);
    match action {
        Action::Pause if paused => vec![model.tell(Command::Continue)],
        Action::Pause => vec![model.tell(Command::Pause)],
        Action::Save => vec![model.tell(Command::Save)],
        Action::Evaluate => {
            model.say(Level::Info, "evaluating…");
            vec![model.tell(Command::Evaluate)]
        }
        Action::SetLr => {
            let lr = model.shown().map_or_else(String::new, |v| v.lr.to_string());
            super::ask::ask(model, "Base learning rate", lr, Purpose::SetLr);
            Vec::new()
        }
        Action::Stop => {
            let lines = vec!["It finishes its step and writes a checkpoint; `resume` goes on from there.".to_owned()];
            let title = format!("Stop {}?", model.shown().map_or("the run", |v| &v.name));
            model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes: Consent::Stop, other: None }));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// What the typed learning rate would do.
pub(super) fn preview_lr(model: &Model, text: &str) -> Result<Vec<String>, String> {
    let lr = parse_lr(text)?;
    let Some(now) = model.shown().map(|v| v.lr) else { return Ok(Vec::new()) };
    let change = if lr == now || now == 0.0 { String::new() } else { format!(", {} times", number(lr / now)) };
    let scaled = "Groups and schedule scale it, as in the recipe; it is in force between two steps.";
    Ok(vec![format!("{now} → {lr}{change}"), scaled.to_owned()])
}

fn parse_lr(text: &str) -> Result<f64, String> {
    let lr = text.parse().ok().filter(|lr: &f64| lr.is_finite() && *lr >= 0.0);
    lr.ok_or_else(|| format!("`{text}` is no learning rate; write a number that is not negative, as 3e-4"))
}

pub(super) fn set_lr(model: &mut Model, text: &str) -> Vec<Effect> {
    match parse_lr(text) {
        Ok(lr) if model.enabled(Action::SetLr) => vec![model.tell(Command::SetLr { lr })],
        Ok(_) => {
            model.say(Level::Info, "the run is not live any more");
            Vec::new()
        }
        Err(problem) => {
            model.say(Level::Warning, problem);
            Vec::new()
        }
    }
}

/// Starts or resumes a run in this process, if none is.
pub(super) fn start(model: &mut Model, job: StartJob) -> Vec<Effect> {
    start_with(model, job, Starting::default())
}

/// The same, with what the run takes once it stands.
pub(super) fn start_with(model: &mut Model, job: StartJob, starting: Starting) -> Vec<Effect> {
    if let Some(live) = model.hosted().filter(|live| live.status.is_live()) {
        let text = format!("{} is live here; stop it first (`4`, then `s`)", live.name);
        model.say(Level::Warning, text);
        return Vec::new();
    }
    if model.busy.starting.is_some() || model.next_start.is_some() {
        model.say(Level::Info, "a run is being started already");
        return Vec::new();
    }
    super::form::mark_sent(model, |form| form.fork_job().as_ref() == Some(&job));
    if model.hosted.is_some() {
        // Its last word is said, its thread is not over yet: a moment.
        model.next_start = Some((job, starting));
        return Vec::new();
    }
    model.busy.starting = Some(starting);
    vec![Effect::Start(job)]
}
