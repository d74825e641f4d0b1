//! Freeze plans: ordered rules plus overrides, resolved on a layer tree to a state and a reason for each parameter.
//!
//! Pure values. Imports [`super::tree`], and the recipe's types for [`Schedule`]. A [`Plan`] is what the user edits (and undoes); [`Plan::resolve`] or a [`Resolver`] turn it
//! into a [`Resolution`], which the engine puts into force and the screens show. `docs/freezing.md` is the language for users.

mod close;
mod error;
mod history;
mod index;
mod matching;
mod pattern;
mod plan;
mod presets;
mod resolution;
mod resolve;
mod rule;
mod schedule;

pub use error::FreezeError;
pub use matching::blocks;
pub use pattern::{Pattern, Preset};
pub use plan::Plan;
pub use presets::{PLAN_PRESETS, PlanPreset};
pub use resolution::{Counts, Resolution, ResolvedParam};
pub use resolve::Resolver;
pub use rule::{Action, Rule};
pub use schedule::{Phase, Progress, Schedule};

use serde::{Deserialize, Serialize};

/// What happens to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamState {
    /// Learns.
    Trainable,
    /// `requires_grad = false`; gradients flow through it.
    Frozen,
    /// Inside a module whose forward records no gradients.
    NoGrad,
    /// Meant to learn, but no gradient reaches it.
    Starved,
}

impl ParamState {
    /// The word for it (`trainable`, `frozen`, `no_grad`, `starved`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Trainable => "trainable",
            Self::Frozen => "frozen",
            Self::NoGrad => "no_grad",
            Self::Starved => "starved",
        }
    }
}

impl std::fmt::Display for ParamState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
