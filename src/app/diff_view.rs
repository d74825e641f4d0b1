//! Two checkpoints side by side: how far each layer, or each tensor, moved from one to the other.

use crate::core::checkpoint::diff::{Change, Drift, ModuleDrift, TensorDrift};

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its run.
    pub run: String,
    /// The run's name.
    pub run_name: String,
    /// Its folder name.
    pub name: String,
    /// Its step.
    pub step: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Path of the layer, or name of the tensor; empty for the whole.
    pub path: String,
    /// How deep it is set in.
    pub depth: usize,
    /// Whether every bit is the same.
    pub equal: bool,
    /// What happened, in words.
    pub words: String,
    /// As [`TensorDrift::relative_l2`].
    pub relative: Option<f64>,
    /// As [`TensorDrift::max_abs`].
    pub largest: Option<f64>,
}

/// The comparison on top of the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffView {
    /// The first; what is relative is so to it.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// What differs, or why it cannot be told; `None` while it is read.
    pub drift: Option<Result<Box<Drift>, String>>,
    /// Tensors, not layers.
    pub tensors: bool,
    /// What moved alone.
    pub moved: bool,
    /// The largest drift first, not the model's order.
    pub sorted: bool,
    /// The line under the cursor.
    pub cursor: usize,
    rows: Vec<Row>,
}

impl DiffView {
    /// Before anything is read.
    pub fn new(before: Side, after: Side) -> Self {
        let (tensors, moved, sorted) = (false, false, false);
        Self { before, after, drift: None, tensors, moved, sorted, cursor: 0, rows: Vec::new() }
    }

    /// The lines.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What differs is known, or why not.
    pub fn take(&mut self, drift: Result<Box<Drift>, String>) {
        self.drift = Some(drift);
        self.arrange();
    }

    /// Changes what is listed; the cursor stays on its line where that is still there.
    pub fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let here = self.rows.get(self.cursor).map(|row| row.path.clone());
        change(self);
        self.arrange();
        let at = here.and_then(|path| self.rows.iter().position(|row| row.path == path));
        self.cursor = at.unwrap_or(0);
    }

    /// Tensors that are the same bit by bit, and all of them.
    pub fn equal(&self) -> (usize, usize) {
        let drift = self.drift.as_ref().and_then(|d| d.as_ref().ok());
        drift.map_or((0, 0), |d| (d.tensors.iter().filter(|t| t.bit_equal).count(), d.tensors.len()))
    }

    /// The largest drift of a line but the whole.
    pub fn most(&self) -> f64 {
        self.rows.iter().filter(|r| !r.path.is_empty()).filter_map(|r| r.relative).fold(0.0, f64::max)
    }

    fn arrange(&mut self) {
        let Some(Ok(drift)) = &self.drift else { return };
        let mut rows: Vec<Row> = match self.tensors {
            true => drift.tensors.iter().map(of_tensor).collect(),
            false => drift.modules.iter().map(of_module).collect(),
        };
        rows.retain(|row| !self.moved || !row.equal);
        if self.sorted {
            let key = |row: &Row| row.relative.unwrap_or(if row.equal { 0.0 } else { f64::INFINITY });
            rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
            rows.iter_mut().for_each(|row| row.depth = 0);
        }
        self.rows = rows;
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
    }
}

fn of_tensor(t: &TensorDrift) -> Row {
    Row {
        path: t.name.clone(),
        depth: 0,
        equal: t.bit_equal,
        words: word(t.change).to_owned(),
        relative: t.relative_l2,
        largest: t.max_abs,
    }
}

fn of_module(m: &ModuleDrift) -> Row {
    let equal = m.bit_equal == m.tensors;
    let words = match equal {
        true => word(Change::Equal).to_owned(),
        false => format!("{} of {} moved", m.tensors - m.bit_equal, m.tensors),
    };
    let depth = if m.path.is_empty() { 0 } else { m.path.split('.').count() };
    Row { path: m.path.clone(), depth, equal, words, relative: m.relative_l2, largest: m.max_abs }
}

/// What happened to a tensor, in a word.
pub fn word(change: Change) -> &'static str {
    match change {
        Change::Equal => "bit-equal",
        Change::Changed => "moved",
        Change::Retyped => "another type",
        Change::Reshaped => "another shape",
        Change::Removed => "only in the first",
        Change::Added => "only in the second",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    fn paths(view: &DiffView) -> Vec<&str> {
        view.rows().iter().map(|r| r.path.as_str()).collect()
    }

    #[test]
    fn layers_and_tensors_are_listed_in_the_models_order_or_by_drift() {
        let mut view = sample::diff();
        view.take(Ok(Box::new(sample::drift())));
        assert_eq!(paths(&view), ["", "conv1", "layer1", "layer1.0", "layer1.0.conv1", "fc"]);
        assert_eq!(view.rows()[3].depth, 2);
        view.cursor = 5;
        view.change(|v| v.moved = true);
        assert_eq!((paths(&view), view.cursor), (vec!["", "layer1", "layer1.0", "layer1.0.conv1", "fc"], 4));
        view.change(|v| (v.sorted, v.tensors) = (true, true));
        assert_eq!(paths(&view), ["fc.new", "fc.weight", "layer1.0.conv1.weight", "fc.bias"]);
        assert_eq!(view.equal(), (1, 5));
        view.change(|v| v.moved = false);
        assert_eq!(paths(&view).last(), Some(&"conv1.weight"));
    }
}
