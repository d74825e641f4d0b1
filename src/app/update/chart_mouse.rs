//! The mouse on a chart: a click reads the values there, a drag shows what was dragged over, the wheel zooms around the
//! pointer.

use crate::app::charts::{Chart, Drag};
use crate::app::model::Model;

/// A place in a chart that is shown: cell `cell` of `cells`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub chart: usize,
    pub cell: u16,
    pub cells: u16,
}

/// The button went down: the chart has the focus, and the cursor is at the nearest point.
pub(super) fn press(model: &mut Model, at: At) {
    let Some((chart, step)) = step(model, at) else { return };
    let run = model.shown();
    let densest = chart.metrics.iter().filter_map(|m| run?.series.get(m)).max_by_key(|s| s.len());
    let nearest = densest.and_then(|series| series.nearest(step)).map_or(step, |point| point.step);
    model.charts.focus_on(&chart.name);
    model.charts.look_mut(&chart.name).cursor = Some(nearest);
    model.charts.drag = Some(Drag { chart: chart.name, cells: (at.cell, at.cell), steps: (step, step) });
}

/// The button is held over a chart: its own, or another one, which changes nothing.
pub(super) fn drag(model: &mut Model, at: At) {
    let Some((chart, step)) = step(model, at) else { return };
    if let Some(drag) = model.charts.drag.as_mut().filter(|drag| drag.chart == chart.name) {
        (drag.cells.1, drag.steps.1) = (at.cell, step);
    }
}

/// The button came up: what was dragged over is shown.
pub(super) fn release(model: &mut Model) {
    let Some(drag) = model.charts.drag.take() else { return };
    // A hand that trembles has clicked.
    if drag.cells.0.abs_diff(drag.cells.1) < 2 {
        return;
    }
    let Some(span) = model.shown().and_then(|run| model.charts.span(run)) else { return };
    let look = model.charts.look_mut(&drag.chart);
    look.window.show(span, drag.range());
    look.cursor = None;
}

/// The wheel, down is positive: out, and in around the pointer.
pub(super) fn wheel(model: &mut Model, at: At, by: i8) {
    let Some((chart, step)) = step(model, at) else { return };
    let Some(span) = model.shown().and_then(|run| model.charts.span(run)) else { return };
    model.charts.focus_on(&chart.name);
    let window = &mut model.charts.look_mut(&chart.name).window;
    if by < 0 { window.zoom_in(span, Some(step)) } else { window.zoom_out(span, Some(step)) }
}

/// The chart, and the step in the middle of the cell.
fn step(model: &Model, at: At) -> Option<(Chart, f64)> {
    let run = model.shown()?;
    let chart = model.charts.shown(run).into_iter().nth(at.chart)?;
    let (from, to) = model.charts.look(&chart.name).window.over(model.charts.span(run)?);
    let axis = model.charts.axis;
    let (low, high) = (axis.of_step(run, from), axis.of_step(run, to));
    let part = (f64::from(at.cell) + 0.5) / f64::from(at.cells.max(1));
    Some((chart, axis.step(run, low + part * (high - low)).clamp(from, to)))
}
