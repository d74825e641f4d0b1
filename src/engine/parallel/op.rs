//! What rank 0 tells the others, and what they answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::freeze::Resolution;
use crate::core::recipe::{OnNan, Recipe};
use crate::core::tensor::HostTensor;
use crate::engine::api::{EngineError, EvalSums, InputSpec, Pass, StepInput};

/// One thing to do. All but `Pass` and `Step` are answered; those two only when they fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Op {
    /// Build data and learner.
    Build {
        /// The run's recipe.
        recipe: Box<Recipe>,
        /// What the model is built for.
        input: InputSpec,
    },
    /// Join the group of ranks.
    Join,
    /// Put a freeze plan into force.
    Freeze(Resolution),
    /// Batches come from this pass now.
    Pass(Pass),
    /// Take a step.
    Step(Step),
    /// Evaluate the next validation batch.
    Evaluate,
    /// Put weights back, the message's tensors.
    Weights,
    /// Put the optimizer's state back, the message's tensors.
    Optimizer {
        /// What else the snapshot held.
        extra: serde_json::Map<String, serde_json::Value>,
    },
    /// Give up what the next step makes anew.
    MakeRoom,
    /// Tell the state from others.
    Fingerprint,
}

/// [`StepInput`] without its batches, which each rank loads itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub step: u64,
    pub seed: u64,
    /// Micro batches.
    pub micro: usize,
    pub lr_scale: f64,
    pub clip_grad_norm: Option<f64>,
    pub on_nan: OnNan,
}

impl Step {
    pub fn of(input: &StepInput<'_>) -> Self {
        Self {
            step: input.step,
            seed: input.seed,
            micro: input.micro.len(),
            lr_scale: input.lr_scale,
            clip_grad_norm: input.clip_grad_norm,
            on_nan: input.on_nan,
        }
    }
}

/// An operation with the tensors that it is about.
#[derive(Debug, Clone)]
pub struct Message {
    pub op: Op,
    pub tensors: Arc<Vec<HostTensor>>,
}

impl From<Op> for Message {
    fn from(op: Op) -> Self {
        Self { op, tensors: Arc::default() }
    }
}

/// What a rank says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The learner is built, on this device; with the driver's name of a GPU that no other process is to have.
    Built(String, Option<String>),
    /// It is done.
    Done,
    /// Of its share of a validation batch; with class weights the bits of the losses' sum and mass.
    Sums(EvalSums, Option<[u64; 2]>),
    /// Of the state.
    Fingerprint(u64),
    /// It could not be done, in words, and nothing is lost by it.
    Refused(String),
    /// It failed, and its rank with it.
    Failed(String),
    /// Its memory did not suffice, and what for. In a step it failed by that; nothing else is lost by it.
    NoRoom(String),
    /// It failed because another rank has gone: whose fault it is, that one says.
    Echo(String),
}

impl Answer {
    /// How a rank ends.
    pub fn of(error: &EngineError) -> Self {
        match error {
            EngineError::Lost(words) => Self::Echo(words.clone()),
            EngineError::OutOfMemory(of) => Self::NoRoom(of.what.clone()),
            other => Self::Failed(other.to_string()),
        }
    }

    /// Whether all is as it was before the question.
    pub fn refuses(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NoRoom(_))
    }

    /// What could not be done, where it says so.
    pub fn fault(&self) -> Option<&str> {
        match self {
            Self::Refused(words) | Self::Failed(words) | Self::NoRoom(words) | Self::Echo(words) => Some(words),
            _ => None,
        }
    }
}
