//! Comparing two checkpoints: one is marked, the other is under the cursor.

use crate::app::action::Action;
use crate::app::diff_view::{DiffView, Side};
use crate::app::effect::Effect;
use crate::app::message::CheckpointRow;
use crate::app::model::Model;
use crate::app::overlay::Overlay;
use crate::app::run_view::{Level, RunView};
use crate::core::checkpoint::diff::Drift;

fn side(view: &RunView, row: &CheckpointRow) -> Side {
    Side { run: view.id.clone(), run_name: view.name.clone(), name: row.name.clone(), step: row.step }
}

/// Marks the checkpoint under the cursor, or takes its mark off.
pub(super) fn mark(model: &mut Model, row: &CheckpointRow) {
    let Some(marked) = model.shown().map(|view| side(view, row)) else { return };
    model.marked = Some(marked).filter(|m| model.marked.as_ref() != Some(m));
}

/// Compares the marked one with the one under the cursor; with no mark, that one with the one before it.
pub(super) fn open(model: &mut Model, row: &CheckpointRow) -> Vec<Effect> {
    let Some(view) = model.shown() else { return Vec::new() };
    let here = side(view, row);
    let marked = model.marked.clone().filter(|m| *m != here);
    let before = || {
        let rows = view.checkpoints.as_deref()?.iter().filter(|r| r.problem.is_none());
        rows.take_while(|r| r.name != row.name).last().map(|r| side(view, r))
    };
    let Some(other) = marked.or_else(before) else {
        let key = model.keymap.first(Action::MarkCheckpoint);
        model.say(Level::Info, format!("nothing lies before this one: mark another with `{key}`, then compare"));
        return Vec::new();
    };
    // Of one run, the older one comes first, whichever was marked.
    let (before, after) = if other.run == here.run && other.step > here.step { (here, other) } else { (other, here) };
    model.overlays.push(Overlay::Diff(Box::new(DiffView::new(before.clone(), after.clone()))));
    vec![Effect::Diff { before, after }]
}

/// The two were compared, or could not be.
pub(super) fn compared(model: &mut Model, before: &Side, after: &Side, result: Result<Box<Drift>, String>) {
    for overlay in &mut model.overlays {
        if let Overlay::Diff(view) = overlay
            && view.before == *before
            && view.after == *after
        {
            return view.take(result);
        }
    }
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(Overlay::Diff(view)) = model.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::DiffTensors => view.change(|v| v.tensors = !v.tensors),
        Action::DiffMoved => view.change(|v| v.moved = !v.moved),
        Action::DiffSort => {
            view.change(|v| v.sorted = !v.sorted);
            view.cursor = 0;
        }
        Action::DiffSwap => {
            let (before, after) = (view.after.clone(), view.before.clone());
            let old = std::mem::replace(view.as_mut(), DiffView::new(before.clone(), after.clone()));
            (view.tensors, view.moved, view.sorted) = (old.tensors, old.moved, old.sorted);
            return vec![Effect::Diff { before, after }];
        }
        _ => {}
    }
    Vec::new()
}
