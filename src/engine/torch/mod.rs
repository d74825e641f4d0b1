//! The engine on libtorch: [`TorchEngine`] builds `TorchLearner`s. With `ffi`, `nn`, `zoo`, `optim` and
//! `device` the only place that names tch; behind the cargo feature `torch`.

mod construct;
mod fingerprint;
mod fitting;
mod learner;
mod loss;
pub mod mapped;
mod member;
mod memory;
mod reports;
mod scaler;
mod team;
pub(in crate::engine) mod tensors;
mod trace;

use std::io::Write;
use std::sync::Arc;

pub(in crate::engine) use learner::TorchLearner;

#[cfg(test)]
mod tests;

use super::api::{DeviceInfo, Engine, EngineError, InputSpec, Learner};
use super::data::Dataset;
use super::ffi::ShimError;
use super::nn::NnError;
use super::seat::Seat;
use super::telemetry::Telemetry;
use super::{device, parallel, script, zoo};
use crate::core::recipe::Recipe;
use crate::core::tensor::HostTensor;

/// libtorch.
#[derive(Debug, Default, Clone, Copy)]
pub struct TorchEngine;

impl From<NnError> for EngineError {
    fn from(error: NnError) -> Self {
        memory::error(&error.0)
    }
}

impl From<ShimError> for EngineError {
    fn from(error: ShimError) -> Self {
        memory::error(&error.0)
    }
}

impl From<tch::TchError> for EngineError {
    fn from(error: tch::TchError) -> Self {
        memory::error(&super::nn::first_line(&error))
    }
}

impl Engine for TorchEngine {
    fn name(&self) -> String {
        "libtorch 2.11.0".to_owned()
    }

    fn devices(&self) -> Vec<DeviceInfo> {
        device::discover()
    }

    fn architectures(&self) -> Vec<String> {
        zoo::all().map(|a| a.name.to_owned()).collect()
    }

    fn input_channels(&self, arch: &str) -> Option<usize> {
        match script::archive(arch) {
            Some(path) => script::channels(path),
            None => zoo::find(arch).and_then(|a| a.channels),
        }
    }

    fn telemetry(&self) -> Option<Telemetry> {
        Some(Telemetry::open())
    }

    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>, EngineError> {
        device::resolve(asked)
    }

    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>, EngineError> {
        Ok(Box::new(TorchLearner::new(recipe, input, device)?))
    }

    fn learner_on(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        data: &Dataset,
        devices: &[String],
    ) -> Result<Box<dyn Learner>, EngineError> {
        match devices {
            [device] => self.learner(recipe, input, device),
            _ => Ok(Box::new(parallel::threads(recipe, input, data, devices)?)),
        }
    }

    fn lead(&self, seat: &Seat) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(Arc::new(parallel::LeadingEngine::new(seat.clone())?))
    }

    fn follow(&self, seat: &Seat) -> Result<(), EngineError> {
        parallel::follow(seat)
    }

    fn export_script(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        weights: &[HostTensor],
        to: &mut dyn Write,
    ) -> Result<(), EngineError> {
        let weights = script::tensors(weights)?;
        match script::archive(&recipe.model.arch) {
            Some(archive) => script::resave(archive, &weights, to),
            None => script::compile(&construct::zoo_model(recipe, input)?, &weights, to),
        }
    }
}
