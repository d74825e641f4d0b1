//! The Compare screen's state: which runs, what was read of them, and what of it is on view.

use super::compare::{Section, sections};
use crate::core::run::Comparison;
use crate::core::run::compare::{LineageDrift, MetricRow};

/// Runs side by side on the screen.
#[derive(Debug, Clone, Default)]
pub struct CompareView {
    /// The runs' ids, in the order of the columns.
    pub runs: Vec<String>,
    /// What was read of them; `None` before.
    pub comparison: Option<Comparison>,
    /// Why they cannot be read.
    pub problem: Option<String>,
    /// How far forks went from where they began, once that was asked for.
    pub drifts: Option<Vec<Result<LineageDrift, String>>>,
    /// Drift is being measured.
    pub measuring: bool,
    /// What is the same is shown too.
    pub all: bool,
    /// First line shown of the tables.
    pub scroll: usize,
    /// First run shown, where not all have room.
    pub shift: usize,
    /// The metric of the chart.
    pub metric: String,
    sections: Vec<Section>,
}

impl CompareView {
    /// For these runs; what was set for others stays.
    pub fn of(runs: Vec<String>, before: &Self) -> Self {
        let mut view = Self { all: before.all, metric: before.metric.clone(), ..Self::default() };
        if runs == before.runs {
            view.comparison.clone_from(&before.comparison);
            view.drifts.clone_from(&before.drifts);
        }
        view.runs = runs;
        view.arrange();
        view
    }

    /// The tables.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Lines of the tables with their headings.
    pub fn lines(&self) -> usize {
        self.sections.iter().map(|s| s.rows.len() + 1).sum()
    }

    /// The line of a table's heading; the first one where there is no such table.
    pub fn line_of(&self, title: &str) -> usize {
        let before = self.sections.iter().take_while(|s| s.title != title);
        if self.sections.iter().any(|s| s.title == title) { before.map(|s| s.rows.len() + 1).sum() } else { 0 }
    }

    /// Makes the tables anew, after anything of the above has changed.
    pub fn arrange(&mut self) {
        let none = Vec::new();
        self.sections = match &self.comparison {
            Some(of) => sections(of, self.drifts.as_ref().unwrap_or(&none), self.all),
            None => Vec::new(),
        };
        self.scroll = self.scroll.min(self.lines().saturating_sub(1));
        self.shift = self.shift.min(self.runs.len().saturating_sub(1));
        if let Some(of) = &self.comparison
            && !of.metrics.iter().any(|m| m.name == self.metric)
        {
            // One value is no curve: the next metric that has one is drawn then.
            let monitor = of.runs.first().map(|r| r.monitor.as_str());
            let curved = || of.metrics.iter().filter(|m| m.curves.iter().any(|c| c.len() > 1));
            let own = curved().find(|m| Some(m.name.as_str()) == monitor);
            let row = own.or_else(|| curved().next()).or_else(|| of.metrics.first());
            self.metric = row.map_or_else(String::new, |m| m.name.clone());
        }
    }

    /// What was read.
    pub fn take(&mut self, read: Result<Comparison, String>) {
        match read {
            Ok(comparison) => (self.comparison, self.problem) = (Some(comparison), None),
            Err(problem) => self.problem = Some(problem),
        }
        self.arrange();
    }

    /// The metric of the chart.
    pub fn chart(&self) -> Option<&MetricRow> {
        self.comparison.as_ref()?.metrics.iter().find(|m| m.name == self.metric)
    }

    /// Charts the metric `by` places further, round the end.
    pub fn next_metric(&mut self, by: isize) {
        let Some(of) = self.comparison.as_ref().filter(|c| !c.metrics.is_empty()) else { return };
        let at = of.metrics.iter().position(|m| m.name == self.metric).unwrap_or(0);
        let to = at.cast_signed().saturating_add(by).rem_euclid(of.metrics.len().cast_signed());
        if let Some(row) = of.metrics.get(to.unsigned_abs()) {
            self.metric.clone_from(&row.name);
        }
    }

    /// Whether one of the runs was live when they were read.
    pub fn is_live(&self) -> bool {
        self.comparison.iter().flat_map(|c| &c.runs).any(|r| r.status.is_live())
    }

    /// Whether one of the runs is a fork, so that there is a drift to measure.
    pub fn has_forks(&self) -> bool {
        self.comparison.iter().flat_map(|c| &c.runs).any(|r| r.lineage.forked_from.is_some())
    }
}
