//! The connection to a run of another process: made when it comes on view, given up when another one does.

use crate::app::effect::Effect;
use crate::app::message::AttachedRun;
use crate::app::model::Model;
use crate::app::overlay::{Consent, Overlay};
use crate::app::run_view::{Level, RunView};

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
    let mut view = RunView::attached(attached);
    if let Some(old) = model.view(&id) {
        view.keep_places(old);
    }
    model.attached = Some(id.clone());
    let (subject, screen) = (model.subject, model.screen);
    model.show(view);
    model.fold_run(&id);
    (model.subject, model.screen) = (subject, screen);
    vec![Effect::ReadCheckpoints(id)]
}

/// The connection cannot be made: the files are read again and again instead.
pub(super) fn not_attached(model: &mut Model, run: &str, problem: String) {
    if model.attaching.as_deref() == Some(run) {
        model.attaching = None;
    }
    if model.shown.as_deref() == Some(run) && model.unreachable.as_ref() != Some(&problem) {
        model.say(Level::Warning, problem.clone());
        model.unreachable = Some(problem);
    }
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
