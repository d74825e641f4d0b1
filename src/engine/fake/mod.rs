//! The seeded fake engine: a small real learner in plain Rust under ResNet-like names, for tests, pictures and
//! machines without libtorch. Deterministic to the bit; honours freeze plans, dropout, batch norm and NaN policies.
//!
//! Imports `core` and the engine's border only. Called by tests through `Arc<dyn Engine>`.

mod learner;
mod net;
mod tree;
mod update;

use std::time::Duration;

use super::telemetry::{Environment, FakeGpus, Telemetry};
use super::{DeviceInfo, Engine, EngineError, InputSpec, Learner};
use crate::core::device::{Gpus, choose};
use crate::core::recipe::Recipe;

pub(crate) use learner::FakeLearner;

/// What goes wrong on purpose, and how slowly, so that tests can watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Quirks {
    pub delay: Duration,
    pub nan_at: Option<u64>,
    pub panic_at: Option<u64>,
    pub lag: usize,
    pub no_memory_at: Option<u64>,
    pub room: Option<usize>,
    pub gpu: bool,
}

/// The fake engine. Steps take as long as the arithmetic, plus an optional delay.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    seed: u64,
    quirks: Quirks,
    /// GPUs whose load is told, though none computes.
    gpus: Option<FakeGpus>,
}

impl FakeEngine {
    /// An engine whose initial weights depend on this seed and on the recipe's.
    pub fn new(seed: u64) -> Self {
        Self { seed, quirks: Quirks::default(), gpus: None }
    }

    /// Telemetry tells of the CPU and these.
    pub fn with_gpus(mut self, gpus: FakeGpus) -> Self {
        self.gpus = Some(gpus);
        self
    }

    /// Each step sleeps so long.
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.quirks.delay = delay;
        self
    }

    /// The gradients of `fc.weight` are not finite in the step with this number (from 0).
    pub fn with_nan_at(mut self, step: u64) -> Self {
        self.quirks.nan_at = Some(step);
        self
    }

    /// The step with this number (from 0) panics.
    pub fn with_panic_at(mut self, step: u64) -> Self {
        self.quirks.panic_at = Some(step);
        self
    }

    /// The step with this number (from 0) is out of memory.
    pub fn without_memory_at(mut self, step: u64) -> Self {
        self.quirks.no_memory_at = Some(step);
        self
    }

    /// There is a `cuda:0` too, whose bits are those of the CPU.
    pub fn with_gpu(mut self) -> Self {
        self.quirks.gpu = true;
        self
    }

    /// A batch of more samples is out of memory.
    pub fn with_room_for(mut self, samples: usize) -> Self {
        self.quirks.room = Some(samples);
        self
    }

    /// Reports come so many steps late, as they do from a GPU.
    pub fn with_lag(mut self, steps: usize) -> Self {
        self.quirks.lag = steps;
        self
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn devices(&self) -> Vec<DeviceInfo> {
        vec![DeviceInfo {
            name: "cpu".to_owned(),
            model: "fake".to_owned(),
            memory_total: 8 << 30,
            memory_free: 4 << 30,
            unusable: None,
        }]
    }

    fn telemetry(&self) -> Option<Telemetry> {
        let gpus = self.gpus.clone()?;
        Some(Telemetry::with(Ok(Box::new(gpus)), &Environment::default()))
    }

    fn architectures(&self) -> Vec<String> {
        ["mlp", "resnet8", "resnet18"].map(str::to_owned).to_vec()
    }

    fn input_channels(&self, _arch: &str) -> Option<usize> {
        None
    }

    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>, EngineError> {
        if self.quirks.gpu && asked == ["cuda:0"] {
            return Ok(asked.to_vec());
        }
        let none = Gpus::Absent("the fake engine has the cpu alone".to_owned());
        choose(asked, &none, None).map_err(EngineError::Refused)
    }

    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>, EngineError> {
        if !self.architectures().contains(&recipe.model.arch) {
            return Err(EngineError::Refused(format!(
                "model.arch: the fake engine has no `{}`; it has {}",
                recipe.model.arch,
                self.architectures().join(", ")
            )));
        }
        if device != "cpu" && !self.quirks.gpu {
            return Err(EngineError::Refused(format!("the fake engine has no device `{device}`")));
        }
        Ok(Box::new(FakeLearner::new(self.seed, self.quirks.clone(), recipe, input)?))
    }
}

#[cfg(test)]
mod tests;
