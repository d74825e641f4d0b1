//! How things look: theme and signs together.

use ratatui::style::Style;

use super::glyphs::Glyphs;
use super::hits::Hits;
use super::theme::{Scope, Theme};
use crate::app::run_view::Level;
use crate::core::freeze::ParamState;
use crate::core::run::RunStatus;

/// Theme and signs.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Styles.
    pub theme: Theme,
    /// Signs.
    pub glyphs: Glyphs,
    /// Where things were drawn last.
    pub hits: Hits,
}

impl Look {
    /// The style of a scope.
    pub fn style(&self, scope: Scope) -> Style {
        self.theme.style(scope)
    }

    /// The style of a run's status.
    pub fn status(&self, status: RunStatus) -> Style {
        self.style(match status {
            RunStatus::Running => Scope::StatusRunning,
            RunStatus::Paused | RunStatus::Queued => Scope::StatusPaused,
            RunStatus::Finished => Scope::StatusFinished,
            RunStatus::Stopped => Scope::StatusStopped,
            RunStatus::Failed => Scope::StatusFailed,
            RunStatus::Crashed => Scope::StatusCrashed,
        })
    }

    /// Sign, word and style of a parameter's state.
    pub fn state(&self, state: ParamState) -> (&'static str, &'static str, Style) {
        let (sign, word, scope) = match state {
            ParamState::Trainable => (self.glyphs.trainable, "trainable", Scope::StateTrainable),
            ParamState::Frozen => (self.glyphs.frozen, "frozen", Scope::StateFrozen),
            ParamState::NoGrad => (self.glyphs.no_grad, "no grad", Scope::StateNoGrad),
            ParamState::Starved => (self.glyphs.starved, "no gradient", Scope::StateStarved),
        };
        (sign, word, self.style(scope))
    }

    /// The style of a message.
    pub fn level(&self, level: Level) -> Style {
        self.style(match level {
            Level::Info => Scope::Info,
            Level::Good => Scope::Good,
            Level::Warning => Scope::Warning,
            Level::Error => Scope::Error,
        })
    }
}
