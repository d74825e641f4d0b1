//! What can compute, which of it the next run takes, and where a live one goes.

use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::run_view::Level;
use crate::core::command::Command;
use crate::core::recipe::Recipe;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::RefreshDevices => return vec![Effect::SampleDevices, Effect::ReadDevices],
        Action::PickDevice => match model.devices.toggle() {
            Ok(()) => model.say(Level::Info, words(model)),
            Err(problem) => model.say(Level::Warning, problem),
        },
        Action::MoveRun => ask_to_move(model),
        _ => {}
    }
    Vec::new()
}

/// A device that cannot be used is told here; the rest is the run's to know.
fn ask_to_move(model: &mut Model) {
    let (Some(device), Some(view)) = (model.devices.selected(), model.shown()) else { return };
    let (device, run, from) = (device.clone(), view.name.clone(), view.devices.join(", "));
    if let Some(why) = device.unusable {
        return model.say(Level::Warning, format!("{} cannot be used: {why}", device.name));
    }
    if from == device.name {
        return model.say(Level::Info, format!("{run} is on {from} already"));
    }
    let title = format!("Let {run} go on on {}?", device.name);
    let lines = vec![format!("It writes a checkpoint and goes on there as the same run. It is on {from} now.")];
    let yes = Consent::MoveRun(device.name);
    model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
}

/// It was agreed to.
pub(super) fn move_run(model: &mut Model, device: String) -> Vec<Effect> {
    if !model.enabled(Action::SetLr) {
        model.say(Level::Info, "the run is not live any more");
        return Vec::new();
    }
    model.say(Level::Info, format!("going over to {device}…"));
    vec![model.tell(Command::SetDevices { devices: vec![device] })]
}

/// What is to be read when the screen comes into view. The engine is asked once: that may load libraries.
pub(super) fn look(model: &Model) -> Vec<Effect> {
    let ask = model.devices.asks_engine().then_some(Effect::ReadDevices);
    std::iter::once(Effect::SampleDevices).chain(ask).collect()
}

fn words(model: &Model) -> String {
    let next = model.draft.as_ref().map_or_else(
        || "the next run".to_owned(),
        |d| d.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    );
    match model.devices.picked() {
        [] => format!("{next} trains where its recipe says"),
        picked => format!("{next} trains on {}", picked.join(", ")),
    }
}

/// Writes the picked devices into a recipe that is about to start; those. They are picked for one run, but only once that
/// has started: see [`taken`].
pub(super) fn write_into(model: &Model, recipe: &mut Recipe) -> Vec<String> {
    let picked = model.devices.picked().to_vec();
    if !picked.is_empty() {
        recipe.train.devices.clone_from(&picked);
    }
    picked
}

/// A run has started on these. What was picked meanwhile is for the next one.
pub(super) fn taken(model: &mut Model, devices: &[String]) {
    if model.devices.picked() == devices {
        model.devices.unpick();
    }
}
