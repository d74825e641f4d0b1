//! One sample from the store into a batch: copied, or decoded, changed and normalised.

use std::path::PathBuf;

use super::dataset::Inner;
use super::rng::Rng;
use super::source::{Labels, Store};
use crate::engine::Targets;

/// Why a sample is missing: its image is damaged.
pub(super) struct Bad {
    pub path: PathBuf,
    pub why: String,
}

/// Buffers that a thread keeps from sample to sample.
#[derive(Default)]
pub(super) struct Scratch {}

impl Inner {
    /// Whether samples are only copied, so that a hop to another thread would cost more than it saves.
    pub fn only_copies(&self, training: bool) -> bool {
        let augmented = training && !self.augment.is_empty();
        match &self.store {
            Store::Files(_) => false,
            Store::Bytes { shape, .. } => !augmented && shape[..] == self.prep.shape[..],
            Store::Floats { shape, .. } => !augmented && *shape == self.prep.shape,
        }
    }

    /// Appends the sample's input to `out`; `random` is there for training samples.
    pub fn put(
        &self,
        sample: usize,
        random: Option<Rng>,
        _scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) -> Result<(), Bad> {
        if self.only_copies(random.is_some()) {
            self.copy(sample, out);
        }
        Ok(())
    }

    fn copy(&self, sample: usize, out: &mut Vec<f32>) {
        match &self.store {
            Store::Bytes { data, shape } => {
                let len = shape.iter().product::<usize>();
                self.prep.finish_bytes(&data[sample * len..][..len], out);
            }
            Store::Floats { data, shape, .. } => {
                let len = shape.iter().product::<usize>();
                self.prep.finish(&data[sample * len..][..len], out);
            }
            Store::Files(_) => {}
        }
    }

    /// The targets of some samples.
    pub fn targets(&self, samples: &[u64]) -> Targets {
        match &self.labels {
            Labels::Classes(labels) => Targets::Classes(samples.iter().map(|&i| labels[i as usize]).collect()),
            Labels::Values { data, width } => {
                let mut values = Vec::with_capacity(samples.len() * width);
                for &i in samples {
                    values.extend_from_slice(&data[i as usize * width..][..*width]);
                }
                Targets::Values { data: values, shape: vec![samples.len(), *width] }
            }
        }
    }
}
