//! The connection to a run of another process: made when it comes on view, given up when another one does.

use crate::app::effect::Effect;
use crate::app::message::AttachedRun;
use crate::app::model::{Model, Unreachable};
use crate::app::overlay::{Consent, Overlay};
use crate::app::run_view::{Level, RunView};

/// So long a run whose host has no socket yet may be just starting, and so long one that was handed over.
const STARTING_MS: u64 = 10_000;
const HAND_OVER_MS: u64 = 60_000;

/// Connects to the run on view, if it lives in another process and that is not done yet.
pub(super) fn if_live(model: &mut Model) -> Vec<Effect> {
    let Some(view) = model.shown().filter(|v| v.status.is_live() && !v.is_followed()) else { return Vec::new() };
    let id = view.id.clone();
    if model.attaching.as_ref() == Some(&id) {
        return Vec::new();
    }
    model.attaching = Some(id.clone());
    vec![Effect::Attach(id)]
}

/// The connection stands.
pub(super) fn attached(model: &mut Model, attached: AttachedRun) -> Vec<Effect> {
    let id = attached.opened.summary.id.to_string();
    model.attaching = None;
    // The user went elsewhere in the meantime: the loop hangs up.
    if model.shown.as_ref() != Some(&id) || model.hosted.as_ref() == Some(&id) {
        return Vec::new();
    }
    model.unreachable = None;
    model.toasts.resumed(&id);
    let mut view = RunView::attached(attached);
    view.hear(model.now_ms);
    if let Some(old) = model.view(&id) {
        view.keep_places(old);
        view.keep_layers(old);
    }
    model.attached = Some(id.clone());
    let (subject, screen) = (model.subject, model.screen);
    model.show(view);
    model.fold_run(&id);
    (model.subject, model.screen) = (subject, screen);
    vec![Effect::ReadCheckpoints(id)]
}

/// The connection cannot be made: the files are read again and again instead, and it is tried again.
pub(super) fn not_attached(model: &mut Model, run: &str, problem: String, passing: bool) {
    if model.attaching.as_deref() == Some(run) {
        model.attaching = None;
    }
    if model.shown.as_deref() != Some(run) {
        return;
    }
    let known = model.unreachable.take().filter(|u| u.run == run);
    let mut unreachable = known.unwrap_or(Unreachable { run: run.to_owned(), since_ms: model.now_ms, said: None });
    let handed_over = model.shown().is_some_and(|v| v.was_handed_over());
    let patience = if handed_over { HAND_OVER_MS } else { STARTING_MS };
    let waits = passing && model.now_ms.saturating_sub(unreachable.since_ms) < patience;
    if !waits && unreachable.said.as_ref() != Some(&problem) {
        model.say_until_resumed(Level::Warning, problem.clone(), run);
        unreachable.said = Some(problem);
    }
    model.unreachable = Some(unreachable);
}

/// Why a live run of another process takes no command now; its words go once it does.
pub(super) fn say_out_of_reach(model: &mut Model) {
    let Some(run) = model.shown.clone() else { return };
    let given_up = model.unreachable.as_ref().is_some_and(|u| u.run == run && u.said.is_some());
    let text = if given_up {
        "this run lives in another process, which cannot be reached"
    } else {
        "the run's process is just being reached; try again"
    };
    model.say_until_resumed(Level::Info, text.to_owned(), &run);
}

/// The host has ended, or handed the run over: its files tell.
pub(super) fn parted(model: &mut Model) -> Vec<Effect> {
    let Some(id) = model.attached.take() else { return Vec::new() };
    if let Some(view) = model.view_mut(&id) {
        view.attached = None;
        if let Some(layers) = &mut view.layers {
            layers.end_apply();
        }
    }
    model.overlays.retain(|o| !matches!(o, Overlay::Confirm(c) if c.yes == Consent::Stop));
    vec![Effect::ReadRuns, Effect::OpenRun(id.clone()), Effect::ReadCheckpoints(id)]
}
