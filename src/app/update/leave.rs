//! Leaving: at once when nothing is live here, else with the run stopped or handed over.

use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::run_view::Level;
use crate::core::command::{Command, HANDED_OVER};
use crate::core::run::RunStatus;

/// The quit key: leaves, or asks when a run is live in this process.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    if model.is_going_over() {
        model.overlays.push(Overlay::Confirm(Confirm {
            title: "Leave at once?".to_owned(),
            lines: vec![
                "A process in the background is just taking the run over.".to_owned(),
                "Where it cannot, nobody is left to say so; `frostline ls` tells.".to_owned(),
            ],
            yes: Consent::LeaveAtOnce,
            other: None,
        }));
        return Vec::new();
    }
    let Some(run) = model.hosted() else { return leave_without_run(model, "user") };
    if !model.leaving && !run.status.is_live() {
        // It has said its last word; its thread ends at any moment.
        model.leaving = true;
        return Vec::new();
    }
    let confirm = if model.leaving {
        Confirm {
            title: "Leave at once?".to_owned(),
            lines: vec![
                "The run is writing its last checkpoint.".to_owned(),
                "What it did since the one before would be lost.".to_owned(),
            ],
            yes: Consent::LeaveAtOnce,
            other: None,
        }
    } else {
        Confirm {
            title: format!("Stop it and leave? {} is live here.", run.name),
            lines: vec![
                "It finishes its step and writes a checkpoint first; `resume` goes on from there.".to_owned(),
                "Or leave it running: a process in the background goes on from that checkpoint; `attach` finds it."
                    .to_owned(),
            ],
            yes: Consent::StopAndLeave,
            other: Some(Consent::LeaveRunning),
        }
    };
    model.overlays.push(Overlay::Confirm(confirm));
    Vec::new()
}

/// A run that is being started is waited for, so that it is stopped in order; a second time it is not.
fn leave_without_run(model: &mut Model, reason: &str) -> Vec<Effect> {
    if model.busy.starting.is_some() && !model.leaving {
        model.leaving = true;
        reason.clone_into(&mut model.stop_reason);
        return Vec::new();
    }
    vec![if model.leaving { Effect::Abandon } else { Effect::Quit }]
}

/// Stops the hosted run with a checkpoint; the process ends when it has ended.
pub(super) fn stop_and_leave(model: &mut Model, reason: &str) -> Vec<Effect> {
    if model.hosted.is_none() {
        return leave_without_run(model, reason);
    }
    model.leaving = true;
    vec![Effect::Send(Command::Stop { reason: reason.to_owned() })]
}

/// Stops the hosted run with a checkpoint, from which a process in the background goes on.
pub(super) fn leave_running(model: &mut Model) -> Vec<Effect> {
    model.handing_over = model.hosted.is_some();
    stop_and_leave(model, HANDED_OVER)
}

/// The trainer keeps a run that nobody else could go on with; so the screen stays too.
pub(super) fn not_handed_over(model: &mut Model) {
    (model.leaving, model.handing_over) = (false, false);
    model.overlays.retain(|o| !matches!(o, Overlay::Confirm(c) if c.yes == Consent::LeaveAtOnce));
}

/// The hosted run has ended, and the user is leaving.
pub(super) fn run_ended(model: &mut Model, run: String) -> Vec<Effect> {
    // It may have come to its end by itself in the meantime, or have failed.
    let stopped = model.view(&run).filter(|v| v.status == RunStatus::Stopped);
    match stopped {
        // As it stood when it stopped: a pause may have been on its way when the key was pressed.
        Some(view) if model.handing_over => vec![Effect::HandOver { paused: view.stood_still(), run }],
        _ => vec![Effect::Quit],
    }
}

/// The process in the background hosts the run, or cannot.
pub(super) fn handed_over(model: &mut Model, result: Result<u32, String>) -> Vec<Effect> {
    match result {
        Ok(_) => vec![Effect::Quit],
        Err(_) if model.signalled => vec![Effect::Quit],
        Err(problem) => {
            not_handed_over(model);
            model.say(Level::Error, format!("the run stays stopped, after a checkpoint: {problem}"));
            vec![Effect::ReadRuns]
        }
    }
}

/// A signal: the same as a yes to the question; a second one does not wait. A process that is just taking the run over is
/// not what the signal is for: it is waited for.
pub(super) fn terminate(model: &mut Model, signal: &'static str) -> Vec<Effect> {
    if model.is_going_over() && !std::mem::replace(&mut model.signalled, true) {
        return Vec::new();
    }
    if model.leaving {
        // Again a signal: whoever sends it wants the process gone.
        return vec![Effect::Abandon];
    }
    model.overlays.clear();
    stop_and_leave(model, signal)
}
