//! Statistics of tensors' values, and how they are spread.

use crate::core::checkpoint::diff::each_value;
use crate::core::tensor::HostTensor;

/// Statistics over all elements of some tensors. Those that are not finite are counted and left out of the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueStats {
    /// Elements.
    pub count: u64,
    /// Not a number.
    pub nan: u64,
    /// Infinite.
    pub infinite: u64,
    /// Exactly zero.
    pub zeros: u64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, as of a whole population.
    pub std: f64,
    /// L2 norm.
    pub norm: f64,
    /// Elements in equal parts of the range from the smallest to the largest.
    pub bins: Vec<u64>,
}

impl ValueStats {
    /// Goes over the elements twice: for sums, then for the spread around the mean and the bins.
    pub fn of(tensors: &[HostTensor], bins: usize) -> Self {
        let mut stats =
            Self { min: f64::INFINITY, max: f64::NEG_INFINITY, bins: vec![0; bins.max(1)], ..Self::default() };
        let (mut sum, mut squares, mut finite) = (0.0, 0.0, 0_u64);
        each(tensors, |x| {
            stats.count += 1;
            stats.nan += u64::from(x.is_nan());
            stats.infinite += u64::from(x.is_infinite());
            if x.is_finite() {
                finite += 1;
                stats.zeros += u64::from(x == 0.0);
                (stats.min, stats.max) = (stats.min.min(x), stats.max.max(x));
                sum += x;
                squares += x * x;
            }
        });
        if finite == 0 {
            return Self { min: f64::NAN, max: f64::NAN, mean: f64::NAN, std: f64::NAN, norm: f64::NAN, ..stats };
        }
        (stats.mean, stats.norm) = (sum / finite as f64, squares.sqrt());
        let (low, range, last) = (stats.min, stats.max - stats.min, stats.bins.len() - 1);
        let mut spread = 0.0;
        each(tensors, |x| {
            if x.is_finite() {
                spread += (x - stats.mean).powi(2);
                let part = if range > 0.0 { (x - low) / range * (last + 1) as f64 } else { 0.0 };
                stats.bins[(part as usize).min(last)] += 1;
            }
        });
        stats.std = (spread / finite as f64).sqrt();
        stats
    }
}

fn each(tensors: &[HostTensor], mut visit: impl FnMut(f64)) {
    tensors.iter().for_each(|t| each_value(t, |_, x| visit(x)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_over_several_tensors() {
        let t = |v: &[f32]| HostTensor::from_f32("x", &[v.len()], v);
        let stats = ValueStats::of(&[t(&[1.0, 0.0, -1.0]), t(&[2.0, f32::NAN, f32::INFINITY])], 3);
        assert_eq!((stats.count, stats.nan, stats.infinite, stats.zeros), (6, 1, 1, 1));
        assert_eq!((stats.min, stats.max, stats.mean), (-1.0, 2.0, 0.5));
        assert!((stats.norm - 6f64.sqrt()).abs() < 1e-12 && (stats.std - 1.25f64.sqrt()).abs() < 1e-12);
        assert_eq!(stats.bins, [1, 1, 2]);
        let same = ValueStats::of(&[t(&[3.0, 3.0])], 4);
        assert_eq!((same.bins, same.std), (vec![2, 0, 0, 0], 0.0));
        assert!(ValueStats::of(&[t(&[])], 4).min.is_nan());
    }
}
