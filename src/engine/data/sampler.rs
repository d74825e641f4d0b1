//! In which order an epoch visits its samples, and in which batches.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rng::{Rng, Stream};

/// The training pass over one epoch, or the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochPlan {
    /// The run's seed.
    pub seed: u64,
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Samples of a batch.
    pub batch_size: usize,
    /// A new order each epoch; otherwise the data set's own.
    pub shuffle: bool,
    /// Leave out a last, smaller batch.
    pub drop_last: bool,
    /// Batches already done: they are skipped without being read.
    pub start_batch: usize,
}

/// Which part of each batch a rank takes: the batch is cut into as many contiguous shares as there are ranks, which
/// differ by one sample at most. The later ones are empty where there are fewer samples than ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub rank: usize,
    pub ranks: usize,
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Self { rank: 0, ranks: 1 };

    pub fn is_whole(self) -> bool {
        self.ranks <= 1
    }

    /// Its part of a batch's positions.
    pub fn of(self, batch: Range<usize>) -> Range<usize> {
        let ranks = self.ranks.max(1);
        let (each, more) = (batch.len() / ranks, batch.len() % ranks);
        let start = batch.start + self.rank * each + self.rank.min(more);
        start..start + each + usize::from(self.rank < more)
    }
}

/// The samples in the epoch's order; depends on (seed, epoch) alone.
pub(super) fn order(samples: &[usize], plan: &EpochPlan) -> Vec<usize> {
    let mut order = samples.to_vec();
    if plan.shuffle {
        Rng::new(Stream::Order, plan.seed, plan.epoch, 0).shuffle(&mut order);
    }
    order
}

/// Number of batches of `len` samples.
pub(super) fn batches(len: usize, batch_size: usize, drop_last: bool) -> usize {
    let size = batch_size.max(1);
    if drop_last { len / size } else { len.div_ceil(size) }
}

/// Positions in the order that make up a batch.
pub(super) fn span(len: usize, batch_size: usize, batch: usize) -> Range<usize> {
    let start = batch.saturating_mul(batch_size.max(1)).min(len);
    start..start.saturating_add(batch_size.max(1)).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_cover_every_sample_once_or_drop_only_the_last(
            len in 0usize..200, size in 1usize..40, drop_last: bool
        ) {
            let spans: Vec<usize> = (0..batches(len, size, drop_last)).flat_map(|b| span(len, size, b)).collect();
            let kept = if drop_last { len - len % size } else { len };
            prop_assert_eq!(spans, (0..kept).collect::<Vec<_>>());
        }

        #[test]
        fn shares_cover_a_batch_once_in_order(start in 0usize..50, len in 0usize..40, ranks in 1usize..9) {
            let shares: Vec<_> = (0..ranks).map(|rank| Share { rank, ranks }.of(start..start + len)).collect();
            let sizes: Vec<usize> = shares.iter().map(Range::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            prop_assert!(sizes.is_sorted_by(|a, b| a >= b), "{:?}", sizes);
            let all: Vec<usize> = shares.into_iter().flatten().collect();
            prop_assert_eq!(all, (start..start + len).collect::<Vec<_>>());
        }

        #[test]
        fn an_order_is_a_permutation(len in 0usize..100, seed: u64, epoch in 0u64..50) {
            let samples: Vec<usize> = (0..len).map(|i| i * 3).collect();
            let plan = EpochPlan { seed, epoch, batch_size: 1, shuffle: true, drop_last: false, start_batch: 0 };
            let mut order = order(&samples, &plan);
            order.sort_unstable();
            prop_assert_eq!(order, samples);
        }
    }

    #[test]
    fn each_epoch_has_its_own_order() {
        let samples: Vec<usize> = (0..50).collect();
        let plan = |epoch| EpochPlan { seed: 1, epoch, batch_size: 1, shuffle: true, drop_last: false, start_batch: 0 };
        assert_ne!(order(&samples, &plan(0)), order(&samples, &plan(1)));
        assert_eq!(order(&samples, &EpochPlan { shuffle: false, ..plan(3) }), samples);
    }
}
