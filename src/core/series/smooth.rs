//! TensorBoard's smoothing: an exponential moving average with the start's bias taken out.

/// Smooths values in order. `weight` is 0 (none) to below 1. Values that are not finite stay where they are, as gaps, and
/// do not enter the average.
///
/// The formula is that of TensorBoard's line chart (`tf_line_chart_data_loader`, `resmoothDataset`):
/// `last = last * w + (1 - w) * value`, shown as `last / (1 - w^n)`, n counting the finite values; a constant series is
/// left alone, because the division would make noise of it.
pub fn smoothed(values: &[f64], weight: f64) -> Vec<f64> {
    let weight = if weight.is_finite() { weight.clamp(0.0, 0.9999) } else { 0.0 };
    let constant = values.first().is_none_or(|first| values.iter().all(|v| v == first));
    if weight == 0.0 || constant {
        return values.to_vec();
    }
    // `last` begins at 0, and 1 - w^n is kept as a product of its own: n would be too large for `powi`.
    let (mut last, mut decay) = (0.0, 1.0);
    values
        .iter()
        .map(|&value| {
            if !value.is_finite() {
                return value;
            }
            last = last * weight + (1.0 - weight) * value;
            decay *= weight;
            last / (1.0 - decay)
        })
        .collect()
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
