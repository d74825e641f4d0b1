//! What can compute, and which of it the next run takes.

use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::run_view::Level;
use crate::core::recipe::Recipe;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::RefreshDevices => return vec![Effect::SampleDevices, Effect::ReadDevices],
        Action::PickDevice => match model.devices.toggle() {
            Ok(()) => model.say(Level::Info, words(model)),
            Err(problem) => model.say(Level::Warning, problem),
        },
        _ => {}
    }
    Vec::new()
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

/// Writes the picked devices into a recipe that is about to start. They are picked for one run.
pub(super) fn write_into(model: &mut Model, recipe: &mut Recipe) {
    let picked = model.devices.picked().to_vec();
    if model.devices.unpick() {
        recipe.train.devices = picked;
    }
}
