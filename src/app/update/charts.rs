//! The charts: which ones, zoom, pan, cursor, scales, other runs over this one.

use crate::app::action::Action;
use crate::app::charts::{Axis, Chart};
use crate::app::effect::Effect;
use crate::app::message::OpenedRun;
use crate::app::model::Model;
use crate::app::overlay::Overlay;
use crate::app::run_view::{Level, RunView};
use crate::core::run::RunSummary;

/// Runs drawn over the one on view at most: more are a tangle, and each takes memory.
const OVERLAID: usize = 4;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some((shown, focus)) = charts(model) else { return Vec::new() };
    let name = shown.get(focus).map(|c| c.name.clone()).unwrap_or_default();
    match action {
        Action::ChartLeft => step(model, -1),
        Action::ChartRight => step(model, 1),
        Action::ZoomIn => window(model, &name, |look, span| look.window.zoom_in(span, look.cursor)),
        Action::ZoomOut => window(model, &name, |look, span| look.window.zoom_out(span, look.cursor)),
        Action::PanLeft => window(model, &name, |look, span| look.window.pan(span, -1.0)),
        Action::PanRight => window(model, &name, |look, span| look.window.pan(span, 1.0)),
        Action::ResetCharts => model.charts.reset(),
        Action::FullScreen => model.charts.full = !model.charts.full,
        Action::ChartCursor => window(model, &name, |look, span| {
            look.cursor = if look.cursor.is_some() { None } else { Some(look.window.over(span).1) };
        }),
        Action::ChartAlone => {
            model.charts.toggle_alone(&name);
            let said = if model.charts.alone { "each chart is zoomed alone" } else { "all charts are zoomed in step" };
            model.say(Level::Info, said);
        }
        Action::SmoothMore => smooth(model, 1),
        Action::SmoothLess => smooth(model, -1),
        Action::LogScale => model.charts.toggle_log(&name),
        Action::Outliers => model.charts.toggle_outliers(&name),
        Action::XAxis => next_axis(model),
        Action::ChooseCharts => model.overlays.push(Overlay::ChooseCharts { cursor: 0 }),
        Action::OverlayRuns => model.overlays.push(Overlay::OverlayRuns { cursor: 0 }),
        _ => {}
    }
    Vec::new()
}

/// The charts that are shown, and which of them has the focus.
fn charts(model: &Model) -> Option<(Vec<Chart>, usize)> {
    let shown = model.charts.shown(model.shown()?);
    let focus = model.charts.focus(&shown);
    Some((shown, focus))
}

fn window(model: &mut Model, chart: &str, change: impl FnOnce(&mut crate::app::charts::Look, (f64, f64))) {
    let Some(span) = model.shown().and_then(|run| model.charts.span(run)) else { return };
    change(model.charts.look_mut(chart), span);
}

fn next_axis(model: &mut Model) {
    let known = model.shown().is_some_and(|run| run.steps_per_epoch > 0);
    let next = model.charts.axis.next();
    model.charts.axis = if next == Axis::Epoch && !known { next.next() } else { next };
}

fn smooth(model: &mut Model, by: isize) {
    model.charts.change_smoothing(by);
    let weight = model.charts.weight();
    model.views.iter_mut().for_each(|view| view.smooth(weight));
}

/// Left or right: moves the cursor where there is one, else the focus.
fn step(model: &mut Model, by: isize) {
    let Some((shown, focus)) = charts(model) else { return };
    let Some(chart) = shown.get(focus) else { return };
    match model.charts.look(&chart.name).cursor {
        Some(cursor) => move_cursor(model, chart, cursor, by),
        None => focus_on(model, &shown, focus.saturating_add_signed(by)),
    }
}

fn focus_on(model: &mut Model, shown: &[Chart], at: usize) {
    if let Some(chart) = shown.get(at.min(shown.len().saturating_sub(1))) {
        model.charts.focus_on(&chart.name);
    }
}

/// By a cell, and at least to the next point; the window moves along.
fn move_cursor(model: &mut Model, chart: &Chart, cursor: f64, by: isize) {
    let Some(run) = model.shown() else { return };
    let Some(span) = model.charts.span(run) else { return };
    let window = model.charts.look(&chart.name).window;
    let (from, to) = window.over(span);
    let (width, _) = model.charts.room(model.size);
    let grid = model.charts.grid(model.charts.shown(run).len(), model.size);
    let cells = (usize::from(width) / grid.columns).saturating_sub(10).max(10);
    let aim = (cursor + by as f64 * (to - from) / cells as f64).clamp(span.0, span.1);
    // The densest curve says where points are.
    let densest = chart.metrics.iter().filter_map(|m| run.series.get(m)).max_by_key(|s| s.len());
    let moved = densest.and_then(|series| {
        let near = series.nearest(aim)?.step;
        let ahead = if by > 0 { near > cursor } else { near < cursor };
        if ahead { Some(near) } else { series.neighbour(cursor, by > 0) }
    });
    let Some(moved) = moved else { return };
    let look = model.charts.look_mut(&chart.name);
    look.cursor = Some(moved);
    look.window.reveal(span, moved);
}

/// A click on a chart's heading: it has the focus; on the one that has it, the whole screen or not.
pub(super) fn click(model: &mut Model, chart: usize) -> Vec<Effect> {
    let Some((shown, focus)) = charts(model) else { return Vec::new() };
    if focus == chart {
        return act(model, Action::FullScreen);
    }
    focus_on(model, &shown, chart);
    Vec::new()
}

/// Up, down, pages, first and last: rows of charts; lines where the cursor keys do not move the focus.
pub(super) fn go(model: &mut Model, by: isize) {
    let Some((shown, focus)) = charts(model) else { return };
    let grid = model.charts.grid(shown.len(), model.size);
    let page = isize::try_from(grid.page()).unwrap_or(1);
    let row = isize::try_from(grid.columns).unwrap_or(1);
    let to = match by {
        -1 | 1 => focus.checked_add_signed(by * row).unwrap_or(focus),
        _ if by.unsigned_abs() > usize::MAX / 8 => focus.saturating_add_signed(by),
        _ => focus.saturating_add_signed(by.signum() * page),
    };
    // From a row that is full to one that is not.
    focus_on(model, &shown, to);
}

/// Esc: the cursor goes first, then the full screen.
pub(super) fn back(model: &mut Model) -> bool {
    let Some((shown, focus)) = charts(model) else { return false };
    let name = shown.get(focus).map(|c| c.name.clone()).unwrap_or_default();
    if model.charts.look(&name).cursor.is_some() {
        model.charts.look_mut(&name).cursor = None;
        return true;
    }
    std::mem::take(&mut model.charts.full)
}

/// Lines of the list on top.
pub(super) fn lines(model: &Model) -> usize {
    match model.overlays.last() {
        Some(Overlay::ChooseCharts { .. }) => model.shown().map_or(0, |run| model.charts.all(run).len()),
        Some(Overlay::OverlayRuns { .. }) => other_runs(model).len(),
        _ => 0,
    }
}

/// Runs that can be drawn over the one on view.
pub fn other_runs(model: &Model) -> Vec<&RunSummary> {
    let shown = model.shown.as_deref();
    model.runs.iter().flatten().filter(|r| Some(r.id.as_str()) != shown).collect()
}

pub(super) fn toggle_chart(model: &mut Model, line: usize) -> Vec<Effect> {
    let chart = model.shown().and_then(|run| model.charts.all(run).into_iter().nth(line));
    if let Some(chart) = chart {
        model.charts.toggle(&chart);
    }
    Vec::new()
}

pub(super) fn toggle_run(model: &mut Model, line: usize) -> Vec<Effect> {
    let Some(id) = other_runs(model).get(line).map(|r| r.id.to_string()) else { return Vec::new() };
    let before = model.charts.overlaid.len();
    model.charts.overlaid.retain(|run| run.id != id);
    if model.charts.overlaid.len() < before {
        return Vec::new();
    }
    if before >= OVERLAID {
        model.say(Level::Info, format!("{OVERLAID} runs are drawn over this one already; take one away first"));
        return Vec::new();
    }
    vec![Effect::ReadCurves(id)]
}

/// A run's curves were read.
pub(super) fn curves(model: &mut Model, run: String, result: Result<Box<OpenedRun>, String>) {
    let opened = match result {
        Ok(opened) => opened,
        Err(problem) => return model.say(Level::Error, problem),
    };
    let mut view = RunView::new(*opened, false);
    view.smooth(model.charts.weight());
    // What is drawn needs no history of events.
    view.lines.clear();
    let overlaid = &mut model.charts.overlaid;
    match overlaid.iter().position(|r| r.id == run) {
        Some(at) => overlaid[at] = view,
        None if overlaid.len() < OVERLAID && model.shown.as_ref() != Some(&run) => overlaid.push(view),
        None => {}
    }
}
