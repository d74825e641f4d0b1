//! What can keep a run from starting or from going on.

use crate::core::checkpoint::CheckpointError;
use crate::core::freeze::FreezeError;
use crate::core::recipe::RecipeError;
use crate::core::run::StoreError;
use crate::core::weights::WeightsError;
use crate::engine::EngineError;
use crate::engine::data::DataError;

/// What was wrong, where, and what to do. Refusals are the input's fault (exit code 3), the rest is failure (1).
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The input is not usable as it is.
    #[error("{0}")]
    Refused(String),
    /// Something went wrong that the input is not to blame for.
    #[error("{0}")]
    Failed(String),
    /// Another rank is lost; this one holds a whole state.
    #[error("{0}")]
    Lost(String),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The freeze plan.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// The pretrained weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The run store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint store.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl TrainError {
    /// Whether the input is to blame.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Recipe(_) | Self::Freeze(_) | Self::Weights(_) | Self::Data(_) => true,
            Self::Checkpoint(e) => !matches!(e, CheckpointError::Io { .. }),
            Self::Store(StoreError::Checkpoint(e)) => !matches!(e, CheckpointError::Io { .. }),
            Self::Store(e) => matches!(e, StoreError::Damaged { .. }),
            Self::Failed(_) | Self::Lost(_) => false,
        }
    }
}

impl From<EngineError> for TrainError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(words) => Self::Refused(words),
            EngineError::Failed(words) => Self::Failed(words),
            e @ EngineError::OutOfMemory(_) => Self::Failed(e.to_string()),
            EngineError::Lost(words) => Self::Lost(words),
        }
    }
}
