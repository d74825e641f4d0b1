//! The seeded split of sources that bring none: by class, so that rare classes appear on both sides.

use super::rng::{Rng, Stream};

/// Splits sample numbers into (training, validation), both ascending. `groups[k]` holds the samples of class k (a
/// single group for regression). The held-back number is `fraction` of all, rounded, shared out by largest remainder;
/// every class keeps at least one training sample. Depends on the seed and the groups alone.
pub(super) fn split(groups: &[Vec<usize>], fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let total: usize = groups.iter().map(Vec::len).sum();
    let mut wanted = (total as f64 * fraction).round() as usize;
    if fraction > 0.0 && total > 1 {
        wanted = wanted.max(1);
    }
    let quotas = quotas(groups, fraction, wanted);
    let (mut train, mut val) = (Vec::with_capacity(total), Vec::with_capacity(wanted));
    for (class, (group, quota)) in groups.iter().zip(quotas).enumerate() {
        let mut members = group.clone();
        Rng::new(Stream::Split, seed, class as u64, 0).shuffle(&mut members);
        let (held, kept) = members.split_at(quota);
        val.extend_from_slice(held);
        train.extend_from_slice(kept);
    }
    train.sort_unstable();
    val.sort_unstable();
    (train, val)
}

/// Validation samples of each class.
fn quotas(groups: &[Vec<usize>], fraction: f64, wanted: usize) -> Vec<usize> {
    let exact: Vec<f64> = groups.iter().map(|g| g.len() as f64 * fraction).collect();
    let most = |k: usize| groups[k].len().saturating_sub(1);
    let mut quotas: Vec<usize> = exact.iter().enumerate().map(|(k, e)| (*e as usize).min(most(k))).collect();
    let mut by_remainder: Vec<usize> = (0..groups.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let mut missing = wanted.saturating_sub(quotas.iter().sum());
    while missing > 0 {
        let before = missing;
        for &k in &by_remainder {
            if missing > 0 && quotas[k] < most(k) {
                quotas[k] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break; // every class is down to its last training sample
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grouped(sizes: &[usize]) -> Vec<Vec<usize>> {
        let mut next = 0;
        let mut group = |n: &usize| {
            next += n;
            (next - n..next).collect()
        };
        sizes.iter().map(&mut group).collect()
    }

    proptest! {
        #[test]
        fn a_split_is_disjoint_complete_and_stable(
            sizes in prop::collection::vec(0usize..40, 1..8), fraction in 0.0f64..0.95, seed in any::<u64>()
        ) {
            let groups = grouped(&sizes);
            let (train, val) = split(&groups, fraction, seed);
            prop_assert_eq!(&split(&groups, fraction, seed), &(train.clone(), val.clone()));
            let mut all = [train.clone(), val].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..sizes.iter().sum()).collect::<Vec<_>>());
            for group in groups.iter().filter(|g| !g.is_empty()) {
                prop_assert!(group.iter().any(|i| train.binary_search(i).is_ok()));
            }
        }

        #[test]
        fn each_class_is_held_back_in_proportion(
            sizes in prop::collection::vec(10usize..60, 1..6), seed in any::<u64>()
        ) {
            let (_, val) = split(&grouped(&sizes), 0.25, seed);
            let total: usize = sizes.iter().sum();
            prop_assert_eq!(val.len(), (total as f64 * 0.25).round() as usize);
            for group in grouped(&sizes) {
                let held = group.iter().filter(|i| val.binary_search(i).is_ok()).count() as f64;
                prop_assert!((held - group.len() as f64 * 0.25).abs() <= 1.0);
            }
        }
    }

    #[test]
    fn another_seed_gives_another_split() {
        let groups = grouped(&[50, 50]);
        assert_ne!(split(&groups, 0.2, 1), split(&groups, 0.2, 2));
    }

    #[test]
    fn fraction_zero_holds_nothing_back_and_a_small_one_at_least_a_sample() {
        let groups = grouped(&[2, 2]);
        assert!(split(&groups, 0.0, 0).1.is_empty());
        assert_eq!(split(&groups, 0.05, 0).1.len(), 1);
    }
}
