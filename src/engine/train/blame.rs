//! A step that came out not finite: whether what it was made of was so already. No learning rate helps then.

use super::position::Position;
use super::trainer::Trainer;
use super::words::some_of;
use crate::core::weights::ValueStats;
use crate::engine::data::EpochPlan;
use crate::engine::{Batch, Targets};

/// Numbers of samples that a message holds at most.
const NAMED: usize = 5;

impl Trainer<'_> {
    /// Samples of the step from there that are not finite, on all ranks together, in words. The batch is built again.
    pub(super) fn bad_samples(&self, at: &Position) -> Option<String> {
        let train = &self.built.recipe.train;
        let accumulate = train.accumulate_grad_batches.max(1);
        let first = at.first_batch(accumulate);
        let data = self.built.data.share(0, 1);
        let mut bad = Vec::new();
        let mut all = 0;
        for start_batch in first..first + accumulate {
            let plan = EpochPlan {
                seed: train.seed,
                epoch: at.epoch,
                batch_size: train.batch_size,
                shuffle: train.shuffle,
                drop_last: train.drop_last,
                start_batch,
            };
            let Some(Ok(batch)) = data.train_one(plan) else { break };
            all += batch.len();
            bad.extend(bad_of(&batch));
        }
        if bad.is_empty() {
            return None;
        }
        let some: Vec<String> = bad.iter().take(NAMED).map(u64::to_string).collect();
        let more = if bad.len() > NAMED { format!(" and {} more", bad.len() - NAMED) } else { String::new() };
        let (are, number) = if bad.len() == 1 { ("is", "number") } else { ("are", "numbers") };
        Some(format!(
            "{} of the {all} samples of its batch {are} not finite: {number} {}{more} of the data set, from 0",
            bad.len(),
            some.join(", ")
        ))
    }

    /// Parameters and buffers that are not finite now, in words.
    pub(super) fn bad_tensors(&mut self) -> Option<String> {
        let weights = self.built.learner.snapshot().ok()?.weights;
        let bad = |t: &&_| {
            let stats = ValueStats::of(std::slice::from_ref(*t), 1);
            stats.nan + stats.infinite > 0
        };
        let names: Vec<&str> = weights.iter().filter(bad).map(|t| t.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("the model was not finite before it, in {}", some_of(&names)))
    }
}

/// Numbers of a batch's samples in which something is not finite.
fn bad_of(batch: &Batch) -> Vec<u64> {
    let of = |values: &[f32], sample: usize| {
        let size = values.len() / batch.len();
        values[sample * size..(sample + 1) * size].iter().any(|v| !v.is_finite())
    };
    let bad =
        |sample: &usize| of(&batch.x, *sample) || matches!(&batch.y, Targets::Values { data, .. } if of(data, *sample));
    (0..batch.len()).filter(bad).map(|sample| batch.indices[sample]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_targets_that_are_not_finite_are_found() {
        let y = Targets::Values { data: vec![0.0, 1.0, 2.0, f32::INFINITY], shape: vec![4, 1] };
        let x = vec![0.0, 1.0, f32::NAN, 3.0, 4.0, 5.0, 6.0, 7.0];
        let batch = Batch { x, x_shape: vec![4, 2], y, indices: vec![9, 4, 7, 0] };
        assert_eq!(bad_of(&batch), [4, 0]);
        let fine = Batch { x: vec![0.0; 8], y: Targets::Classes(vec![1; 4]), ..batch };
        assert_eq!(bad_of(&fine), [0_u64; 0]);
        let stand_in = Batch { indices: Vec::new(), ..fine };
        assert_eq!(bad_of(&stand_in), [0_u64; 0]);
    }
}
