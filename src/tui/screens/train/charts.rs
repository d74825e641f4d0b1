//! The grid of charts, and the line that says what they show.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::app::Model;
use crate::app::charts::{Axis, Chart, Charts, Drag, Grid};
use crate::app::format::{duration, is_part, number, of_metric};
use crate::app::pointer::Target;
use crate::app::run_view::RunView;
use crate::core::series::Series;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::chart::{self, Curve, Mark};
use crate::tui::widgets::text;

/// Draws the charts of the page that holds the focus.
pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, view: &RunView, look: &Look) {
    let charts = &model.charts;
    let shown = charts.shown(view);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if shown.is_empty() {
        let words = format!("every chart was taken away; {} brings them back", key(model));
        let line = Line::styled(
            text::cut(&words, usize::from(area.width), look.glyphs.ellipsis),
            look.style(Scope::TextFaint),
        );
        f.render_widget(line, Rect { height: area.height.min(1), ..area });
        return;
    }
    let focus = charts.focus(&shown);
    let grid = if charts.full { Grid { columns: 1, rows: 1 } } else { Grid::of(shown.len(), area.width, area.height) };
    let page: Vec<usize> = (grid.first(focus)..shown.len()).take(grid.page()).collect();
    let alone = page.len() == 1 && shown.len() == 1;
    for (place, at) in page.iter().enumerate() {
        let (x, y, width, height) = grid.place(place, page.len(), area.width, area.height);
        // A column of air between two charts.
        let last = x + width == area.width;
        let area = Rect { x: area.x + x, y: area.y + y, width: width - if last { 0 } else { 2.min(width) }, height };
        let focused = *at == focus && !alone;
        look.hits.note(area, Target::Chart(*at));
        if let Some(plot) = one(charts, view, &shown[*at], look, focused, area).draw(f, area, look) {
            look.hits.note(plot, Target::Plot { chart: *at, cell: 0, cells: plot.width });
        }
    }
}

fn key(model: &Model) -> String {
    model.keymap.first(crate::app::action::Action::ChooseCharts)
}

/// Style and tag of a curve, by its place among those of the chart and its run.
struct Paint {
    style: Style,
    tag: Option<char>,
}

fn one<'a>(
    charts: &'a Charts,
    view: &'a RunView,
    chart: &'a Chart,
    look: &Look,
    focused: bool,
    area: Rect,
) -> chart::Chart<'a> {
    let axis = charts.axis;
    let span = charts.span(view).unwrap_or((0.0, 1.0));
    let seen = charts.look(&chart.name);
    let (from, to) = seen.window.over(span);
    let to = if to > from { to } else { from + 1.0 };
    let x = (axis.of_step(view, from), axis.of_step(view, to));
    let cursor = seen.cursor.map(|c| axis.of_step(view, c));

    let band = charts.drag.as_ref().filter(|drag| drag.chart == chart.name).map(Drag::range);

    let runs: Vec<&RunView> = std::iter::once(view).chain(&charts.overlaid).collect();
    let curves_of = |run: &'a RunView| chart.metrics.iter().filter_map(move |m| Some((m.as_str(), run.series.get(m)?)));
    let many = runs.iter().map(|r| curves_of(r).count()).sum::<usize>() > 1;
    let mut heading = vec![title(charts, chart, look, focused)];
    let mut curves = Vec::new();
    let mut color = runs.len() - 1 + chart.metrics.len();
    for (i, run) in runs.iter().enumerate() {
        for (metric, series) in curves_of(run) {
            let place = curves.len();
            let paint = paint(look, if i == 0 { color_of(metric, &chart.metrics) } else { color }, place, many);
            heading.push(legend(chart, view, run, metric, series, &paint, cursor.map(|at| axis.step(run, at)), look));
            curves.push(curve(axis, run, metric, series, &paint, look));
        }
        if i > 0 {
            color += 1;
        }
    }
    // The run on view lies on top of the others.
    curves.reverse();
    let room = usize::from(area.width);
    chart::Chart {
        heading,
        curves,
        x,
        ends: (end(axis, x.0, false), if room >= 30 { end(axis, x.1, true) } else { end(axis, x.1, false) }),
        log: charts.is_log(&chart.name),
        cut_outliers: charts.cuts_outliers(&chart.name),
        cursor,
        band: band.map(|(from, to)| (axis.of_step(view, from), axis.of_step(view, to))),
        marks: marks(axis, view, chart, look),
        number: of_metric(chart.metrics.first().map_or("", String::as_str)),
        limits: chart.metrics.iter().all(|m| is_part(m)).then_some((0.0, 1.0)),
    }
}

fn curve<'a>(axis: Axis, run: &'a RunView, metric: &str, series: &'a Series, paint: &Paint, look: &Look) -> Curve<'a> {
    let faint = look.style(Scope::TextFaint);
    Curve {
        series,
        style: paint.style,
        // Without colours nothing would tell the two apart.
        behind: (faint.fg != paint.style.fg).then_some(faint),
        sparse: metric.starts_with("val/"),
        tag: paint.tag,
        step: Box::new(move |at| axis.step(run, at)),
    }
}

/// The same metric has the same colour in each chart: what is trained on, what is validated on, others by their place.
fn color_of(metric: &str, metrics: &[String]) -> usize {
    let place = metrics.iter().position(|m| m == metric).unwrap_or(0);
    match metric.split_once('/') {
        Some(("train", _)) => 0,
        Some(("val", _)) => 1,
        _ => 2 + place,
    }
}

fn paint(look: &Look, color: usize, place: usize, many: bool) -> Paint {
    let style = look.style(Scope::chart(color));
    let tag = (many && style.fg.is_none()).then(|| char::from_digit((place as u32 + 1) % 36, 36)).flatten();
    Paint { style, tag }
}

fn title<'a>(charts: &Charts, chart: &Chart, look: &Look, focused: bool) -> Vec<Span<'a>> {
    let style = if focused { look.style(Scope::Title) } else { look.style(Scope::Heading) };
    let sign = if focused { look.glyphs.cursor } else { " " };
    let log = if charts.is_log(&chart.name) { " (log)" } else { "" };
    let cut = if charts.cuts_outliers(&chart.name) { "" } else { " (with outliers)" };
    vec![Span::styled(format!("{sign}{}{log}{cut}", chart.name), style)]
}

/// Name and value of a curve: the newest one, or the one at the cursor.
#[allow(clippy::too_many_arguments)]
fn legend<'a>(
    chart: &Chart,
    view: &RunView,
    run: &RunView,
    metric: &str,
    series: &Series,
    paint: &Paint,
    cursor: Option<f64>,
    look: &Look,
) -> Vec<Span<'a>> {
    let own = run.id == view.id;
    // What all of a chart share says nothing.
    let short = match metric.split_once('/') {
        Some((first, last)) if last == chart.name || (chart.name == "accuracy" && chart.metrics.len() > 1) => first,
        _ if metric == chart.name => "",
        _ if metric.starts_with("device/") => metric.split('/').nth(1).unwrap_or(metric),
        _ => metric,
    };
    let name = match (own, short) {
        (true, short) => short.to_owned(),
        (false, "") => text::cut(&run.name, 16, look.glyphs.ellipsis),
        (false, short) => format!("{} {short}", text::cut(&run.name, 16, look.glyphs.ellipsis)),
    };
    let number = |v| look.glyphs.plain(&of_metric(metric)(v));
    let step = cursor.or_else(|| Some(series.last()?.0));
    let value = step.and_then(|step| series.nearest(step)).map(|p| (p.value, p.smooth));
    let value = match value {
        Some((value, smooth)) if value != smooth && !value.is_nan() => {
            format!("{} ({})", number(value), number(smooth))
        }
        Some((value, _)) => number(value),
        None => "-".to_owned(),
    };
    let sign = paint.tag.map_or_else(|| look.glyphs.key.to_owned(), String::from);
    let name = if name.is_empty() { String::new() } else { format!("{name} ") };
    vec![Span::styled(format!("  {sign} {name}"), paint.style), Span::styled(value, look.style(Scope::Text))]
}

/// What stands at an end of the axis.
fn end(axis: Axis, at: f64, named: bool) -> String {
    match axis {
        Axis::Step if named => format!("step {at:.0}"),
        Axis::Step => format!("{at:.0}"),
        Axis::Epoch if named => format!("epoch {at:.2}"),
        Axis::Epoch => format!("{at:.2}"),
        Axis::Time => duration(at.max(0.0)),
    }
}

/// Checkpoints, and the best of the monitored metric.
fn marks(axis: Axis, view: &RunView, chart: &Chart, look: &Look) -> Vec<Mark> {
    let saved = view.checkpoints.iter().flatten().map(|c| c.step as f64);
    let style = look.style(Scope::ChartAxis);
    let mut marks: Vec<Mark> =
        saved.map(|step| Mark { at: axis.of_step(view, step), value: None, sign: look.glyphs.saved, style }).collect();
    if let Some((step, value)) = view.best() {
        let style = look.style(Scope::Good).add_modifier(Modifier::BOLD);
        // On its own curve, and below the others.
        let value = chart.metrics.contains(&view.monitor).then_some(value);
        marks.push(Mark { at: axis.of_step(view, step), value, sign: look.glyphs.best, style });
    }
    marks
}

/// Axis, zoom, smoothing, cursor, page: what the charts show.
pub(super) fn state(f: &mut Frame<'_>, area: Rect, model: &Model, view: &RunView, look: &Look) {
    if area.is_empty() {
        return;
    }
    let charts = &model.charts;
    let shown = charts.shown(view);
    let focus = charts.focus(&shown);
    let mut parts: Vec<(String, Scope)> = Vec::new();
    let mut say = |text: String, scope| parts.push((text, scope));
    let name = shown.get(focus).map(|c| c.name.as_str()).unwrap_or_default();
    let seen = charts.look(name);
    if let Some(step) = seen.cursor {
        let mut text = format!("cursor step {step:.0}");
        if view.steps_per_epoch > 0 {
            text.push_str(&format!("  epoch {:.2}", Axis::Epoch.of_step(view, step)));
        }
        text.push_str(&format!("  {}", duration(Axis::Time.of_step(view, step).max(0.0))));
        say(text, Scope::HintKey);
    }
    if let Some(span) = charts.span(view) {
        let factor = seen.window.factor(span);
        if factor > 1.01 {
            let (from, to) = seen.window.over(span);
            let of = if charts.alone { " (this chart alone)" } else { "" };
            say(format!("zoom {factor:.0}x{of}: steps {from:.0}-{to:.0}"), Scope::Text);
        } else if charts.alone {
            say("each chart alone".to_owned(), Scope::Text);
        }
    }
    if charts.weight() > 0.0 {
        say(format!("smoothed {}", charts.weight()), Scope::Text);
    }
    if charts.axis != Axis::Step {
        say(format!("by {}", charts.axis.name()), Scope::Text);
    }
    if !charts.overlaid.is_empty() {
        let names: Vec<String> = charts.overlaid.iter().map(|r| text::cut(&r.name, 20, look.glyphs.ellipsis)).collect();
        say(format!("over it: {}", names.join(", ")), Scope::Text);
    }
    if let Some((step, value)) = view.best() {
        say(format!("best {} {} at step {step:.0}", view.monitor, number(value)), Scope::TextDim);
    }
    let (width, height) = charts.room(model.size);
    let grid = Grid::of(if charts.full { 1 } else { shown.len() }, width, height);
    let right = if grid.page() < shown.len() {
        let first = grid.first(focus);
        let last = (first + grid.page()).min(shown.len());
        let which = if first + 1 == last { format!("{last}") } else { format!("{}-{last}", first + 1) };
        format!("chart {which} of {} ", shown.len())
    } else {
        String::new()
    };
    let mut room = usize::from(area.width).saturating_sub(right.len());
    let mut spans = vec![Span::raw(" ")];
    for (text, scope) in parts {
        let wide = text::width(&text) + 3;
        if wide > room {
            break;
        }
        room -= wide;
        spans.push(Span::styled(format!("{text}   "), look.style(scope)));
    }
    f.render_widget(Line::from(spans), area);
    let wide = (right.len() as u16).min(area.width);
    let at = Rect { x: area.right() - wide, width: wide, ..area };
    f.render_widget(Line::styled(right, look.style(Scope::TextDim)), at);
}
