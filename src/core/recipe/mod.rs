//! The recipe: the TOML file that describes an experiment, parsed, checked and with every default filled in.

mod data;
mod model;
mod optimizer;
mod train;

pub use data::*;
pub use model::*;
pub use optimizer::*;
pub use train::*;

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
