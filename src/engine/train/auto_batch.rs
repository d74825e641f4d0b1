//! `train.batch_size = "auto"`: the largest batch that fits, tried before the run exists.
//!
//! Each size is first foretold from those measured before, so that a CPU, whose memory ends in swap or in a killed process, is
//! never asked for more than there is. A GPU says itself when it has no more.

use crate::core::fit::largest;
use crate::core::freeze::Plan;
use crate::core::recipe::AUTO_BATCH;
use crate::core::size::bytes;
use crate::engine::data::EpochPlan;
use crate::engine::{Batch, EngineError};

use super::TrainError;
use super::build::Built;

/// Part of the free memory that is used: the rest is for what is not foreseen, as fragmentation and validation.
const SHARE: (u64, u64) = (9, 10);
/// Larger batches are not tried.
const MOST: usize = 1 << 16;

/// Sizes that were tried, with what they took.
#[derive(Debug, Default)]
struct Measured {
    before: Option<(usize, u64)>,
    last: Option<(usize, u64)>,
    /// What the device said when it had no more.
    refused: Option<String>,
}

impl Measured {
    fn add(&mut self, samples: usize, peak: u64) {
        if self.last.is_none_or(|(n, _)| samples > n) {
            self.before = self.last.replace((samples, peak));
        }
    }

    /// What a larger batch will take: along the line through the last two. `fixed`: of a single one, what does not grow.
    fn foretell(&self, samples: usize, fixed: u64) -> Option<u64> {
        let (n, peak) = self.last?;
        let (from, base) = self.before.unwrap_or((0, fixed.min(peak)));
        let grown = u128::from(peak.saturating_sub(base)) * samples.saturating_sub(n) as u128;
        Some(peak.saturating_add(u64::try_from(grown / (n - from).max(1) as u128).unwrap_or(u64::MAX)))
    }
}

impl Built {
    /// Finds the recipe's batch size for a plan and writes it into the recipe.
    pub(super) fn find_batch_size(&mut self, plan: &Plan) -> Result<(), TrainError> {
        // Sizes are tried with what will learn; whether that is sound is checked when the plan is put into force.
        let resolution = plan.resolve(self.learner.tree())?;
        self.learner.apply_freeze(&resolution)?;
        let before = std::mem::replace(&mut self.resolution, resolution);
        let mut measured = Measured::default();
        let found = self.search(&mut measured);
        self.resolution = before;
        let size = found?.ok_or_else(|| {
            let device = self.device();
            let why = measured.refused.map(|words| format!(" ({words})")).unwrap_or_default();
            TrainError::Failed(format!(
                "train.batch_size = \"auto\": not even one sample fits on {device}{why}; freeze more, or choose a smaller model or \
                 another device"
            ))
        })?;
        self.recipe.train.batch_size = size;
        let memory = self.peak.take().map(|peak| self.memory_with(Some(peak), size as u64).total());
        let about = memory.map(|n| format!(", about {}", bytes(n))).unwrap_or_default();
        self.notes
            .push(format!("train.batch_size = \"auto\": {size} samples fit on {}{about}", self.devices.join(", ")));
        Ok(())
    }

    fn search(&mut self, measured: &mut Measured) -> Result<Option<usize>, TrainError> {
        debug_assert_eq!(self.recipe.train.batch_size, AUTO_BATCH);
        let most = self.data.info().train_len.min(MOST);
        let mut best = None;
        let found = largest(most, |samples| {
            let fits = self.fits(samples, measured)?;
            if fits {
                best = measured.last.map(|(_, peak)| peak);
            }
            Ok::<_, TrainError>(fits)
        })?;
        self.peak = best;
        Ok(found)
    }

    fn fits(&mut self, samples: usize, measured: &mut Measured) -> Result<bool, TrainError> {
        let fixed = self.memory_with(Some(0), 0).gradients;
        if measured.foretell(samples, fixed).is_some_and(|peak| !self.allows(peak)) {
            return Ok(false);
        }
        let Some(batch) = self.some_samples(samples).transpose()? else { return Ok(false) };
        match self.learner.probe(&batch) {
            Err(EngineError::OutOfMemory(of)) => {
                measured.refused = Some(of.what);
                return Ok(false);
            }
            done => done?,
        };
        // An engine that cannot tell says when it has no more.
        let Some(peak) = self.learner.probe_peak() else { return Ok(true) };
        let allowed = self.allows(peak);
        if allowed {
            measured.add(samples, peak);
        }
        Ok(allowed)
    }

    fn allows(&self, peak: u64) -> bool {
        let need = self.memory_with(Some(peak), 0).total();
        self.memory_free.is_none_or(|free| need <= free / SHARE.1 * SHARE.0)
    }

    fn some_samples(&self, samples: usize) -> Option<Result<Batch, TrainError>> {
        let train = &self.recipe.train;
        let plan = EpochPlan {
            seed: train.seed,
            epoch: 0,
            batch_size: samples,
            shuffle: train.shuffle,
            drop_last: false,
            start_batch: 0,
        };
        self.data.train_one(plan).map(|b| b.map_err(TrainError::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_will_take_is_foretold_from_those_before() {
        let mut measured = Measured::default();
        assert_eq!(measured.foretell(1, 10), None);
        measured.add(1, 110);
        assert_eq!(measured.foretell(2, 10), Some(210), "what is fixed does not grow");
        measured.add(2, 190);
        assert_eq!(measured.foretell(4, 10), Some(350));
        measured.add(1, 999);
        assert_eq!(measured.last, Some((2, 190)));
    }
}
