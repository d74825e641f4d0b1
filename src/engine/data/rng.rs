//! The module's only source of randomness: ChaCha8 streams keyed by what they are for. Nothing is drawn from a shared
//! generator, so neither the number of workers nor the place where a run resumes changes a draw. The few distributions
//! are written out here because a library's may change between versions, and a resumed run must not.

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// The order of an epoch, keyed by (seed, epoch).
    Order = 1,
    /// The changes of a training image, keyed by (seed, epoch, sample).
    Augment = 2,
    /// The split into training and validation, keyed by (seed, class).
    Split = 3,
}

/// A stream of random numbers.
pub(super) struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream for a purpose, the run's seed and two more numbers.
    pub fn new(stream: Stream, seed: u64, a: u64, b: u64) -> Self {
        let mut key = [0u8; 32];
        for (slot, value) in key.chunks_exact_mut(8).zip([seed, a, b, stream as u64]) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A whole number in `0..n`. The bias of the multiplication is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in `0.0..1.0`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability 1/2.
    pub fn coin(&mut self) -> bool {
        self.0.next_u64() >> 63 == 1
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_each_part_of_their_key() {
        let first = |s, a, b, c| Rng::new(s, a, b, c).0.next_u64();
        let base = first(Stream::Order, 1, 2, 3);
        assert_eq!(base, first(Stream::Order, 1, 2, 3));
        for other in [
            first(Stream::Augment, 1, 2, 3),
            first(Stream::Order, 9, 2, 3),
            first(Stream::Order, 1, 9, 3),
            first(Stream::Order, 1, 2, 9),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut rng = Rng::new(Stream::Augment, 0, 0, 0);
        let mut seen = [0usize; 5];
        for _ in 0..1000 {
            seen[rng.below(5)] += 1;
            let v = rng.between(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&v));
        }
        assert!(seen.iter().all(|&n| n > 150), "{seen:?}");
    }

    #[test]
    fn the_shuffle_never_changes_between_versions() {
        // Resumed runs depend on it: a change here breaks the order of every stored run.
        let mut items: Vec<usize> = (0..8).collect();
        Rng::new(Stream::Order, 7, 0, 0).shuffle(&mut items);
        assert_eq!(items, [6, 0, 3, 1, 7, 4, 5, 2]);
    }
}
