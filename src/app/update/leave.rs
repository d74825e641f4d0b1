//! Leaving: at once when nothing is live, else after a checkpoint.

use crate::app::effect::Effect;
use crate::app::model::{Busy, Model};
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::core::command::Command;

/// The quit key: leaves, or asks when a run is live in this process.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let Some(run) = model.hosted() else { return leave_without_run(model) };
    let confirm = if model.leaving {
        Confirm {
            title: "Leave at once?".to_owned(),
            lines: vec![
                "The run is writing its last checkpoint.".to_owned(),
                "What it did since the one before would be lost.".to_owned(),
            ],
            yes: Consent::LeaveAtOnce,
        }
    } else {
        Confirm {
            title: format!("{} is live here. Stop it and leave?", run.name),
            lines: vec!["It finishes its step and writes a checkpoint first; `resume` goes on from there.".to_owned()],
            yes: Consent::StopAndLeave,
        }
    };
    model.overlays.push(Overlay::Confirm(confirm));
    Vec::new()
}

/// A run that is being started is waited for, so that it is stopped in order; a second time it is not.
fn leave_without_run(model: &mut Model) -> Vec<Effect> {
    if model.busy == Some(Busy::Starting) && !model.leaving {
        model.leaving = true;
        return Vec::new();
    }
    vec![if model.leaving { Effect::Abandon } else { Effect::Quit }]
}

/// Stops the hosted run with a checkpoint; the process ends when it has ended.
pub(super) fn stop_and_leave(model: &mut Model, reason: &str) -> Vec<Effect> {
    if model.hosted.is_none() {
        return leave_without_run(model);
    }
    model.leaving = true;
    vec![Effect::Send(Command::Stop { reason: reason.to_owned() })]
}

/// A signal: the same as a yes to the question; a second one does not wait.
pub(super) fn terminate(model: &mut Model, signal: &'static str) -> Vec<Effect> {
    if model.leaving {
        // Again a signal: whoever sends it wants the process gone. A hang-up comes by two ways and is one.
        return if signal == "SIGHUP" { Vec::new() } else { vec![Effect::Abandon] };
    }
    model.overlays.clear();
    stop_and_leave(model, signal)
}
