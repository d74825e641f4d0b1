//! Runs side by side: tables with a column a run, and a metric of all of them in one chart.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::empty;
use super::runs::position;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::compare::{Row, Section};
use crate::app::compare_view::CompareView;
use crate::app::format::of_metric;
use crate::core::run::RunSummary;
use crate::core::series::Series;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::chart::{Chart, Curve};
use crate::tui::widgets::text;

/// Least cells of a run's column.
const LEAST: usize = 18;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let view = &model.compare;
    let Some(comparison) = &view.comparison else {
        empty(f, area, look, &why_empty(model));
        return;
    };
    let chart_height = if area.height >= 14 { (area.height * 2 / 5).max(6) } else { 0 };
    let tables = Rect { height: area.height - chart_height, ..area };
    draw_tables(f, tables, view, &comparison.runs, look);
    if chart_height > 0 {
        let at = Rect { x: area.x + 1, width: area.width.saturating_sub(2), y: tables.bottom(), height: chart_height };
        draw_chart(f, at, view, &comparison.runs, look);
    }
}

fn why_empty(model: &Model) -> Vec<String> {
    if let Some(problem) = &model.compare.problem {
        return vec!["These runs cannot be compared.".to_owned(), problem.clone()];
    }
    if !model.compare.runs.is_empty() {
        return vec!["reading the runs…".to_owned()];
    }
    let key = |action| model.keymap.first(action);
    vec![
        "Nothing to compare yet.".to_owned(),
        format!(
            "On the run list ({}), {} marks runs and {} compares them; with no marks, the one under the cursor with the newest.",
            key(Action::ShowRuns),
            key(Action::MarkRun),
            key(Action::CompareRuns)
        ),
    ]
}

/// Where the columns are.
struct Columns {
    label: usize,
    width: usize,
    first: usize,
    shown: usize,
}

impl Columns {
    fn of(view: &CompareView, runs: usize, width: usize) -> Self {
        let labels = view.sections().iter().flat_map(|s| &s.rows);
        // A problem has the whole line.
        let longest = labels.filter(|r| r.cells.iter().any(|c| !c.is_empty())).map(|r| text::width(&r.label)).max();
        let label = longest.unwrap_or(0).clamp(6, 30).min(width / 3);
        let room = width.saturating_sub(label + 3);
        let shown = (room / (LEAST + 1)).clamp(1, runs.max(1));
        let first = view.shift.min(runs.saturating_sub(shown));
        Self { label, width: (room / shown).saturating_sub(1), first, shown }
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.shown
    }
}

fn draw_tables(f: &mut Frame<'_>, area: Rect, view: &CompareView, runs: &[RunSummary], look: &Look) {
    if area.is_empty() {
        return;
    }
    let columns = Columns::of(view, runs.len(), usize::from(area.width));
    let e = look.glyphs.ellipsis;
    let mut heads = vec![Span::raw(" ".repeat(columns.label + 3))];
    for i in columns.range() {
        let Some(run) = runs.get(i) else { continue };
        let words = text::fit(&format!("{} {}", i + 1, run.name), columns.width, false, e);
        heads.push(Span::styled(words, look.style(Scope::chart(i))));
        heads.push(Span::raw(" "));
    }
    f.render_widget(Line::from(heads), Rect { height: 1, ..area });
    let lines: Vec<Line<'_>> = view.sections().iter().flat_map(|s| section(s, &columns, look)).collect();
    let room = usize::from(area.height.saturating_sub(1));
    let first = view.scroll.min(lines.len().saturating_sub(room));
    let mut words = String::new();
    if columns.shown < runs.len() {
        words = format!("runs {}-{} of {}  ", columns.first + 1, columns.first + columns.shown, runs.len());
    }
    if view.measuring {
        words.push_str("measuring drift…  ");
    }
    position(f, area, look, &words, (first, lines.len()));
    for (i, line) in lines.into_iter().skip(first).take(room).enumerate() {
        f.render_widget(line, Rect { y: area.y + 1 + i as u16, height: 1, ..area });
    }
}

fn section<'a>(section: &'a Section, columns: &Columns, look: &Look) -> Vec<Line<'a>> {
    let mut lines = vec![Line::styled(format!(" {}", section.title), look.style(Scope::Heading))];
    lines.extend(section.rows.iter().map(|r| row(r, columns, look)));
    lines
}

fn row<'a>(row: &'a Row, columns: &Columns, look: &Look) -> Line<'a> {
    let e = look.glyphs.ellipsis;
    let dim = look.style(Scope::TextDim);
    if row.cells.iter().all(String::is_empty) {
        return Line::styled(format!("  {}", look.glyphs.plain(&row.label)), dim);
    }
    let style: Style = look.style(if row.differs { Scope::Text } else { Scope::TextFaint });
    let mut spans = vec![Span::styled(format!("  {} ", text::fit(&row.label, columns.label, false, e)), dim)];
    for i in columns.range() {
        let Some(cell) = row.cells.get(i) else { continue };
        let best = row.best == Some(i);
        let words = if best { format!("{cell} {}", look.glyphs.yes) } else { cell.clone() };
        let style = if best { look.style(Scope::Good) } else { style };
        spans.push(Span::styled(text::fit(&words, columns.width, false, e), style));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn draw_chart(f: &mut Frame<'_>, area: Rect, view: &CompareView, runs: &[RunSummary], look: &Look) {
    let Some(metric) = view.chart() else {
        let line = Line::styled(" no values yet", look.style(Scope::TextFaint));
        f.render_widget(line, Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area });
        return;
    };
    // The names share what the metric's leaves of the legend's line.
    let each = usize::from(area.width).saturating_sub(metric.name.len() + 2) / metric.curves.len().max(1);
    let room = each.saturating_sub(14);
    let name = |i: usize| match runs.get(i) {
        // The columns' headings have the same numbers.
        Some(run) if room >= 6 => text::cut(&format!("{} {}", i + 1, run.name), room, look.glyphs.ellipsis),
        _ => (i + 1).to_string(),
    };
    let mut heading = vec![vec![Span::styled(metric.name.clone(), look.style(Scope::Heading))]];
    let mut curves = Vec::new();
    for (i, series) in metric.curves.iter().enumerate() {
        let style = look.style(Scope::chart(i));
        let value =
            series.last().map_or_else(|| "-".to_owned(), |(_, v)| look.glyphs.plain(&of_metric(&metric.name)(v)));
        heading.push(vec![
            Span::styled(format!("  {} {} ", look.glyphs.key, name(i)), style),
            Span::styled(value, look.style(Scope::Text)),
        ]);
        // Without colours the number tells a curve, as it tells the column.
        let tag = style.fg.is_none().then(|| char::from_digit((i as u32 + 1) % 36, 36)).flatten();
        let (sparse, step) = (metric.name.starts_with("val/"), Box::new(|x| x));
        curves.push(Curve { series, style, behind: None, sparse, tag, step });
    }
    let spans = metric.curves.iter().filter_map(Series::span);
    let (from, to) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default();
    let chart = Chart {
        heading,
        curves,
        x: (from, to.max(from + 1.0)),
        ends: (format!("{from:.0}"), format!("step {to:.0}")),
        log: false,
        cut_outliers: true,
        cursor: None,
        band: None,
        marks: Vec::new(),
        number: of_metric(&metric.name),
        limits: None,
    };
    chart.draw(f, area, look);
}
