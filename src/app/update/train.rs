//! Commands to the live run, and the start of one.

use crate::app::action::Action;
use crate::app::effect::{Effect, StartJob};
use crate::app::model::{Busy, Model};
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::run_view::Level;
use crate::core::command::Command;
use crate::core::run::RunStatus;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if !model.enabled(action) {
        let text = match model.shown() {
            None => "no run is open; `1` shows the runs, `n` there starts one",
            Some(_) if model.leaving => "the run is stopping",
            Some(v) if model.attaching.as_ref() == Some(&v.id) => "the run's process is just being reached; try again",
            Some(v) if v.status.is_live() => "this run lives in another process, which cannot be reached",
            Some(_) => "this run is not live; `4` shows its checkpoints, `r` there resumes it",
        };
        model.say(Level::Info, text);
        return Vec::new();
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
        Action::Stop => {
            let lines = vec!["It finishes its step and writes a checkpoint; `resume` goes on from there.".to_owned()];
            let title = format!("Stop {}?", model.shown().map_or("the run", |v| &v.name));
            model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes: Consent::Stop, other: None }));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Starts or resumes a run in this process, if none is.
pub(super) fn start(model: &mut Model, job: StartJob) -> Vec<Effect> {
    if let Some(live) = model.hosted() {
        let text = format!("{} is live here; stop it first (`3`, then `s`)", live.name);
        model.say(Level::Warning, text);
        return Vec::new();
    }
    if model.busy == Some(Busy::Starting) {
        model.say(Level::Info, "a run is being started already");
        return Vec::new();
    }
    model.busy = Some(Busy::Starting);
    vec![Effect::Start(job)]
}
