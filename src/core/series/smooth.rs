//! TensorBoard's smoothing: an exponential moving average with the start's bias taken out.

/// Smooths values as they come.
///
/// The formula is that of TensorBoard's line chart (`resmoothDataset` in its data loader):
/// `last = last * w + (1 - w) * value`, shown as `last / (1 - w^n)`, n counting the finite values; as long as a series is
/// constant it is left alone, because the division would make noise of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoother {
    weight: f64,
    last: f64,
    /// w^n, kept as a product.
    decay: f64,
    first: Option<f64>,
    varied: bool,
}

impl Smoother {
    /// `weight` is 0 (none) to below 1.
    pub fn new(weight: f64) -> Self {
        let weight = if weight.is_finite() { weight.clamp(0.0, 0.9999) } else { 0.0 };
        Self { weight, last: 0.0, decay: 1.0, first: None, varied: false }
    }

    /// The smoothed value for the next one. A value that is not finite stays what it is, as a gap, and does not enter the
    /// average.
    pub fn push(&mut self, value: f64) -> f64 {
        if !value.is_finite() {
            return value;
        }
        self.last = self.last * self.weight + (1.0 - self.weight) * value;
        self.decay *= self.weight;
        self.varied |= *self.first.get_or_insert(value) != value;
        if self.varied && self.weight > 0.0 { self.last / (1.0 - self.decay) } else { value }
    }
}

/// Smooths values in order (see [`Smoother`]).
pub fn smoothed(values: &[f64], weight: f64) -> Vec<f64> {
    let mut smoother = Smoother::new(weight);
    values.iter().map(|v| smoother.push(*v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_not_pulled_to_zero_and_gaps_stay() {
        let s = smoothed(&[10.0, f64::NAN, 20.0], 0.6);
        assert_eq!(s[0], 10.0);
        assert!(s[1].is_nan());
        // (0.6 * 4 + 0.4 * 20) / (1 - 0.36)
        assert!((s[2] - 10.4 / 0.64).abs() < 1e-12, "{}", s[2]);
    }

    #[test]
    fn a_constant_series_and_weight_zero_change_nothing() {
        assert_eq!(smoothed(&[0.1, 0.1, 0.1], 0.9), [0.1, 0.1, 0.1]);
        assert_eq!(smoothed(&[1.0, 5.0], 0.0), [1.0, 5.0]);
        assert!(smoothed(&[], 0.5).is_empty());
    }
}
