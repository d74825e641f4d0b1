//! A series with minima and maxima over blocks of 2, 4, 8… points, kept up as points arrive, so that any zoom of 10^6
//! points costs a few look-ups a column.

use super::smooth::smoothed;

/// Smallest and largest value of one column of a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinMax {
    /// Smallest finite value.
    pub min: f64,
    /// Largest finite value.
    pub max: f64,
    /// Last finite value, where a line leaves the column.
    pub last: f64,
    /// First finite value, where a line enters the column.
    pub first: f64,
    /// Whether a value that is not finite (a gap) lies in the column.
    pub gap: bool,
}

/// What a block of points comes to; `None` inside where no point of it is finite.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    range: Option<(f64, f64, f64, f64)>,
    gap: bool,
}

const EMPTY: Block = Block { range: None, gap: false };

impl Block {
    fn of(value: f64) -> Self {
        let range = value.is_finite().then_some((value, value, value, value));
        Self { range, gap: range.is_none() }
    }
    /// `self` before `later`.
    fn then(self, later: Self) -> Self {
        let range = match (self.range, later.range) {
            (Some((a_min, a_max, first, _)), Some((b_min, b_max, _, last))) => {
                Some((a_min.min(b_min), a_max.max(b_max), first, last))
            }
            (a, b) => a.or(b),
        };
        Self { range, gap: self.gap || later.gap }
    }
    fn min_max(self) -> Option<MinMax> {
        self.range.map(|(min, max, first, last)| MinMax { min, max, first, last, gap: self.gap })
    }
}

/// One metric over the steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    steps: Vec<f64>,
    values: Vec<f64>,
    /// `levels[k][i]` covers the points from `i << (k + 1)`; complete blocks only.
    levels: Vec<Vec<Block>>,
}

impl Series {
    /// An empty series.
    pub fn new() -> Self {
        Self::default()
    }

    /// From steps in order and values.
    pub fn from_points(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut series = Self::default();
        points.into_iter().for_each(|(s, v)| series.push(s, v));
        series
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.values.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    /// The points in order.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.steps.iter().copied().zip(self.values.iter().copied())
    }
    /// The newest point.
    pub fn last(&self) -> Option<(f64, f64)> {
        Some((*self.steps.last()?, *self.values.last()?))
    }
    /// First and last step.
    pub fn span(&self) -> Option<(f64, f64)> {
        Some((*self.steps.first()?, *self.steps.last()?))
    }

    /// Appends a point; a value that is not finite is a gap. A step before the last one takes the later points back, as a
    /// resume does.
    pub fn push(&mut self, step: f64, value: f64) {
        if step.is_nan() {
            return;
        }
        if self.steps.last().is_some_and(|last| step < *last) {
            self.truncate_after(step);
        }
        self.steps.push(step);
        self.values.push(value);
        let n = self.values.len();
        let mut level = 0;
        // The new point completes a block on each level whose block size divides the count.
        while n.is_multiple_of(2 << level) {
            let at = (n >> (level + 1)) - 1;
            let block = self.block(level, 2 * at).then(self.block(level, 2 * at + 1));
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(block);
            level += 1;
        }
    }

    /// Takes back all points after a step.
    pub fn truncate_after(&mut self, step: f64) {
        let keep = self.steps.partition_point(|s| *s <= step);
        self.steps.truncate(keep);
        self.values.truncate(keep);
        for (k, level) in self.levels.iter_mut().enumerate() {
            level.truncate(keep >> (k + 1));
        }
    }

    /// Block `i` of size `1 << level`.
    fn block(&self, level: usize, i: usize) -> Block {
        if level == 0 { self.values.get(i).map_or(EMPTY, |v| Block::of(*v)) } else { self.levels[level - 1][i] }
    }

    /// Points `from..to`, taken together from the largest blocks that fit.
    fn range(&self, mut from: usize, to: usize) -> Block {
        let mut all = EMPTY;
        while from < to {
            let aligned = if from == 0 { usize::BITS } else { from.trailing_zeros() };
            let level = aligned.min((to - from).ilog2()) as usize;
            all = all.then(self.block(level, from >> level));
            from += 1 << level;
        }
        all
    }

    /// Minimum and maximum of each of `width` columns between the steps `x0` and `x1` (both included); `None` where a
    /// column has no finite point.
    pub fn columns(&self, x0: f64, x1: f64, width: usize) -> Vec<Option<MinMax>> {
        if width == 0 || x1.is_nan() || x0.is_nan() || x1 < x0 {
            return vec![None; width];
        }
        let edge = |c: usize| x0 + (x1 - x0) * c as f64 / width as f64;
        let mut from = self.steps.partition_point(|s| *s < x0);
        (1..=width)
            .map(|c| {
                // The last column includes its right edge.
                let rest = &self.steps[from..];
                let n = if c == width {
                    rest.partition_point(|s| *s <= x1)
                } else {
                    rest.partition_point(|s| *s < edge(c))
                };
                let column = self.range(from, from + n);
                from += n;
                column.min_max()
            })
            .collect()
    }

    /// Smallest and largest finite value between two steps.
    pub fn extent(&self, x0: f64, x1: f64) -> Option<(f64, f64)> {
        self.columns(x0, x1, 1).first().copied().flatten().map(|m| (m.min, m.max))
    }

    /// The value at the step that is nearest.
    pub fn nearest(&self, step: f64) -> Option<(f64, f64)> {
        let after = self.steps.partition_point(|s| *s < step);
        let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
        near.filter_map(|i| Some((*self.steps.get(i)?, *self.values.get(i)?)))
            .min_by(|a, b| (a.0 - step).abs().total_cmp(&(b.0 - step).abs()))
    }

    /// The series smoothed over its whole length (see [`smoothed`]).
    pub fn smoothed(&self, weight: f64) -> Self {
        Self::from_points(self.steps.iter().copied().zip(smoothed(&self.values, weight)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(points: &[(f64, f64)], x0: f64, x1: f64, width: usize) -> Vec<Option<(f64, f64)>> {
        (0..width)
            .map(|c| {
                let edge = |c: usize| x0 + (x1 - x0) * c as f64 / width as f64;
                let inside = |s: f64| s >= edge(c) && if c + 1 == width { s <= x1 } else { s < edge(c + 1) };
                let values = points.iter().filter(|(s, v)| inside(*s) && v.is_finite()).map(|(_, v)| *v);
                values.fold(None, |m, v| Some(m.map_or((v, v), |(a, b): (f64, f64)| (a.min(v), b.max(v)))))
            })
            .collect()
    }

    #[test]
    fn a_spike_among_a_million_points_is_never_lost() {
        let mut s = Series::from_points((0..1_000_000).map(|i| (f64::from(i), 0.0)));
        s.push(1_000_000.0, 0.0);
        let mut spiky = s.clone();
        spiky.truncate_after(777_776.0);
        spiky.push(777_777.0, 9.0);
        (777_778..=1_000_000).for_each(|i| spiky.push(f64::from(i), 0.0));
        let columns = spiky.columns(0.0, 1_000_000.0, 80);
        assert_eq!(columns.iter().flatten().filter(|m| m.max == 9.0).count(), 1);
        assert_eq!(s.columns(0.0, 1_000_000.0, 80).iter().flatten().filter(|m| m.max == 9.0).count(), 0);
    }

    #[test]
    fn gaps_are_marked_and_do_not_count() {
        let s = Series::from_points([(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]);
        let all = s.columns(0.0, 2.0, 1)[0].unwrap();
        assert_eq!((all.min, all.max, all.first, all.last, all.gap), (1.0, 3.0, 1.0, 3.0, true));
        assert_eq!(s.columns(0.9, 1.1, 1), [None]);
        assert_eq!(s.extent(0.0, 2.0), Some((1.0, 3.0)));
    }

    #[test]
    fn empty_and_senseless_ranges_give_empty_columns() {
        let s = Series::from_points([(1.0, 1.0)]);
        assert_eq!(s.columns(2.0, 1.0, 3), [None; 3]);
        assert_eq!(s.columns(f64::NAN, 1.0, 2), [None; 2]);
        assert!(s.columns(0.0, 1.0, 0).is_empty());
        assert!(s.columns(1.0, 1.0, 4).last().unwrap().is_some(), "one step fills a chart of no width");
        assert_eq!(Series::new().columns(0.0, 1.0, 2), [None; 2]);
    }

    proptest! {
        #[test]
        fn columns_equal_a_plain_scan_also_after_taking_points_back(
            values in prop::collection::vec(prop_oneof![4 => -5.0..5.0f64, 1 => Just(f64::NAN)], 0..200),
            back in 0..200u32,
            (a, b) in (0..210u32, 0..210u32),
            width in 1..20usize,
        ) {
            let mut s = Series::new();
            let mut points: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
            points.iter().for_each(|(x, v)| s.push(*x, *v));
            if (back as usize) < points.len() {
                points.truncate(back as usize);
                points.push((f64::from(back) - 0.5, 7.0));
                s.push(f64::from(back) - 0.5, 7.0);
            }
            let (x0, x1) = (f64::from(a.min(b)), f64::from(a.max(b)));
            let got: Vec<_> = s.columns(x0, x1, width).into_iter().map(|m| m.map(|m| (m.min, m.max))).collect();
            prop_assert_eq!(got, plain(&points, x0, x1, width));
        }
    }
}
