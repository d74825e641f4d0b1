//! One metric over the steps, as measured and smoothed.

use super::pyramid::{Column, Pyramid};
use super::smooth::Smoother;

/// Points that are kept at most. A series that grows beyond keeps, of each group of points, the smallest and the
/// largest (and a gap), so that no spike is lost; it takes 20 MB at most, and as much again where it is smoothed.
const MOST: usize = 1 << 20;

/// One metric over the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    steps: Vec<f64>,
    raw: Pyramid,
    smooth: Option<Smooth>,
    most: usize,
    /// Points that came in for each one that is kept.
    stride: usize,
    /// Where the group begins that is being gathered, and how many points of it came in.
    group: (usize, usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Smooth {
    weight: f64,
    smoother: Smoother,
    curve: Pyramid,
}

impl Smooth {
    fn of(weight: f64, values: &[f64]) -> Self {
        let mut smooth = Self { weight, smoother: Smoother::new(weight), curve: Pyramid::default() };
        values.iter().for_each(|v| smooth.push(*v));
        smooth
    }
    fn push(&mut self, value: f64) {
        self.curve.push(self.smoother.push(value));
    }
}

/// A point near a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its step.
    pub step: f64,
    /// As it was measured.
    pub value: f64,
    /// Smoothed; the same as `value` without smoothing.
    pub smooth: f64,
}

impl Default for Series {
    fn default() -> Self {
        Self::keeping(MOST)
    }
}

impl Series {
    /// An empty series.
    pub fn new() -> Self {
        Self::default()
    }

    fn keeping(most: usize) -> Self {
        Self { steps: Vec::new(), raw: Pyramid::default(), smooth: None, most, stride: 1, group: (0, 0) }
    }

    /// From steps in order and values.
    pub fn from_points(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut series = Self::default();
        points.into_iter().for_each(|(s, v)| series.push(s, v));
        series
    }

    /// Number of points that are kept.
    pub fn len(&self) -> usize {
        self.steps.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
    /// The points in order.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.steps.iter().copied().zip(self.raw.values().iter().copied())
    }
    /// The newest point.
    pub fn last(&self) -> Option<(f64, f64)> {
        Some((*self.steps.last()?, *self.raw.values().last()?))
    }
    /// First and last step.
    pub fn span(&self) -> Option<(f64, f64)> {
        Some((*self.steps.first()?, *self.steps.last()?))
    }
    /// The first point with the smallest value, or the largest.
    pub fn extreme(&self, largest: bool) -> Option<(f64, f64)> {
        let at = self.raw.extreme(largest)?;
        Some((*self.steps.get(at)?, *self.raw.values().get(at)?))
    }

    /// Appends a point; a value that is not finite is a gap. A step before the last one takes the later points back, as a
    /// resume does.
    pub fn push(&mut self, step: f64, value: f64) {
        if step.is_nan() {
            return;
        }
        if self.steps.last().is_some_and(|last| step < *last) {
            // The point of this very step is measured anew, too.
            self.cut(self.steps.partition_point(|s| *s < step));
        }
        if self.stride > 1 {
            // A group is thinned when the next one begins, so that the newest point is always there.
            if self.group.1 >= self.stride.saturating_mul(2) {
                let kept = extremes(self.raw.values(), self.group.0, self.len());
                self.keep(self.group.0, &kept);
                self.group = (self.len(), 0);
            }
            self.group.1 += 1;
        }
        self.steps.push(step);
        self.raw.push(value);
        if let Some(smooth) = &mut self.smooth {
            smooth.push(value);
        }
        if self.len() >= self.most {
            let newest = self.len() - 1;
            let mut kept = Vec::with_capacity(self.len() / 2 + 2);
            (0..newest).step_by(4).for_each(|at| kept.extend(extremes(self.raw.values(), at, (at + 4).min(newest))));
            kept.push(newest);
            self.keep(0, &kept);
            self.stride = self.stride.saturating_mul(2);
            self.group = (self.len(), 0);
        }
    }

    /// Keeps of the points from `from` on only these.
    fn keep(&mut self, from: usize, kept: &[usize]) {
        let thin = |pyramid: &mut Pyramid| {
            let values: Vec<f64> = kept.iter().map(|i| pyramid.values()[*i]).collect();
            pyramid.truncate(from);
            values.into_iter().for_each(|v| pyramid.push(v));
        };
        thin(&mut self.raw);
        if let Some(smooth) = &mut self.smooth {
            thin(&mut smooth.curve);
        }
        let steps: Vec<f64> = kept.iter().map(|i| self.steps[*i]).collect();
        self.steps.truncate(from);
        self.steps.extend(steps);
    }

    /// Takes back all points after a step.
    pub fn truncate_after(&mut self, step: f64) {
        self.cut(self.steps.partition_point(|s| *s <= step));
    }

    fn cut(&mut self, keep: usize) {
        if keep == self.len() {
            return;
        }
        self.steps.truncate(keep);
        self.raw.truncate(keep);
        if let Some(weight) = self.smooth.as_ref().map(|s| s.weight) {
            self.smooth = Some(Smooth::of(weight, self.raw.values()));
        }
        if keep <= self.group.0 {
            self.group = (keep, 0);
        }
    }

    /// Smooths the whole series (see [`Smoother`]), and each point that comes in from now on; 0 for not at all.
    pub fn set_smoothing(&mut self, weight: f64) {
        if weight <= 0.0 {
            self.smooth = None;
        } else if self.smooth.as_ref().is_none_or(|s| s.weight != weight) {
            self.smooth = Some(Smooth::of(weight, self.raw.values()));
        }
    }

    /// Whether there is a smoothed curve.
    pub fn is_smoothed(&self) -> bool {
        self.smooth.is_some()
    }

    fn smooth(&self) -> &Pyramid {
        self.smooth.as_ref().map_or(&self.raw, |s| &s.curve)
    }

    /// What lies between each two of these steps, as it was measured. The last column includes its right edge.
    pub fn columns(&self, edges: &[f64]) -> Vec<Column> {
        self.columns_of(&self.raw, edges)
    }

    /// The same of the smoothed curve, where there is one.
    pub fn smooth_columns(&self, edges: &[f64]) -> Vec<Column> {
        self.columns_of(self.smooth(), edges)
    }

    fn columns_of(&self, values: &Pyramid, edges: &[f64]) -> Vec<Column> {
        let Some(first) = edges.first() else { return Vec::new() };
        let mut from = self.steps.partition_point(|s| s < first);
        let last = edges.len() - 1;
        (1..=last)
            .map(|c| {
                let (rest, edge) = (&self.steps[from..], edges[c]);
                let n = rest.partition_point(|s| if c == last { *s <= edge } else { *s < edge });
                let column = values.range(from, from + n);
                from += n;
                column
            })
            .collect()
    }

    /// The point at the step that is nearest.
    pub fn nearest(&self, step: f64) -> Option<Point> {
        let after = self.steps.partition_point(|s| *s < step);
        let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
        near.filter_map(|i| self.point(i)).min_by(|a, b| (a.step - step).abs().total_cmp(&(b.step - step).abs()))
    }

    /// The first step after this one that has a point, or the last one before it.
    pub fn neighbour(&self, step: f64, after: bool) -> Option<f64> {
        let at = if after {
            self.steps.partition_point(|s| *s <= step)
        } else {
            self.steps.partition_point(|s| *s < step).checked_sub(1)?
        };
        self.steps.get(at).copied()
    }

    fn point(&self, at: usize) -> Option<Point> {
        let (value, smooth) = (*self.raw.values().get(at)?, *self.smooth().values().get(at)?);
        Some(Point { step: *self.steps.get(at)?, value, smooth })
    }
}

/// Of the values `from..to`: places of the smallest, the largest, and a gap, in order.
fn extremes(values: &[f64], from: usize, to: usize) -> Vec<usize> {
    let finite = || (from..to).filter(|i| values[*i].is_finite());
    let low = finite().min_by(|a, b| values[*a].total_cmp(&values[*b]));
    let high = finite().max_by(|a, b| values[*a].total_cmp(&values[*b]));
    let gap = (from..to).find(|i| !values[*i].is_finite());
    let mut kept: Vec<usize> = [low, high, gap].into_iter().flatten().collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests;
