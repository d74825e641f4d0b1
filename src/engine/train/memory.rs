//! What a run takes of its device's memory, and what is said when that does not suffice.

use crate::core::fit::{BatchSizes, MemoryEstimate};
use crate::engine::EngineError;
use crate::engine::api::Shortage;

use super::build::Built;
use super::disk::slots;
use super::{Position, TrainError};

impl Built {
    /// Samples of a batch, as they are shared out.
    pub fn batch_sizes(&self) -> BatchSizes {
        let train = &self.recipe.train;
        BatchSizes::new(train.batch_size, self.devices.len(), train.accumulate_grad_batches)
    }

    /// The run's memory on its device, from what the check of the freeze plan measured; else counted from the layers' outputs.
    pub fn memory(&self) -> MemoryEstimate {
        self.memory_with(self.peak, self.batch_sizes().per_device)
    }

    /// The same with another measurement, or for another number of samples.
    pub(super) fn memory_with(&self, peak: Option<u64>, samples: u64) -> MemoryEstimate {
        let sample = 4 * self.data.info().sample_shape.iter().product::<usize>() as u64;
        let mut memory = MemoryEstimate::counted(self.learner.tree(), &self.resolution, slots(self), samples);
        memory.activations = memory.activations.saturating_add(samples.saturating_mul(sample));
        if let Some(peak) = peak {
            memory = memory.measured(peak);
        }
        // The copy from which checkpoints are written lies in host memory.
        let snapshot = if self.device().starts_with("cpu") { memory.weights + memory.optimizer } else { 0 };
        MemoryEstimate { snapshot, free: self.memory_free, ..memory }
    }

    /// Measures on the first batch where the check of the freeze plan did not.
    ///
    /// # Errors
    /// The data's or the engine's; a shortage of memory in words.
    pub fn measure(&mut self) -> Result<(), TrainError> {
        if self.peak.is_some() {
            return Ok(());
        }
        let Some(batch) = self.next_batch(&Position::default()).transpose()? else { return Ok(()) };
        let done = self.learner.probe(&batch);
        done.map_err(|e| self.told(e))?;
        self.peak = self.learner.probe_peak();
        Ok(())
    }

    /// An engine's error, with a remedy where memory did not suffice.
    pub(super) fn told(&self, error: EngineError) -> TrainError {
        match error {
            EngineError::OutOfMemory(what) => TrainError::Failed(self.out_of_memory(&what)),
            other => other.into(),
        }
    }

    /// In words: where memory did not suffice, and for what.
    pub(super) fn out_of_memory(&self, of: &Shortage) -> String {
        let place = of.rank.as_deref().unwrap_or(self.device());
        format!("out of memory on {place} with a batch of {} ({})", self.batch_sizes().per_device, of.what)
    }
}
