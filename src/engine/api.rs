//! The border between the trainer and whatever computes: libtorch, or the seeded fake of the tests.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::data::{Dataset, EpochPlan};
use super::seat::Seat;
pub use crate::core::device::DeviceInfo;
use crate::core::freeze::Resolution;
use crate::core::recipe::{OnNan, Recipe};
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;
use crate::core::weights::InFile;

use super::telemetry::Telemetry;

/// What the engine could not do: what was wrong, where, and what to do, in one line.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The input is not usable (recipe, file, device): exit code 3.
    #[error("{0}")]
    Refused(String),
    /// The computation failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The device's memory did not suffice: exit code 1. Weights, buffers and optimizer are as they were before the call.
    #[error("out of memory: {0}")]
    OutOfMemory(Shortage),
    /// Another rank was lost: exit code 1. This one holds the state before the step, and can be saved.
    #[error("{0}")]
    Lost(String),
}

/// What memory did not suffice for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Another rank whose memory it was; `None` where it was this one's.
    pub rank: Option<String>,
    /// In words, of the allocator.
    pub what: String,
}

impl From<String> for Shortage {
    fn from(what: String) -> Self {
        Self { rank: None, what }
    }
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rank {
            None => f.write_str(&self.what),
            Some(rank) => write!(f, "{rank}: {}", self.what),
        }
    }
}

/// Samples of one forward pass, in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Row-major values of shape `x_shape`.
    pub x: Vec<f32>,
    /// `[N, C, H, W]` for images, `[N, F…]` for tensors.
    pub x_shape: Vec<usize>,
    /// What is to be learned.
    pub y: Targets,
    /// The samples' numbers in the data set, in order. None beside a sample in `x` and `y`: the sample stands in for a
    /// rank's share that is empty, since all ranks compute together, and weighs nothing.
    pub indices: Vec<u64>,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }
    /// Whether there is no sample in it.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// Targets of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Class numbers, `[N]`.
    Classes(Vec<i64>),
    /// Values of shape `[N, …]`.
    Values {
        /// Row-major values.
        data: Vec<f32>,
        /// Their shape.
        shape: Vec<usize>,
    },
}

/// What a model is built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Shape of one sample, `[C, H, W]` or `[F…]`. Empty where nobody knows: only a TorchScript model can be built so, for
    /// its tree.
    pub sample_shape: Vec<usize>,
    /// Classes, or values of one target; 0 where nobody knows.
    pub outputs: usize,
}

/// A pass over the data, of which a learner on several ranks takes the same batches as the trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pass {
    /// Training batches.
    Train(EpochPlan),
    /// Validation batches, all of them.
    Validation {
        /// Samples of one.
        batch_size: usize,
    },
}

/// One optimizer step.
#[derive(Debug, Clone)]
pub struct StepInput<'a> {
    /// Number of the step, from 0; with the seed it fixes all randomness of the step.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// Batches whose gradients are averaged.
    pub micro: &'a [Batch],
    /// Factor on each parameter group's own rate.
    pub lr_scale: f64,
    /// Largest global gradient norm.
    pub clip_grad_norm: Option<f64>,
    /// What a non-finite gradient does.
    pub on_nan: OnNan,
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Number of the step, from 0.
    pub step: u64,
    /// Mean loss over the micro batches.
    pub loss: f64,
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Whether the update was applied (false where gradients were not finite).
    pub applied: bool,
    /// With loss scaling alone.
    pub loss_scale: Option<LossScale>,
    /// Where that is why it was not applied: names of the parameters whose gradient was not finite. None where the loss
    /// alone was not.
    pub non_finite: Vec<String>,
}

/// Loss scaling in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScale {
    /// The factor on the loss.
    pub scale: f64,
    /// Gradients overflowed with it: the update was left out and the next scale is smaller. A matter of course, not of
    /// `on_nan`.
    pub overflow: bool,
}

/// Sums over a batch in eval mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalSums {
    /// Samples.
    pub samples: u64,
    /// Sum of the loss over samples.
    #[serde(with = "bits")]
    pub loss: f64,
    /// Samples whose class was the first guess; `None` for regression.
    pub top1: Option<u64>,
    /// Samples whose class was among five guesses; `None` for regression or fewer than six classes.
    pub top5: Option<u64>,
    /// By class: samples, first guess right.
    pub per_class: Vec<(u64, u64)>,
}

/// A number by its bits: JSON has no word for those that are not finite.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// Model and optimizer on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Parameters and buffers, in the order of `state_dict()`.
    pub weights: Vec<HostTensor>,
    /// `<parameter>/<slot>`, PyTorch's slot names.
    pub optimizer: Vec<HostTensor>,
    /// Loss scale and the like, for `state.json`.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A way to compute.
pub trait Engine: Send + Sync {
    /// `libtorch 2.11.0`.
    fn name(&self) -> String;
    /// The devices, the CPU first; an unusable GPU is listed with the reason.
    fn devices(&self) -> Vec<DeviceInfo>;
    /// What reads the devices' load and memory; `None` where nobody is to know.
    fn telemetry(&self) -> Option<Telemetry> {
        None
    }
    /// Names of the zoo.
    fn architectures(&self) -> Vec<String>;
    /// Channels that the architecture insists on; `None` where it takes what the data has, or nobody knows.
    fn input_channels(&self, arch: &str) -> Option<usize>;
    /// Turns the recipe's `devices` into usable names, or says why not.
    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>, EngineError>;
    /// Builds model and optimizer on a device, initialised from the recipe's seed. Loads no pretrained weights.
    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>, EngineError>;
    /// A learner on several devices, or on as many processes as take part in this run. Each rank builds a learner of its own
    /// and takes its share of every batch of `data`.
    fn learner_on(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        _data: &Dataset,
        devices: &[String],
    ) -> Result<Box<dyn Learner>, EngineError> {
        match devices {
            [device] => self.learner(recipe, input, device),
            _ => Err(EngineError::Refused(format!(
                "train.devices: {} asked for, and {} trains on one; name one device",
                devices.len(),
                self.name()
            ))),
        }
    }
    /// This engine on several processes, of which this one is rank 0. Waits for the others.
    fn lead(&self, _seat: &Seat) -> Result<Arc<dyn Engine>, EngineError> {
        Err(EngineError::Refused(format!(
            "{} does not train in several processes; set WORLD_SIZE=1 to train in each alone",
            self.name()
        )))
    }
    /// Takes part in the run of rank 0, until it is over.
    fn follow(&self, _seat: &Seat) -> Result<(), EngineError> {
        Err(EngineError::Refused(format!(
            "{} does not train in several processes; set WORLD_SIZE=1 to train in each alone",
            self.name()
        )))
    }
    /// Writes the recipe's model with these weights (all of `state_dict()`) as TorchScript, in eval mode. What `to` refuses
    /// is an error in words; whoever wants more than them has `to` keep it.
    fn export_script(
        &self,
        _recipe: &Recipe,
        _input: &InputSpec,
        _weights: &[HostTensor],
        _to: &mut dyn Write,
    ) -> Result<(), EngineError> {
        Err(EngineError::Refused(format!("TorchScript is written by libtorch alone, not by {}", self.name())))
    }
}

/// A model with its optimizer on a device. Lives on the trainer's thread.
pub trait Learner: Send {
    /// The layer tree, traced with one sample.
    fn tree(&self) -> &Tree;
    /// What the user should know of the model before it is trained, one line each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// The device of each rank that shares the batches, where there are several; the first is this one's.
    fn ranks(&self) -> &[String] {
        &[]
    }
    /// A pass over the data begins: the batches that come next are of it, in order, on every rank.
    fn begin_pass(&mut self, _pass: Pass) -> Result<(), EngineError> {
        Ok(())
    }
    /// Whether the other ranks are still there, for a trainer that has nothing else to do.
    fn attend(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Puts a resolved freeze plan into force between two steps. Keeps the optimizer state of all parameters.
    fn apply_freeze(&mut self, plan: &Resolution) -> Result<(), EngineError>;
    /// Forward, backward and update in train mode. On a GPU the report comes a step or two later, from [`Learner::drain`].
    fn step(&mut self, input: &StepInput<'_>) -> Result<(), EngineError>;
    /// Reports of finished steps, in order; all of them when `wait`.
    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>, EngineError>;
    /// One forward and backward in train mode that changes nothing: no parameter, buffer or optimizer state. Gives the
    /// L2 norm of each parameter's gradient, in the tree's order; `None` where no gradient reaches it.
    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>, EngineError>;
    /// The same for the last step's gradients, as the optimizer took them. None at all before the first step, and after a
    /// change of the plan until the next one.
    fn gradient_norms(&mut self) -> Result<Vec<Option<f64>>, EngineError> {
        Ok(Vec::new())
    }
    /// The most bytes that the last [`Learner::probe`] held on the device beyond what was there before: gradients, and what
    /// the forward kept for them. `None` where the engine cannot tell.
    fn probe_peak(&self) -> Option<u64> {
        None
    }
    /// Between two steps: gives up what the next step makes anew, so that something else can be built beside it.
    fn make_room(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Forward in eval mode and loss. Changes nothing: no buffer, no generator.
    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums, EngineError>;
    /// Raw outputs in eval mode, float32, `[N, outputs]`.
    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor, EngineError>;
    /// Copies everything to the host.
    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let mut snapshot = Snapshot::default();
        self.snapshot_into(&mut snapshot)?;
        Ok(snapshot)
    }
    /// [`Learner::snapshot`] into the buffers of an earlier one, as far as they fit. After an error they hold nothing in
    /// particular.
    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<(), EngineError>;
    /// Buffers of the sizes that [`Learner::snapshot_into`] would fill now, with nothing in them; none by default. Takes no
    /// time: memory is had from the system when it is touched.
    fn room(&self) -> Result<Snapshot, EngineError> {
        Ok(Snapshot::default())
    }
    /// Puts weights and buffers back, by name; every name must exist with the same shape.
    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<(), EngineError>;
    /// [`Learner::restore_weights`], of tensors that still lie in their files. Where nothing is better they are read first.
    fn restore_from_files(&mut self, weights: &InFile) -> Result<(), EngineError> {
        let tensors = weights.read().map_err(|e| EngineError::Refused(e.to_string()))?;
        self.restore_weights(&tensors)
    }
    /// Puts the optimizer's state and `extra` back.
    fn restore_optimizer(
        &mut self,
        optimizer: &[HostTensor],
        extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), EngineError>;
}
