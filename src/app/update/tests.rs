//! Transitions, by the keys a user types.

mod attached;
mod charts;
mod checkpoints;
mod drafts;
mod edits;
mod everywhere;
mod forms;
mod leaving;
mod live;
mod opening;
mod resuming;
mod runs;

use super::*;
use crate::app::effect::StartJob;
use crate::app::keys::Keymap;
use crate::app::message::{DraftReady, OpenedRun, RecipeEntry, StartedRun};
use crate::app::model::{Busy, Exporting, Starting};
use crate::app::overlay::Confirm;
use crate::app::pointer::{Pointer, Target};
use crate::app::sample::{self, NOW};
use crate::app::values::{Drifted, Moved};
use crate::core::command::Command;
use crate::core::event::Event;
use crate::core::freeze::ParamState;
use crate::core::recipe::Recipe;
use crate::core::run::RunStatus;

/// A screen with three runs.
fn model() -> Model {
    let (mut model, effects) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    assert_eq!(effects, [Effect::ReadRuns]);
    let runs = [("new", RunStatus::Stopped), ("old", RunStatus::Finished), ("broken", RunStatus::Crashed)];
    let runs = runs.iter().zip(1..).map(|((name, status), n)| sample::run(n, name, *status)).collect();
    update(&mut model, Message::Now(NOW));
    update(&mut model, Message::Runs(Ok(runs)));
    model
}

/// Types keys, written as in the keys file with spaces between; the effects of all of them.
fn keys(model: &mut Model, text: &str) -> Vec<Effect> {
    let keys = text.split_whitespace().map(|k| k.parse().unwrap());
    keys.flat_map(|key| update(model, Message::Key(key))).collect()
}

fn type_text(model: &mut Model, text: &str) {
    text.chars().for_each(|c| assert_eq!(update(model, Message::Key(Key::char(c))), []));
}

fn said(model: &Model) -> &str {
    model.toasts.back().map_or("", |t| &t.text)
}

/// A screen that hosts a live run.
fn hosting() -> Model {
    let mut model = model();
    let opened = sample::opened(7, RunStatus::Running, 0);
    let started = StartedRun { opened, tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    let rules = vec!["freeze **".to_owned(), "train fc".to_owned()];
    let states = model.layers().unwrap().tree().parameters.iter();
    let states = states.map(|p| if p.name.starts_with("fc") { ParamState::Trainable } else { ParamState::Frozen });
    let changed = Event::FreezeChanged { rules, trainable: 2, frozen: 9, states: states.collect() };
    let start = Event::Started { steps: 100, steps_per_epoch: 10, devices: vec!["cpu".to_owned()], resumed_from: None };
    update(&mut model, Message::Records(vec![sample::record(0, 10, start), sample::record(0, 9, changed)]));
    model
}

fn step(model: &mut Model, step: u64, loss: f64) {
    let event = Event::Step { epoch: 0, metrics: [("train/loss".to_owned(), loss)].into() };
    update(model, Message::Records(vec![sample::record(step, 1000 - step, event)]));
}

/// Opens a recipe, as if its model had just been built.
fn open_draft(model: &mut Model, path: &str, recipe: Recipe) {
    model.busy.building = Some(path.into());
    let ready = DraftReady { recipe, tree: sample::tree(), checksum: String::new(), kept: None };
    update(model, Message::Draft { path: path.into(), result: Ok(Box::new(ready)) });
}
