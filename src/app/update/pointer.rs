//! What the mouse does: the wheel moves as the keys do, a click chooses, a click on what is chosen opens it.

use super::chart_mouse::{self, At};
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::place::{Place, Screen};
use crate::app::pointer::{Pointer, Target};

/// Lines that one notch of the wheel moves.
const NOTCH: isize = 3;

pub(super) fn update(model: &mut Model, what: Pointer, target: Option<Target>) -> Vec<Effect> {
    let on_top = model.place().is_overlay();
    match what {
        Pointer::Wheel(by) if on_top => super::overlays::go(model, isize::from(by) * NOTCH),
        Pointer::Release => {
            chart_mouse::release(model);
            Vec::new()
        }
        Pointer::Drag => {
            if let (Some(at), false) = (plot(target), on_top) {
                chart_mouse::drag(model, at);
            }
            Vec::new()
        }
        Pointer::Wheel(by) => {
            if let Some(at) = plot(target) {
                chart_mouse::wheel(model, at, by);
                return Vec::new();
            }
            super::go(model, isize::from(by) * NOTCH);
            Vec::new()
        }
        Pointer::Click => click(model, target, on_top),
    }
}

fn plot(target: Option<Target>) -> Option<At> {
    match target {
        Some(Target::Plot { chart, cell, cells }) => Some(At { chart, cell, cells }),
        _ => None,
    }
}

fn click(model: &mut Model, target: Option<Target>, on_top: bool) -> Vec<Effect> {
    match target {
        // Hints are those of the uppermost place.
        Some(Target::Hint(action)) => super::act(model, action),
        Some(Target::TopRow(row)) => {
            super::overlays::choose(model, row);
            if model.place() == Place::Form {
                super::form::click(model, row);
                return Vec::new();
            }
            match model.place() {
                Place::Prompt => super::overlays::act(model, Action::PromptAccept),
                _ => super::overlays::act(model, Action::PopupOpen),
            }
        }
        Some(Target::Top) => Vec::new(),
        // Beside what lies on top: a list or text goes away, a question or a half-typed text stays.
        _ if on_top => match model.place() {
            Place::Popup | Place::Diff => super::overlays::act(model, Action::PopupClose),
            _ => Vec::new(),
        },
        Some(Target::Tab(screen)) => super::show(model, screen),
        Some(Target::Chart(chart)) => super::charts::click(model, chart),
        Some(Target::Plot { chart, cell, cells }) => {
            chart_mouse::press(model, At { chart, cell, cells });
            Vec::new()
        }
        Some(Target::Row(row)) => {
            let again = super::at_row(model) == Some(row);
            super::go_to(model, row);
            match (again, model.screen) {
                (true, Screen::Runs) => super::act(model, Action::OpenRun),
                (true, Screen::Model) => super::act(model, Action::ToggleFold),
                (true, Screen::Devices) => super::act(model, Action::PickDevice),
                (true, Screen::Checkpoints) => super::act(model, Action::Details),
                _ => Vec::new(),
            }
        }
        None => Vec::new(),
    }
}
