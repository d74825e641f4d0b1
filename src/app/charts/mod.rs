//! What the user did with the charts: which ones, where the focus is, zoom, cursor, smoothing, scales.
//!
//! Pure state; `update/charts.rs` changes it by the user's keys, the Train screen draws by it. It outlives the run on
//! view, so that the next one is looked at in the same way.

mod catalog;
mod grid;
mod layout;
mod window;

use std::collections::{BTreeMap, BTreeSet};

pub use catalog::{Chart, charts};
pub use grid::Grid;
pub use layout::Layout;
pub use window::Window;

use super::run_view::RunView;

/// What stands below the curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Axis {
    /// Optimizer steps.
    #[default]
    Step,
    /// Epochs, where it is known how many steps one has.
    Epoch,
    /// Seconds that the run was running.
    Time,
}

impl Axis {
    /// The next one, round the end.
    pub fn next(self) -> Self {
        match self {
            Self::Step => Self::Epoch,
            Self::Epoch => Self::Time,
            Self::Time => Self::Step,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Time => "time",
        }
    }

    /// Where a step of a run lies on it.
    pub fn of_step(self, run: &RunView, step: f64) -> f64 {
        match self {
            Self::Step => step,
            Self::Epoch => step / run.steps_per_epoch.max(1) as f64,
            Self::Time => run.clock.seconds(step),
        }
    }

    /// The step of a run that lies there.
    pub fn step(self, run: &RunView, at: f64) -> f64 {
        match self {
            Self::Step => at,
            Self::Epoch => at * run.steps_per_epoch.max(1) as f64,
            Self::Time => run.clock.step(at),
        }
    }
}

/// Weights of the smoothing, from none to strong.
pub const SMOOTHING: [f64; 8] = [0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99];

/// What is looked at of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// Zoom and pan.
    pub window: Window,
    /// The step under the cursor, where there is one.
    pub cursor: Option<f64>,
}

/// The mouse's button is held down on a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Drag {
    /// Which.
    pub chart: String,
    /// Cells from its left edge where it went down and where it is.
    pub cells: (u16, u16),
    /// The steps there.
    pub steps: (f64, f64),
}

impl Drag {
    /// First and last step.
    pub fn range(&self) -> (f64, f64) {
        (self.steps.0.min(self.steps.1), self.steps.0.max(self.steps.1))
    }
}

/// The state of the charts.
#[derive(Debug, Clone, Default)]
pub struct Charts {
    /// Charts that were added or removed by hand.
    chosen: BTreeMap<String, bool>,
    /// Name of the chart that has the focus; the first one when `None` or not there.
    focus: Option<String>,
    /// The chart with the focus has the whole screen.
    pub full: bool,
    /// Zoom, pan and cursor are those of one chart alone.
    pub alone: bool,
    shared: Look,
    own: BTreeMap<String, Look>,
    /// Place in [`SMOOTHING`].
    smoothing: usize,
    /// Charts with a log scale.
    log: BTreeSet<String>,
    /// Charts that show outliers in full.
    outliers: BTreeSet<String>,
    /// What stands below the curves.
    pub axis: Axis,
    /// What the mouse drags over.
    pub drag: Option<Drag>,
    /// Other runs whose curves are drawn too, oldest choice first.
    pub overlaid: Vec<RunView>,
}

impl Charts {
    /// Every chart of a run, and of those laid over it.
    pub fn all(&self, run: &RunView) -> Vec<Chart> {
        let runs = std::iter::once(run).chain(&self.overlaid);
        let names: BTreeSet<&str> = runs.flat_map(|r| r.series.keys().map(String::as_str)).collect();
        charts(names)
    }

    /// Whether a chart is shown.
    pub fn shows(&self, chart: &Chart) -> bool {
        self.chosen.get(&chart.name).copied().unwrap_or(chart.usual)
    }

    /// The charts that are shown; where nothing is measured yet, the one of the loss.
    pub fn shown(&self, run: &RunView) -> Vec<Chart> {
        let all = self.all(run);
        if all.is_empty() {
            return vec![Chart { name: "loss".to_owned(), metrics: Vec::new(), usual: true }];
        }
        all.into_iter().filter(|c| self.shows(c)).collect()
    }

    /// Adds a chart or removes it.
    pub fn toggle(&mut self, chart: &Chart) {
        let shown = self.shows(chart);
        self.chosen.insert(chart.name.clone(), !shown);
    }

    /// Which of the shown charts has the focus.
    pub fn focus(&self, shown: &[Chart]) -> usize {
        shown.iter().position(|c| Some(&c.name) == self.focus.as_ref()).unwrap_or(0)
    }

    /// Cells of the room for charts on a screen of this size.
    pub fn room(&self, (width, height): (u16, u16)) -> (u16, u16) {
        (width.saturating_sub(2), Layout::of(Layout::body(height), self.full).charts)
    }

    /// How the charts that are shown stand on a screen of this size.
    pub fn grid(&self, shown: usize, size: (u16, u16)) -> Grid {
        let (width, height) = self.room(size);
        Grid::of(if self.full { 1 } else { shown }, width, height)
    }

    /// Gives a chart the focus.
    pub fn focus_on(&mut self, chart: &str) {
        self.focus = Some(chart.to_owned());
    }

    /// Zoom and cursor of a chart.
    pub fn look(&self, chart: &str) -> Look {
        if self.alone { self.own.get(chart).copied().unwrap_or(self.shared) } else { self.shared }
    }

    /// The same, to change.
    pub fn look_mut(&mut self, chart: &str) -> &mut Look {
        if self.alone { self.own.entry(chart.to_owned()).or_insert(self.shared) } else { &mut self.shared }
    }

    /// Zoom, pan and cursor of all charts in step, or of each one alone. What the chart with the focus shows is then
    /// what all show.
    pub fn toggle_alone(&mut self, focus: &str) {
        self.shared = self.look(focus);
        self.own.clear();
        self.alone = !self.alone;
    }

    /// Everything again, without a cursor.
    pub fn reset(&mut self) {
        self.shared = Look::default();
        self.own.clear();
    }

    /// Weight of the smoothing, 0 for none.
    pub fn weight(&self) -> f64 {
        SMOOTHING.get(self.smoothing).copied().unwrap_or(0.0)
    }

    /// One place less or more smoothing.
    pub fn change_smoothing(&mut self, by: isize) {
        self.smoothing = self.smoothing.saturating_add_signed(by).min(SMOOTHING.len() - 1);
        let weight = self.weight();
        self.overlaid.iter_mut().for_each(|run| run.smooth(weight));
    }

    /// Whether a chart has a log scale.
    pub fn is_log(&self, chart: &str) -> bool {
        self.log.contains(chart)
    }

    /// Whether a chart's range leaves outliers out.
    pub fn cuts_outliers(&self, chart: &str) -> bool {
        !self.outliers.contains(chart)
    }

    /// Linear or log.
    pub fn toggle_log(&mut self, chart: &str) {
        toggle(&mut self.log, chart);
    }

    /// Outliers in full, or left out of the range.
    pub fn toggle_outliers(&mut self, chart: &str) {
        toggle(&mut self.outliers, chart);
    }

    /// First and last step there is, of the run on view and those laid over it, in its own steps.
    pub fn span(&self, run: &RunView) -> Option<(f64, f64)> {
        let others = self.overlaid.iter().filter_map(|other| {
            let (from, to) = other.span()?;
            let mine = |step| self.axis.step(run, self.axis.of_step(other, step));
            Some((mine(from), mine(to)))
        });
        let all = run.span().into_iter().chain(others);
        all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).filter(|(a, b)| a.is_finite() && b.is_finite())
    }
}

fn toggle(set: &mut BTreeSet<String>, name: &str) {
    if !set.remove(name) {
        set.insert(name.to_owned());
    }
}
