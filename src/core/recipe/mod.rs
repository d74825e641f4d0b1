//! The recipe: the TOML file that describes an experiment, parsed, checked and with every default filled in.
//!
//! One file a group of sections holds the types; `document` reads TOML with places, `schema` says what each key takes,
//! `check` and `rules` find what is wrong, `paths` makes paths absolute, `load` puts it together. Pure but for
//! [`Recipe::load`], which reads one file. Called by the session and the command line; the stores keep its TOML.

mod check;
mod data;
mod document;
mod error;
mod fill;
mod load;
mod model;
mod optimizer;
mod paths;
mod rewrite;
mod rules;
mod schedule;
mod schema;
mod train;
mod values;

pub use data::*;
pub use error::{Place, Problem, RecipeError};
pub use fill::filled;
pub use model::*;
pub use optimizer::*;
pub use rewrite::with_freeze_rules;
pub use schedule::*;
pub use schema::{has_key, nearest_key};
pub use train::*;
pub use values::{Written, with_values};

use serde::{Deserialize, Serialize};

/// A recipe with every default filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Name of the experiment; the file's stem when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// A free remark.
    pub note: String,
    /// What is trained.
    pub model: ModelSpec,
    /// On what.
    pub data: DataSpec,
    /// What learns.
    pub freeze: FreezeSpec,
    /// What is minimised.
    pub loss: LossSpec,
    /// How.
    pub optimizer: OptimizerSpec,
    /// The learning rate over time.
    pub lr_schedule: LrScheduleSpec,
    /// How long, in what batches, where.
    pub train: TrainSpec,
    /// What is kept.
    pub checkpoint: CheckpointSpec,
}

/// The recipe that `frostline new` writes: commented, and as it stands it trains on the embedded digits.
pub fn template() -> &'static str {
    include_str!("template.toml")
}

#[cfg(test)]
mod tests;
