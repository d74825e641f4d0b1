//! What the screen remembers from one session to the next, a run home at a time.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
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
        }
    }

    /// Takes a session up where the last one ended; what does not fit any more is left out.
    pub fn restore(self, model: &mut Model) -> Vec<Effect> {
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
