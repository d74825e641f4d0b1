//! Whether a run fits: what it will hold in a device's memory, and how its batches are shared out. Plain numbers, filled in
//! by the engine (`engine::train::memory`) and shown by the dry run and the screen.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::freeze::{ParamState, Resolution};
use super::recipe::TrainSpec;
use super::size::bytes;
use super::tree::Tree;

/// Bytes that a run holds on one device, at the peak of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryEstimate {
    /// Parameters and buffers.
    pub weights: u64,
    /// Gradients of what learns.
    pub gradients: u64,
    /// The optimizer's state of what learns.
    pub optimizer: u64,
    /// The batch and what a forward keeps for its backward, of one device's share of a batch.
    pub activations: u64,
    /// The copy from which checkpoints are written, where it lies in the same memory.
    pub snapshot: u64,
    /// `activations` were measured on a batch; else they are counted from the outputs of the layers.
    pub measured: bool,
    /// Free memory of the device before the run, where it is known.
    pub free: Option<u64>,
}

impl MemoryEstimate {
    /// Counted from the tree under a freeze plan: `slots` are the tensors that the optimizer keeps for each parameter,
    /// `samples` those of a batch. Activations are the outputs of all layers, a rough measure of what a backward needs.
    pub fn counted(tree: &Tree, plan: &Resolution, slots: u64, samples: u64) -> Self {
        let params = || tree.parameters.iter().map(|p| p.bytes() as u64);
        let learns = |i: usize| plan.state(i) == Some(ParamState::Trainable);
        let gradients: u64 = params().enumerate().filter(|(i, _)| learns(*i)).map(|(_, bytes)| bytes).sum();
        Self {
            weights: params().sum::<u64>() + tree.buffers.iter().map(|b| b.bytes() as u64).sum::<u64>(),
            gradients,
            optimizer: gradients * slots,
            activations: samples.saturating_mul(outputs(tree)),
            ..Self::default()
        }
    }

    /// With what a forward and backward on a batch was measured to hold, gradients included.
    pub fn measured(self, peak: u64) -> Self {
        // While gradients come, what was kept for them goes: their sum is never held.
        Self { activations: peak.saturating_sub(self.gradients), measured: true, ..self }
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        [self.weights, self.gradients, self.optimizer, self.activations, self.snapshot]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Whether it fits; `None` where the free memory is not known.
    pub fn fits(&self) -> Option<bool> {
        self.free.map(|free| self.total() <= free)
    }

    /// The parts with their names, the empty ones left out.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("copy for checkpoints", self.snapshot),
        ];
        all.into_iter().filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// In words, where it does not fit.
    pub fn shortage(&self, device: &str, batches: &BatchSizes) -> Option<String> {
        let free = self.free.filter(|_| self.fits() == Some(false))?;
        let remedy = batches.halved().map_or_else(
            || "freeze more, or choose a smaller model or another device".to_owned(),
            |half| format!("try {}, or train.batch_size = \"auto\"", half.words()),
        );
        Some(format!("{device} has {} free and the run will need about {}: {remedy}", bytes(free), bytes(self.total())))
    }
}

/// Samples of a batch, as they are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSizes {
    /// Over all devices: `train.batch_size`.
    pub global: u64,
    /// On each device; the last batch of an epoch may have fewer.
    pub per_device: u64,
    /// Devices that share a batch.
    pub devices: u64,
    /// Batches of one optimizer step.
    pub accumulate: u64,
}

impl BatchSizes {
    /// Of a recipe's numbers on so many devices.
    pub fn new(batch_size: usize, devices: usize, accumulate: usize) -> Self {
        let (global, devices) = (batch_size as u64, devices.max(1) as u64);
        Self { global, per_device: global.div_ceil(devices), devices, accumulate: accumulate.max(1) as u64 }
    }

    /// As far as a recipe alone tells; `"auto"` is a batch of one sample until it is found.
    pub fn of(train: &TrainSpec) -> Self {
        let numbered = |d: &&String| !matches!(d.as_str(), "auto" | "all");
        let devices = train.devices.iter().filter(numbered).count();
        Self::new(train.batch_size.max(1), devices, train.accumulate_grad_batches)
    }

    /// Samples of one optimizer step.
    pub fn accumulated(&self) -> u64 {
        self.global.saturating_mul(self.accumulate)
    }

    /// Half the batch and twice the accumulation: the same samples a step in about half the memory for activations. `None`
    /// where a device would be left without a sample, or the sizes would no longer come out even.
    pub fn halved(&self) -> Option<Self> {
        let even = self.global.is_multiple_of(2) && self.global / 2 >= self.devices;
        let half = self.global / 2;
        even.then(|| Self {
            global: half,
            per_device: half.div_ceil(self.devices),
            accumulate: self.accumulate * 2,
            ..*self
        })
    }

    /// As the recipe's keys.
    pub fn words(&self) -> String {
        format!("train.batch_size = {} with train.accumulate_grad_batches = {}", self.global, self.accumulate)
    }

    /// For people: `64 a step: 2 batches of 32, 16 on each of 2 devices`.
    pub fn shares(&self) -> String {
        let batches = match self.accumulate {
            1 => format!("{} a step", self.global),
            n => format!("{} a step: {n} batches of {}", self.accumulated(), self.global),
        };
        match self.devices {
            1 => batches,
            n => format!("{batches}, {} on each of {n} devices", self.per_device),
        }
    }
}

/// Bytes of one sample's outputs of all leaves of the tree.
fn outputs(tree: &Tree) -> u64 {
    let parents: HashSet<usize> = tree.modules.iter().filter_map(|m| m.parent).collect();
    let leaves = tree.modules.iter().enumerate().filter(|(i, _)| !parents.contains(i)).map(|(_, m)| m);
    let values = |shape: &Vec<i64>| shape.iter().skip(1).map(|d| d.unsigned_abs()).product::<u64>();
    leaves.filter_map(|m| m.output_shape.as_ref()).map(|shape| 4 * values(shape)).sum()
}

/// The largest size up to `most` that fits: doubled until one does not, then narrowed down by halves to an eighth of the
/// best. `None` if not even one sample fits.
///
/// # Errors
/// Those of `fits`.
pub fn largest<E>(most: usize, mut fits: impl FnMut(usize) -> Result<bool, E>) -> Result<Option<usize>, E> {
    if most == 0 || !fits(1)? {
        return Ok(None);
    }
    let (mut good, mut bad) = (1usize, None);
    while good < most {
        let next = good.saturating_mul(2).min(most);
        if !fits(next)? {
            bad = Some(next);
            break;
        }
        good = next;
    }
    let Some(mut bad) = bad else { return Ok(Some(good)) };
    while bad - good > (good / 8).max(1) {
        let middle = good + (bad - good) / 2;
        if fits(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn found(most: usize, limit: usize) -> (Option<usize>, Vec<usize>) {
        let mut tried = Vec::new();
        let best = largest(most, |n| {
            tried.push(n);
            Ok::<_, Infallible>(n <= limit)
        });
        (best.unwrap(), tried)
    }

    #[test]
    fn the_largest_size_is_found_by_doubling_and_halving() {
        assert_eq!(found(1000, 100), (Some(96), vec![1, 2, 4, 8, 16, 32, 64, 128, 96, 112, 104]));
        assert_eq!(found(50, 100).0, Some(50), "never more than there is");
        assert_eq!(found(1000, 1).0, Some(1));
        assert_eq!(found(1000, 0), (None, vec![1]));
        assert_eq!(found(0, 9), (None, vec![]));
        for limit in 1..300 {
            let best = found(10_000, limit).0.unwrap();
            assert!(best <= limit && limit - best <= (best / 8).max(1), "{best} of {limit}");
        }
    }

    #[test]
    fn an_error_ends_the_search() {
        assert_eq!(largest(8, |n| if n == 4 { Err("broken") } else { Ok(true) }), Err("broken"));
    }

    #[test]
    fn batches_are_told_as_they_are_shared_out() {
        assert_eq!(BatchSizes::new(32, 1, 1).shares(), "32 a step");
        assert_eq!(BatchSizes::new(32, 2, 2).shares(), "64 a step: 2 batches of 32, 16 on each of 2 devices");
        assert_eq!(BatchSizes::new(33, 2, 1).per_device, 17);
    }

    #[test]
    fn half_a_batch_with_twice_the_accumulation_is_the_same_step() {
        let half = BatchSizes::new(32, 2, 3).halved().unwrap();
        assert_eq!((half.global, half.per_device, half.accumulate), (16, 8, 6));
        assert_eq!(half.accumulated(), 96);
        assert_eq!(BatchSizes::new(1, 1, 1).halved(), None);
        assert_eq!(BatchSizes::new(2, 2, 1).halved(), None, "each device needs a sample");
        assert_eq!(BatchSizes::new(9, 1, 1).halved(), None);
    }

    #[test]
    fn what_does_not_fit_is_told_with_a_remedy() {
        let memory = MemoryEstimate {
            weights: 1 << 20,
            gradients: 1 << 20,
            optimizer: 2 << 20,
            activations: 60 << 20,
            free: Some(32 << 20),
            ..MemoryEstimate::default()
        };
        assert_eq!((memory.total(), memory.fits()), (64 << 20, Some(false)));
        let words = memory.shortage("cuda:0", &BatchSizes::new(64, 1, 1)).unwrap();
        assert!(words.contains("33.6 MB free") && words.contains("about 67.1 MB"), "{words}");
        assert!(words.contains("train.batch_size = 32 with train.accumulate_grad_batches = 2"), "{words}");
        assert_eq!(MemoryEstimate { free: Some(1 << 40), ..memory }.shortage("cpu", &BatchSizes::new(1, 1, 1)), None);
        assert_eq!(MemoryEstimate { free: None, ..memory }.fits(), None);
        assert_eq!(memory.parts().len(), 4);
    }
}
