//! Text fields that ask for one line: what the text would do is shown while it is typed, and a text that cannot be taken
//! is refused there and then.

use crate::app::checkpoint_list;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::overlay::{Ask, Input, Overlay, Purpose};
use crate::core::run::{Filter, RunEdit, TagEdit};

/// Puts a text field on top.
pub(super) fn ask(model: &mut Model, title: impl Into<String>, text: impl Into<String>, purpose: Purpose) {
    let ask = Ask { title: title.into(), input: Input::with(text), purpose, preview: Ok(Vec::new()) };
    model.overlays.push(Overlay::Ask(Box::new(ask)));
    preview(model);
}

/// What the text as it stands would do, in words; or why it cannot be taken.
fn preview(model: &mut Model) {
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { return };
    let text = ask.input.text.trim();
    let said = match &ask.purpose {
        Purpose::FilterRuns { .. } => super::runs::preview_filter(model, text),
        Purpose::FilterCheckpoints { .. } => super::checkpoints::preview_filter(model, text),
        Purpose::RenameRun(run) => super::keep::preview_name(model, run, text),
        Purpose::TagRuns(runs) => super::keep::preview_tags(model, runs, text),
        Purpose::NoteRun(_) => super::keep::preview_note(text),
        Purpose::Lengthen(run) => super::lengthen::preview(model, run, text),
        Purpose::SetLr => super::train::preview_lr(model, text),
        Purpose::FilterLayers { .. } => super::rules::preview_filter(model, text),
        Purpose::FreezeRule => super::rules::preview(model, text),
    };
    if let Some(Overlay::Ask(ask)) = model.overlays.last_mut() {
        ask.preview = said;
    }
}

/// The text has changed.
pub(super) fn changed(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { return Vec::new() };
    let text = ask.input.text.clone();
    let effects = match &ask.purpose.clone() {
        Purpose::FilterRuns { .. } => match Filter::parse(&text) {
            Ok(filter) => super::runs::set_filter(model, filter),
            // On its way to being typed: what stood before stays in force.
            Err(_) => Vec::new(),
        },
        Purpose::FilterCheckpoints { .. } => {
            if let Ok(filter) = checkpoint_list::parse(&text) {
                super::checkpoints::set_filter(model, filter);
            }
            Vec::new()
        }
        Purpose::FilterLayers { cursor, .. } => super::rules::set_filter(model, &text, *cursor),
        _ => Vec::new(),
    };
    preview(model);
    effects
}

/// Enter.
pub(super) fn accept(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Ask(ask)) = model.overlays.pop() else { return Vec::new() };
    if ask.preview.is_err() {
        // It stands below the field.
        model.overlays.push(Overlay::Ask(ask));
        return Vec::new();
    }
    let text = ask.input.text.trim();
    match ask.purpose {
        Purpose::RenameRun(run) => super::keep::edit(vec![run], RunEdit::Rename(text.to_owned())),
        Purpose::NoteRun(run) => super::keep::edit(vec![run], RunEdit::Note(text.to_owned())),
        Purpose::TagRuns(runs) => match TagEdit::parse(text) {
            Ok(edit) => super::keep::edit(runs, RunEdit::Tags(edit)),
            // The preview would have said so.
            Err(_) => Vec::new(),
        },
        Purpose::Lengthen(run) => super::lengthen::start(model, run, text),
        Purpose::SetLr => super::train::set_lr(model, text),
        Purpose::FreezeRule => super::rules::stage(model, text),
        // In force since it was typed.
        Purpose::FilterRuns { .. } | Purpose::FilterLayers { .. } | Purpose::FilterCheckpoints { .. } => Vec::new(),
    }
}

/// Esc.
pub(super) fn cancel(model: &mut Model, ask: Ask) -> Vec<Effect> {
    match ask.purpose {
        Purpose::FilterRuns { before } => super::runs::set_filter(model, before),
        Purpose::FilterCheckpoints { before } => {
            super::checkpoints::set_filter(model, before);
            Vec::new()
        }
        Purpose::FilterLayers { before, cursor } => {
            if let Some(layers) = model.layers_mut() {
                layers.restore_filter(before.as_deref(), cursor);
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Tab.
pub(super) fn complete(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { return Vec::new() };
    let completed = match ask.purpose {
        Purpose::FreezeRule => super::rules::complete(model, &ask.input.text),
        _ => None,
    };
    match (completed, model.overlays.last_mut()) {
        (Some(text), Some(Overlay::Ask(ask))) => {
            ask.input = Input::with(text);
            changed(model)
        }
        _ => Vec::new(),
    }
}
