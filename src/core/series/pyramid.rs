//! Values with minima and maxima over blocks of 32, 64, 128… of them, kept up as values arrive, so that any part of 10^6
//! of them costs a few look-ups.

/// Smallest and largest value of one column of a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinMax {
    /// Smallest finite value.
    pub min: f64,
    /// Largest finite value.
    pub max: f64,
    /// Smallest value above zero, for a log scale; infinite where there is none.
    pub positive: f64,
    /// First finite value, where a line enters the column.
    pub first: f64,
    /// Last finite value, where a line leaves the column.
    pub last: f64,
}

/// What lies in one column of a chart, or comes to in a block of values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Column {
    /// The finite values; `None` where there is none.
    pub range: Option<MinMax>,
    /// Whether a value that is not finite (a gap) lies in it.
    pub gap: bool,
}

impl Column {
    fn of(value: f64) -> Self {
        if !value.is_finite() {
            return Self { range: None, gap: true };
        }
        let positive = if value > 0.0 { value } else { f64::INFINITY };
        Self { range: Some(MinMax { min: value, max: value, positive, first: value, last: value }), gap: false }
    }

    /// `self` before `later`.
    fn then(self, later: Self) -> Self {
        let range = match (self.range, later.range) {
            (Some(a), Some(b)) => Some(MinMax {
                min: a.min.min(b.min),
                max: a.max.max(b.max),
                positive: a.positive.min(b.positive),
                first: a.first,
                last: b.last,
            }),
            (a, b) => a.or(b),
        };
        Self { range, gap: self.gap || later.gap }
    }
}

/// Values of the smallest block.
const BASE: usize = 32;

/// Values and what blocks of them come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pyramid {
    values: Vec<f64>,
    /// `levels[k][i]` covers the values from `i * (BASE << k)`; complete blocks only.
    levels: Vec<Vec<Column>>,
}

impl Pyramid {
    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Appends a value.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
        if !self.values.len().is_multiple_of(BASE) {
            return;
        }
        let from = self.values.len() - BASE;
        let mut block = self.values[from..].iter().map(|v| Column::of(*v)).fold(Column::default(), Column::then);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let blocks = &mut self.levels[level];
            blocks.push(block);
            // Two blocks make one of the next level.
            if !blocks.len().is_multiple_of(2) {
                break;
            }
            block = blocks[blocks.len() - 2].then(block);
        }
    }

    /// Takes back all values from this one on.
    pub fn truncate(&mut self, keep: usize) {
        self.values.truncate(keep);
        for (k, level) in self.levels.iter_mut().enumerate() {
            level.truncate(keep / (BASE << k));
        }
    }

    /// Values `from..to`, taken together from the largest blocks that fit.
    pub fn range(&self, mut from: usize, to: usize) -> Column {
        let to = to.min(self.values.len());
        let mut all = Column::default();
        while from < to {
            if !from.is_multiple_of(BASE) || to - from < BASE {
                all = all.then(Column::of(self.values[from]));
                from += 1;
                continue;
            }
            let block = from / BASE;
            let aligned = if block == 0 { usize::BITS } else { block.trailing_zeros() };
            let level = aligned.min(((to - from) / BASE).ilog2()) as usize;
            all = all.then(self.levels[level][block >> level]);
            from += BASE << level;
        }
        all
    }

    /// Place of the first value that is the smallest, or the largest.
    pub fn extreme(&self, largest: bool) -> Option<usize> {
        let of = |c: Column| c.range.map(|r| if largest { r.max } else { r.min });
        let (mut from, mut to) = (0, self.values.len());
        let wanted = of(self.range(from, to))?;
        while to - from > 1 {
            let middle = from + (to - from) / 2;
            if of(self.range(from, middle)) == Some(wanted) { to = middle } else { from = middle }
        }
        Some(from)
    }
}

impl FromIterator<f64> for Pyramid {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        let mut pyramid = Self::default();
        values.into_iter().for_each(|v| pyramid.push(v));
        pyramid
    }
}
