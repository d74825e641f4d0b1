//! What lies on top: lists, texts, questions and text fields.

use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::keys::{Code, Key};
use crate::app::model::Model;
use crate::app::overlay::{Confirm, Consent, Input, Overlay, Purpose};
use crate::app::palette;
use crate::app::place::Screen;
use crate::app::run_view::Level;
use crate::core::command::Command;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::PopupClose | Action::PromptCancel | Action::ConfirmNo => {
            return match model.overlays.pop() {
                Some(Overlay::Ask(ask)) => super::ask::cancel(model, *ask),
                Some(Overlay::Themes { before, .. }) => vec![Effect::Theme(before)],
                _ => Vec::new(),
            };
        }
        Action::PopupOpen => return open(model),
        Action::PopupUp => return go(model, -1),
        Action::PopupDown => return go(model, 1),
        Action::PopupPageUp => return go(model, -super::page(model)),
        Action::PopupPageDown => return go(model, super::page(model)),
        Action::PopupTop => return go(model, isize::MIN / 2),
        Action::PopupBottom => return go(model, isize::MAX / 2),
        Action::PromptAccept => return accept(model),
        Action::PromptComplete => return super::ask::complete(model),
        Action::ConfirmYes => return consent(model, |ask| Some(ask.yes)),
        Action::ConfirmOther if model.enabled(Action::ConfirmOther) => return consent(model, |ask| ask.other),
        _ => {}
    }
    Vec::new()
}

/// Moves the cursor of a list, or scrolls a text.
pub(super) fn go(model: &mut Model, by: isize) -> Vec<Effect> {
    let move_within = |at: &mut usize, len: usize| {
        let to = isize::try_from(*at).unwrap_or(0).saturating_add(by).max(0);
        *at = usize::try_from(to).unwrap_or(0).min(len.saturating_sub(1));
    };
    let messages = model.toasts.len();
    let lines = super::charts::lines(model);
    match model.overlays.last_mut() {
        // Texts end where their last line is the last one shown; drawing holds them there too.
        Some(Overlay::Help { scroll }) => move_within(scroll, crate::app::action::ACTIONS.len() + 16),
        Some(Overlay::Messages { scroll }) => move_within(scroll, messages),
        Some(Overlay::Explain { scroll }) => move_within(scroll, 60),
        Some(Overlay::Diff(view)) => {
            let len = view.rows().len();
            move_within(&mut view.cursor, len);
        }
        Some(Overlay::Text { scroll, lines, .. }) => move_within(scroll, lines.len()),
        Some(Overlay::Form(form)) => form.go(by.signum()),
        Some(Overlay::Lineage { kin, cursor }) => move_within(cursor, kin.len()),
        Some(Overlay::Recipes { entries, cursor }) => move_within(cursor, entries.as_ref().map_or(0, Vec::len)),
        Some(Overlay::ChooseCharts { cursor } | Overlay::OverlayRuns { cursor }) => move_within(cursor, lines),
        Some(Overlay::Themes { names, cursor, .. }) => {
            move_within(cursor, names.len());
            return names.get(*cursor).cloned().map(Effect::Theme).into_iter().collect();
        }
        _ => {}
    }
    Vec::new()
}

/// Puts the cursor of a list on a line.
pub(super) fn choose(model: &mut Model, row: usize) {
    if let Some(Overlay::Diff(view)) = model.overlays.last_mut() {
        view.cursor = row;
    }
    if let Some(
        Overlay::Recipes { cursor, .. }
        | Overlay::Palette { cursor, .. }
        | Overlay::Themes { cursor, .. }
        | Overlay::Lineage { cursor, .. }
        | Overlay::ChooseCharts { cursor }
        | Overlay::OverlayRuns { cursor },
    ) = model.overlays.last_mut()
    {
        *cursor = row;
    }
}

/// Enter in a list.
fn open(model: &mut Model) -> Vec<Effect> {
    match model.overlays.last() {
        Some(Overlay::Lineage { kin, cursor }) => {
            let Some(run) = kin.get(*cursor).and_then(|k| k.run.clone()) else { return Vec::new() };
            model.overlays.pop();
            return super::runs::jump(model, &run);
        }
        // There is nothing to choose.
        Some(Overlay::Diff(_)) => return Vec::new(),
        Some(Overlay::ChooseCharts { cursor }) => return super::charts::toggle_chart(model, *cursor),
        Some(Overlay::OverlayRuns { cursor }) => return super::charts::toggle_run(model, *cursor),
        Some(Overlay::Themes { names, cursor, .. }) => {
            let chosen = names.get(*cursor).cloned();
            model.overlays.pop();
            return chosen.map_or_else(Vec::new, |name| vec![Effect::Theme(name.clone()), Effect::KeepTheme(name)]);
        }
        _ => {}
    }
    let Some(Overlay::Recipes { entries, cursor }) = model.overlays.last() else {
        model.overlays.pop();
        return Vec::new();
    };
    let Some(entry) = entries.as_ref().and_then(|e| e.get(*cursor)) else { return Vec::new() };
    match &entry.summary {
        Err(problem) => {
            let title = entry.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let lines = problem.lines().map(str::to_owned).collect();
            model.overlays.push(Overlay::Text { title, lines, scroll: 0 });
            Vec::new()
        }
        Ok(_) => {
            let path = entry.path.clone();
            model.overlays.pop();
            model.screen = Screen::Model;
            model.busy.building = Some(path.clone());
            vec![Effect::OpenDraft(path)]
        }
    }
}

/// Enter in a text field.
fn accept(model: &mut Model) -> Vec<Effect> {
    if let Some(Overlay::Ask(_)) = model.overlays.last() {
        return super::ask::accept(model);
    }
    match model.overlays.pop() {
        Some(Overlay::Palette { input, cursor }) => {
            let chosen = palette::offer(model, &input.text).get(cursor).copied();
            chosen.map_or_else(Vec::new, |action| do_anywhere(model, action))
        }
        _ => Vec::new(),
    }
}

/// Does an action; one of another screen there, where it can be done without a look at it first.
fn do_anywhere(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(screen) = palette::elsewhere(model, action) else { return super::act(model, action) };
    let mut effects = super::show(model, screen);
    if palette::is_done_unseen(action) && model.enabled(action) {
        effects.extend(super::act(model, action));
    }
    effects
}

fn consent(model: &mut Model, which: fn(Confirm) -> Option<Consent>) -> Vec<Effect> {
    let Some(Overlay::Confirm(ask)) = model.overlays.pop() else { return Vec::new() };
    let Some(consent) = which(ask) else { return Vec::new() };
    match consent {
        Consent::Stop if model.enabled(Action::Stop) => vec![model.tell(Command::Stop { reason: "user".to_owned() })],
        Consent::Stop => Vec::new(),
        Consent::LeaveRunning => super::leave::leave_running(model),
        Consent::MoveRun(device) => super::devices::move_run(model, device),
        Consent::StopAndLeave => super::leave::stop_and_leave(model, "user"),
        Consent::LeaveAtOnce => vec![Effect::Abandon],
        Consent::WriteRecipe(mut job) => {
            job.force = true;
            super::form::mark_sent(model, |form| form.is_recipe_of(&job.path));
            vec![Effect::WriteRecipe(job)]
        }
        Consent::DeleteRuns(runs) => vec![Effect::DeleteRuns(runs)],
        Consent::DeleteCheckpoint { run, name } => vec![Effect::DeleteCheckpoint { run, name }],
        Consent::Start(job) => super::train::start(model, job),
        Consent::Export(mut job) => {
            job.force = true;
            super::export::send(model, *job)
        }
    }
}

/// Keys that a text field takes itself; `None` leaves the key to the table.
pub(super) fn edit(model: &mut Model, key: Key) -> Option<Vec<Effect>> {
    let matches = match model.overlays.last() {
        Some(Overlay::Palette { input, .. }) => palette::offer(model, &input.text).len(),
        _ => 0,
    };
    let input = match model.overlays.last_mut()? {
        Overlay::Ask(ask) => &mut ask.input,
        Overlay::Palette { input, cursor } => {
            let by = match (key.code, key.ctrl) {
                (Code::Up, _) | (Code::Char('p'), true) => -1,
                (Code::Down, _) | (Code::Char('n'), true) => 1,
                _ => 0,
            };
            if by != 0 {
                *cursor = cursor.saturating_add_signed(by).min(matches.saturating_sub(1));
                return Some(Vec::new());
            }
            if let Code::Char(_) | Code::Backspace | Code::Delete = key.code {
                *cursor = 0;
            }
            input
        }
        _ => return None,
    };
    let before = input.text.clone();
    let typed = type_key(input, key);
    let changed = input.text != before;
    typed.then(|| if changed { super::ask::changed(model) } else { Vec::new() })
}

pub(super) fn type_key(input: &mut Input, key: Key) -> bool {
    match (key.code, key.ctrl, key.alt) {
        (Code::Char(c), false, false) => input.insert(c.encode_utf8(&mut [0; 4])),
        (Code::Char('w'), true, _) | (Code::Backspace, _, true) => input.delete_word(),
        (Code::Char('u'), true, _) => input.clear_before(),
        (Code::Char('a'), true, _) | (Code::Home, ..) => input.go(isize::MIN / 2),
        (Code::Char('e'), true, _) | (Code::End, ..) => input.go(isize::MAX / 2),
        (Code::Backspace, ..) | (Code::Char('h'), true, _) => input.backspace(),
        (Code::Delete, ..) => input.delete(),
        (Code::Left, ..) => input.go(-1),
        (Code::Right, ..) => input.go(1),
        _ => return false,
    }
    true
}

/// Pasted text goes into a text field, and nowhere else. Its lines are words beside each other there, or rules.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let lines = text.lines().map(|line| line.trim().replace('\t', " ")).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    match model.overlays.last_mut() {
        Some(Overlay::Ask(ask)) => {
            ask.input.insert(&lines.join(if ask.purpose == Purpose::FreezeRule { "; " } else { " " }));
            return super::ask::changed(model);
        }
        Some(Overlay::Palette { input, .. }) => input.insert(&lines.join(" ")),
        Some(Overlay::Form(form)) => super::form::paste(form, &lines.join(" ")),
        _ => model.say(Level::Info, "pasted text has no place here"),
    }
    Vec::new()
}
