//! The vertical scale: linear or log, and a range that outliers do not flatten.

use crate::core::series::{Column, MinMax};

/// From values to rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Values above zero by their logarithm.
    log: bool,
    /// Lowest and highest value shown, as they lie on the scale.
    low: f64,
    high: f64,
    /// Whether values lie above or below what is shown.
    pub cut: bool,
}

impl Scale {
    /// A scale on which all columns have room; outliers are cut off where asked for.
    pub fn of<'a>(columns: impl IntoIterator<Item = &'a [Column]>, log: bool, cut_outliers: bool) -> Option<Self> {
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        for range in columns.into_iter().flatten().filter_map(|c| c.range) {
            if log && range.max <= 0.0 {
                continue;
            }
            lows.push(if log { range.min.max(range.positive).log10() } else { range.min });
            highs.push(if log { range.max.log10() } else { range.max });
        }
        lows.sort_unstable_by(f64::total_cmp);
        highs.sort_unstable_by(f64::total_cmp);
        let (mut low, mut high) = (*lows.first()?, *highs.last()?);
        let mut cut = false;
        if cut_outliers {
            let (a, b) = without_outliers(&lows, &highs);
            cut = (a, b) != (low, high);
            (low, high) = (a, b);
        }
        // A flat line lies in the middle.
        if high - low <= f64::EPSILON * high.abs().max(1e-300) {
            let pad = if log || low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - pad, high + pad);
        }
        Some(Self { log, low, high, cut })
    }

    /// No further than values can go; those that lie beyond all the same are shown.
    #[must_use]
    pub fn within(self, limits: Option<(f64, f64)>) -> Self {
        let Some((least, most)) = limits.filter(|_| !self.log) else { return self };
        // The room around a flat line is all that may lie outside.
        let middle = f64::midpoint(self.low, self.high);
        let (low, high) = (self.low.max(least.min(middle)), self.high.min(most.max(middle)));
        if low < high { Self { low, high, ..self } } else { self }
    }

    /// Where a value lies, 0 at the bottom to 1 at the top, beyond where it is cut off.
    pub fn part(&self, value: f64) -> f64 {
        let value = match self.log {
            true if value <= 0.0 => return -1.0,
            true => value.log10(),
            false => value,
        };
        // Halves, so that the difference of huge values is finite.
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    /// The value at a part of the height.
    pub fn value(&self, part: f64) -> f64 {
        let at = self.low * (1.0 - part) + self.high * part;
        if self.log { 10f64.powf(at) } else { at }
    }

    /// Whether a column has values above or below what is shown.
    pub fn cuts(&self, range: &MinMax) -> (bool, bool) {
        if !self.cut {
            return (false, false);
        }
        (self.part(range.max) > 1.0 + 1e-9, self.part(range.min) < -1e-9 && (!self.log || range.min > 0.0))
    }
}

/// A range without the few values that would flatten all others: at most three in a hundred columns (and always one) are
/// left out, and only where the rest then has at least three times as much room.
fn without_outliers(lows: &[f64], highs: &[f64]) -> (f64, f64) {
    let n = highs.len();
    let (low, high) = (lows[0], highs[n - 1]);
    // Of few values none is an outlier.
    if n < 12 {
        return (low, high);
    }
    let few = (n * 3 / 100).max(1);
    let (bulk_low, bulk_high) = (lows[few], highs[n - 1 - few]);
    let bulk = bulk_high - bulk_low;
    if bulk <= 0.0 {
        // A constant line with a spike: the spike is what there is to see.
        return (low, high);
    }
    let pad = bulk * 0.05;
    (
        if bulk_low - low > 2.0 * bulk { bulk_low - pad } else { low },
        if high - bulk_high > 2.0 * bulk { bulk_high + pad } else { high },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::series::Series;

    fn scale(values: impl IntoIterator<Item = f64>, log: bool, cut: bool) -> Scale {
        let series = Series::from_points(values.into_iter().enumerate().map(|(i, v)| (i as f64, v)));
        let edges: Vec<f64> = (0..=100).map(|c| f64::from(c) * series.len() as f64 / 100.0).collect();
        Scale::of([&series.columns(&edges)[..]], log, cut).unwrap()
    }

    #[test]
    fn a_spike_at_the_first_step_does_not_flatten_the_rest() {
        let values = || (0..1000).map(|i| if i == 0 { 1e6 } else { 1.0 + f64::from(i % 10) / 10.0 });
        let cut = scale(values(), false, true);
        assert!(cut.cut && cut.value(1.0) < 2.1 && cut.value(0.0) == 1.0, "{cut:?}");
        let whole = scale(values(), false, false);
        assert!(!whole.cut && whole.value(1.0) == 1e6, "{whole:?}");
    }

    #[test]
    fn a_loss_that_falls_and_a_spike_on_a_constant_line_are_shown_in_full() {
        let falling = scale((0..1000).map(|i| 2.3 * (-f64::from(i) / 60.0).exp() + 0.01), false, true);
        assert!(!falling.cut && falling.value(1.0) > 2.3, "{falling:?}");
        let spike = scale((0..1000).map(|i| f64::from(u8::from(i == 500))), false, true);
        assert!(!spike.cut && spike.value(1.0) == 1.0, "{spike:?}");
    }

    #[test]
    fn a_log_scale_leaves_out_what_has_no_logarithm() {
        let s = scale([100.0, 1.0, 0.0, -5.0, 0.01], true, false);
        assert!((s.value(0.0) - 0.01).abs() < 1e-12 && (s.value(1.0) - 100.0).abs() < 1e-9, "{s:?}");
        assert!((s.part(1.0) - 0.5).abs() < 1e-12 && s.part(0.0) < 0.0);
        let none = Series::from_points([(0.0, -1.0), (1.0, 0.0)]);
        assert_eq!(Scale::of([&none.columns(&[0.0, 1.0])[..]], true, true), None);
    }

    #[test]
    fn a_part_of_a_whole_has_no_more_than_all_on_its_scale() {
        let load = Some((0.0, 1.0));
        let full = scale([1.0, 1.0], false, true).within(load);
        assert_eq!((full.value(1.0), full.part(1.0)), (1.0, 1.0));
        assert_eq!(scale([0.0, 0.0], false, true).within(load).value(0.0), 0.0);
        assert_eq!(scale([0.2, 0.8], false, true).within(load), scale([0.2, 0.8], false, true));
        assert_eq!(scale([3.0, 3.0], false, true).within(load).part(3.0), 1.0, "what cannot be is shown all the same");
    }

    #[test]
    fn flat_and_huge_values_have_a_scale() {
        assert_eq!(scale([3.0, 3.0], false, true).part(3.0), 0.5);
        let huge = scale([-1e308, 1e308], false, false);
        assert_eq!((huge.part(-1e308), huge.part(1e308), huge.part(0.0)), (0.0, 1.0, 0.5));
    }
}
