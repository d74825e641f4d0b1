//! What the screen remembers from one session to the next, a run home at a time.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::folds::Folds;
use super::model::Model;
use super::place::Screen;
use crate::core::run::Filter;

/// The places of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The screen on view, by its title.
    pub screen: String,
    /// The run on view.
    pub run: Option<String>,
    /// The run list's filter.
    pub filter: String,
    /// The run list's order.
    pub order: String,
    /// The order of checkpoints.
    pub checkpoints: String,
    /// What is folded of layer trees.
    pub folds: Folds,
}

impl Memory {
    /// Of a session that ends.
    pub fn of(model: &Model) -> Self {
        Self {
            screen: model.screen.title().to_owned(),
            run: model.shown.clone(),
            filter: model.run_list.filter.as_str().to_owned(),
            order: model.run_list.order().to_owned(),
            checkpoints: model.checkpoint_list.order().as_str().to_owned(),
            folds: model.folds.clone(),
        }
    }

    /// Takes over what belongs to no place: a session that begins at one of its own has it too, and does not lose it.
    pub fn restore_folds(&mut self, model: &mut Model) {
        model.folds = std::mem::take(&mut self.folds);
    }

    /// Takes a session up where the last one ended; what does not fit any more is left out.
    pub fn restore(mut self, model: &mut Model) -> Vec<Effect> {
        self.restore_folds(model);
        if let Ok(filter) = Filter::parse(&self.filter) {
            model.run_list.filter = filter;
        }
        model.run_list.set_order(&self.order);
        model.checkpoint_list.set_order(&self.checkpoints);
        let screen = Screen::ALL.into_iter().find(|s| s.title() == self.screen);
        match (self.run, screen) {
            (Some(run), Some(screen)) if screen != Screen::Runs => {
                model.returning = Some(screen);
                super::open_by_id(model, run)
            }
            _ => Vec::new(),
        }
    }
}
