//! `update`: what a message does to the model, and what is to be done outside. One file a screen.

mod ask;
mod attach;
mod background;
mod chart_mouse;
mod charts;
mod checkpoints;
mod compare;
mod devices;
mod diff;
mod export;
mod form;
mod keep;
mod layers;
mod leave;
mod lengthen;
mod live;
mod overlays;
mod pointer;
mod rules;
mod runs;
mod train;

pub use charts::other_runs;
pub use runs::open_by_id;

use super::action::Action;
use super::effect::Effect;
use super::keys::{Code, Key};
use super::message::Message;
use super::model::{Model, Subject};
use super::overlay::{Input, Overlay};
use super::place::{Place, Screen};
use super::run_view::Level;
use super::values::Seen;

/// Rows a page moves by: the screen less header, borders and footer.
fn page(model: &Model) -> isize {
    isize::try_from(model.size.1).unwrap_or(24).saturating_sub(6).max(1)
}

/// Applies a message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let is_time = matches!(message, Message::Now(_));
    let mut effects = apply(model, message);
    if !is_time {
        effects.extend(rules::keep(model));
        effects.extend(look(model));
        effects.extend(drift(model));
        effects.extend(gradients(model));
        effects.extend(checkpoints::facts(model));
    }
    effects.extend(model.wanted_sparks());
    effects
}

/// Has the values of what is under the cursor read when they are shown and not known yet.
fn look(model: &mut Model) -> Option<Effect> {
    let look = model.wanted_look().ok().filter(|_| model.explains())?;
    if model.seen.as_ref().is_some_and(|seen| seen.look == look) {
        return None;
    }
    model.seen = Some(Seen { look: look.clone(), stats: None });
    Some(Effect::ReadValues(look))
}

/// Has the newest checkpoints compared while their layers are on view.
fn drift(model: &mut Model) -> Option<Effect> {
    let pair = model.wanted_pair().filter(|_| model.screen == Screen::Model)?;
    if model.drift_asked.as_ref() == Some(&pair) {
        return None;
    }
    model.drift_asked = Some(pair.clone());
    Some(Effect::ReadDrift(pair))
}

/// Has a live run tell its gradients' norms while its layers are on view.
fn gradients(model: &mut Model) -> Option<Effect> {
    let on_view = model.screen == Screen::Model && model.subject == Subject::Run;
    let wanted = model.shown().filter(|v| on_view && v.is_followed()).map(|v| v.id.clone());
    if wanted == model.gradients_of {
        return None;
    }
    model.gradients_of.clone_from(&wanted);
    Some(Effect::Gradients(wanted))
}

fn apply(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Now(ms) => {
            model.now_ms = ms;
            model.toasts.expire(ms);
            Vec::new()
        }
        Message::Resize { width, height } => {
            model.size = (width, height);
            Vec::new()
        }
        Message::Key(key) => on_key(model, key),
        Message::Paste(text) => overlays::paste(model, &text),
        Message::Pointer { what, target } => pointer::update(model, what, target),
        Message::Terminate(signal) => leave::terminate(model, signal),
        Message::Warning(text) => {
            model.say(Level::Warning, text);
            Vec::new()
        }
        other => background::update(model, other),
    }
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    // Whoever has begun to do something is not taken elsewhere any more.
    if let Some(returning) = &mut model.returning {
        *returning = Screen::Runs;
    }
    let place = model.place();
    // In a form, keys that are no characters go between the fields first.
    if place == Place::Form
        && model.keymap.action(key, place).is_none_or(|_| matches!(key.code, Code::Char(_)) && !key.ctrl && !key.alt)
        && let Some(effects) = form::edit(model, key)
    {
        return effects;
    }
    if place == Place::Prompt
        && let Some(effects) = overlays::edit(model, key)
    {
        return effects;
    }
    match model.keymap.action(key, place) {
        Some(action) => act(model, action),
        None => Vec::new(),
    }
}

/// Does an action, from a key or from the palette.
fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let place = action.info().place;
    match place {
        Place::Global => global(model, action),
        Place::Runs => runs::act(model, action),
        Place::Model => layers::act(model, action),
        Place::Devices => devices::act(model, action),
        Place::Train => train::act(model, action),
        Place::Checkpoints => checkpoints::act(model, action),
        Place::Compare => compare::act(model, action),
        Place::Form => form::act(model, action),
        Place::Diff => diff::act(model, action),
        Place::Popup | Place::Prompt | Place::Confirm => overlays::act(model, action),
    }
}

fn global(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return leave::quit(model),
        Action::Help => model.overlays.push(Overlay::Help { scroll: 0 }),
        Action::Messages => model.overlays.push(Overlay::Messages { scroll: 0 }),
        Action::Themes => return vec![Effect::ListThemes],
        Action::Copy => return copy(model),
        Action::Palette => model.overlays.push(Overlay::Palette { input: Input::default(), cursor: 0 }),
        Action::Back => return back(model),
        Action::ShowRuns => return show(model, Screen::Runs),
        Action::ShowModel => return show(model, Screen::Model),
        Action::ShowDevices => return show(model, Screen::Devices),
        Action::ShowTrain => return show(model, Screen::Train),
        Action::ShowCheckpoints => return show(model, Screen::Checkpoints),
        Action::ShowCompare => return show(model, Screen::Compare),
        Action::NextScreen => return show(model, model.screen.cycle(1)),
        Action::PreviousScreen => return show(model, model.screen.cycle(-1)),
        Action::Up => go(model, -1),
        Action::Down => go(model, 1),
        Action::PageUp => go(model, -page(model)),
        Action::PageDown => go(model, page(model)),
        Action::Top => go(model, isize::MIN / 2),
        Action::Bottom => go(model, isize::MAX / 2),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        _ => {}
    }
    Vec::new()
}

/// Puts the name of what is under the cursor on the clipboard.
fn copy(model: &mut Model) -> Vec<Effect> {
    let run = model.shown().map(|v| v.id.clone());
    let text = match model.screen {
        Screen::Runs => model.selected_run().map(|r| r.id.to_string()),
        Screen::Model => model.layers().and_then(|l| l.selected()).map(|row| row.node.path.clone()),
        Screen::Devices => model.devices.selected().map(|d| d.name.clone()),
        Screen::Train => run,
        Screen::Checkpoints => {
            let step = model.selected_checkpoint().map(|c| c.step);
            run.zip(step).map(|(run, step)| format!("{run}@{step}"))
        }
        Screen::Compare => None,
    };
    let Some(text) = text.filter(|t| !t.is_empty()) else {
        model.say(Level::Info, "there is nothing to copy here");
        return Vec::new();
    };
    model.say(Level::Info, format!("copied {text}"));
    vec![Effect::Copy(text)]
}

/// Esc: closes what is open on the screen, a filter first. Toasts go with it; where nothing is open they go alone, before
/// staged edits are forgotten or the run list is gone back to.
fn back(model: &mut Model) -> Vec<Effect> {
    let toasts = model.toasts.clear();
    if model.screen == Screen::Model
        && let Some(layers) = model.layers_mut().filter(|l| l.filter().is_some())
    {
        let _ = layers.set_filter("");
        return Vec::new();
    }
    if model.screen == Screen::Train && charts::back(model) {
        return Vec::new();
    }
    if model.screen == Screen::Checkpoints && checkpoints::back(model) {
        return Vec::new();
    }
    // What is picked is what stands open there, as the words of the key say.
    if model.screen == Screen::Devices && model.devices.unpick() {
        return Vec::new();
    }
    if toasts {
        return Vec::new();
    }
    if model.screen == Screen::Model && model.layers().is_some_and(|l| !l.staged().is_empty()) {
        return layers::act(model, Action::Discard);
    }
    if model.screen == Screen::Model && model.subject == Subject::Checkpoint {
        model.subject = Subject::Run;
        return show(model, Screen::Checkpoints);
    }
    if model.screen == Screen::Runs {
        model.marks.clear();
    } else {
        return show(model, Screen::Runs);
    }
    Vec::new()
}

/// Goes to a screen, and reads what it needs.
fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.screen = screen;
    if screen == Screen::Compare {
        // Marks that were never compared are what is meant.
        let first = model.compare.runs.is_empty() && model.marks.len() > 1;
        return if first { compare::open(model) } else { compare::read(model) };
    }
    if screen == Screen::Devices {
        return devices::look(model);
    }
    let Some(view) = model.shown() else { return Vec::new() };
    match screen {
        Screen::Checkpoints => vec![Effect::ReadCheckpoints(view.id.clone())],
        Screen::Model if model.subject == Subject::Run && view.layers.is_none() && view.layers_problem.is_none() => {
            vec![Effect::ReadTree(view.id.clone())]
        }
        Screen::Runs => vec![Effect::ReadRuns],
        _ => Vec::new(),
    }
}

fn go(model: &mut Model, by: isize) {
    let step = |at: usize, len: usize| {
        let at = isize::try_from(at).unwrap_or(0).saturating_add(by);
        usize::try_from(at.max(0)).unwrap_or(0).min(len.saturating_sub(1))
    };
    match model.screen {
        Screen::Runs => {
            let len = model.run_list.shown().len();
            model.run_cursor = step(model.run_cursor, len);
        }
        Screen::Model => {
            if let Some(layers) = model.layers_mut() {
                layers.go(by);
            }
        }
        Screen::Devices => model.devices.cursor = step(model.devices.cursor, model.devices.rows().len()),
        Screen::Train => charts::go(model, by),
        Screen::Compare => compare::go(model, by),
        Screen::Checkpoints => {
            let len = model.checkpoint_list.shown().len();
            model.checkpoint_list.cursor = step(model.checkpoint_list.cursor, len);
        }
    }
}

/// The line under the cursor of the list on the screen.
fn at_row(model: &Model) -> Option<usize> {
    match model.screen {
        Screen::Runs => Some(model.run_cursor),
        Screen::Model => Some(model.layers()?.position().0),
        Screen::Devices => Some(model.devices.cursor),
        Screen::Checkpoints => model.shown().map(|_| model.checkpoint_list.cursor),
        Screen::Train | Screen::Compare => None,
    }
}

/// Puts the cursor of the list on the screen on a line.
fn go_to(model: &mut Model, row: usize) {
    if let Some(at) = at_row(model) {
        let signed = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
        go(model, signed(row) - signed(at));
    }
}

#[cfg(test)]
mod tests;
