//! The run list.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::empty;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format;
use crate::app::sparks::seconds_left;
use crate::core::run::spark::{FALLBACK, Spark};
use crate::core::run::{RunStatus, RunSummary};
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::table::{self, Cell, Column};
use crate::tui::widgets::{gauge, spark, text};

const COLUMNS: [Column; 11] = [
    Column { title: "", width: 1, grows: false, right: false, rank: 0 },
    Column { title: "status", width: 8, grows: false, right: false, rank: 1 },
    Column { title: "name", width: 16, grows: true, right: false, rank: 0 },
    Column { title: "model", width: 10, grows: false, right: false, rank: 7 },
    Column { title: "progress", width: 8, grows: false, right: false, rank: 4 },
    Column { title: "step", width: 13, grows: false, right: true, rank: 2 },
    Column { title: "left", width: 7, grows: false, right: true, rank: 6 },
    Column { title: "best", width: 9, grows: false, right: true, rank: 3 },
    Column { title: "trend", width: TREND as u16, grows: false, right: false, rank: 5 },
    Column { title: "age", width: 6, grows: false, right: true, rank: 8 },
    Column { title: "tags", width: 14, grows: false, right: false, rank: 9 },
];

/// Cells of a curve.
const TREND: usize = 10;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let Some(runs) = &model.runs else {
        let text = match &model.runs_problem {
            Some(problem) => vec!["The run home cannot be read.".to_owned(), problem.clone()],
            None => vec!["reading the run home…".to_owned()],
        };
        empty(f, area, look, &text);
        return;
    };
    if runs.is_empty() {
        let key = |action| model.keymap.first(action);
        let lines = [
            "No runs yet.".to_owned(),
            format!(
                "Press {} to start one from a recipe of this folder, {} to write a recipe to begin with.",
                key(Action::NewRun),
                key(Action::NewRecipe)
            ),
            format!("Runs are kept in {}.", model.home),
        ];
        empty(f, area, look, &lines);
        return;
    }
    let shown = model.run_list.shown();
    if shown.is_empty() {
        let key = model.keymap.first(Action::FilterRuns);
        let filter = model.run_list.filter.as_str();
        let lines = [format!("No run passes the filter: {filter}"), format!("Press {key} to change or clear it.")];
        empty(f, area, look, &lines);
        return;
    }
    // What has no column, or none at this width, is said of the run under the cursor.
    let detail = u16::from(area.height >= 10);
    if let Some(run) = model.selected_run().filter(|_| detail > 0) {
        draw_detail(f, Rect { y: area.bottom() - 1, height: 1, ..area }, run, look);
    }
    let area = Rect { height: area.height - detail, ..area };
    // Marks have a column where there are any.
    let skip = usize::from(model.marks.is_empty());
    let row = |i: usize| cells(&runs[shown[i]], model, look).split_off(skip);
    table::draw(f, area, look, &COLUMNS[skip..], (shown.len(), model.run_cursor), row);
    let mut words = String::new();
    if !model.marks.is_empty() {
        words = format!("{} marked  ", model.marks.len());
    }
    if model.run_list.is_arranged() {
        words.push_str(&format!("by {}  ", model.run_list.order()));
    }
    if !model.run_list.filter.is_empty() {
        words.push_str(&format!("filter: {}  ", text::cut(model.run_list.filter.as_str(), 40, look.glyphs.ellipsis)));
    }
    position(f, area, look, &words, (model.run_cursor, shown.len()));
}

/// `3/17` at the right above the headings, and what there is to say of the list before it.
pub(super) fn position(f: &mut Frame<'_>, area: Rect, look: &Look, words: &str, (cursor, len): (usize, usize)) {
    if area.height < 4 || area.width < 30 {
        return;
    }
    let text = format!("{}{}/{len} ", look.glyphs.plain(words), cursor + 1);
    let width = (text::width(&text) as u16).min(area.width);
    let at = Rect { x: area.right() - width, y: area.y.saturating_sub(1), width, height: 1 };
    if area.y > 1 {
        f.render_widget(ratatui::text::Line::styled(text, look.style(Scope::TextFaint)), at);
    }
}

fn cells(run: &RunSummary, model: &Model, look: &Look) -> Vec<Cell> {
    let text = look.style(Scope::Text);
    let dim = look.style(Scope::TextDim);
    let part = if run.steps == 0 { 0.0 } else { run.step as f64 / run.steps as f64 };
    let (full, rest) = gauge::cells(part, 8);
    let bar = look.glyphs.full.repeat(full) + &look.glyphs.rest.repeat(rest);
    let steps = if run.steps == 0 { format!("{}", run.step) } else { format!("{}/{}", run.step, run.steps) };
    let name_style = if run.problem.is_some() { look.style(Scope::Warning) } else { text };
    let created = u64::try_from(run.created.as_millisecond()).unwrap_or(0);
    let marked = model.marks.iter().any(|id| run.id.as_str() == id);
    vec![
        Cell::new(if marked { look.glyphs.cursor } else { "" }, look.style(Scope::HintKey)),
        Cell::new(run.status.as_str(), look.status(run.status)),
        Cell::new(run.name.as_str(), name_style),
        Cell::new(run.model.as_str(), dim),
        Cell::new(bar, look.style(Scope::GaugeFull)),
        Cell::new(steps, text),
        Cell::new(left(run, model).map_or_else(String::new, format::duration), text),
        Cell::new(run.best.map_or_else(|| "-".to_owned(), format::number), text),
        Cell::new(trend(run, model, look), look.style(Scope::chart(0))),
        Cell::new(format::age(model.now_ms, created), dim),
        Cell::new(run.tags.join(" "), dim),
    ]
}

/// Seconds that a live run will take: as its stream says, or at the pace of its last steps on disk.
fn left(run: &RunSummary, model: &Model) -> Option<f64> {
    if run.status != RunStatus::Running {
        return None;
    }
    match model.view(run.id.as_str()).filter(|v| v.is_followed()) {
        Some(view) => view.seconds_left(),
        None => seconds_left(run, model.sparks.get(run.id.as_str())?.rate?),
    }
}

/// The monitored metric as a curve.
fn trend(run: &RunSummary, model: &Model, look: &Look) -> String {
    if let Some(view) = model.view(run.id.as_str()).filter(|v| v.is_followed()) {
        let own = view.series.get(&view.monitor).filter(|s| s.len() > 1).or_else(|| view.series.get(FALLBACK));
        let points = own.map(|series| Spark::of("", series, TREND).points).unwrap_or_default();
        return spark::line(&points, TREND, &look.glyphs);
    }
    model.sparks.get(run.id.as_str()).map_or_else(String::new, |s| spark::line(&s.points, TREND, &look.glyphs))
}

fn draw_detail(f: &mut Frame<'_>, area: Rect, run: &RunSummary, look: &Look) {
    let mut parts = vec![run.id.to_string(), run.model.clone()];
    if !run.tags.is_empty() {
        parts.push(format!("[{}]", run.tags.join(", ")));
    }
    parts.extend([run.message.clone(), run.problem.clone()].into_iter().flatten());
    parts.push(run.note.clone());
    parts.retain(|p| !p.is_empty());
    let words = text::cut(&format!(" {}", parts.join("  ")), usize::from(area.width), look.glyphs.ellipsis);
    f.render_widget(ratatui::text::Line::styled(words, look.style(Scope::TextDim)), area);
}
