//! The history of the run on view.

pub mod details;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::empty;
use super::runs::position;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::{age, bytes, number};
use crate::app::message::CheckpointRow;
use crate::app::run_view::{Health, RunView};
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::table::{self, Cell, Column};
use crate::tui::widgets::{page, text};

const COLUMNS: [Column; 9] = [
    Column { title: "", width: 1, grows: false, right: false, rank: 0 },
    Column { title: "step", width: 8, grows: false, right: true, rank: 0 },
    Column { title: "epoch", width: 5, grows: false, right: true, rank: 4 },
    Column { title: "best by", width: 9, grows: false, right: true, rank: 1 },
    Column { title: "val/top1", width: 8, grows: false, right: true, rank: 6 },
    Column { title: "size", width: 8, grows: false, right: true, rank: 5 },
    Column { title: "age", width: 6, grows: false, right: true, rank: 7 },
    Column { title: "check", width: 10, grows: false, right: false, rank: 3 },
    Column { title: "kept because", width: 12, grows: true, right: false, rank: 2 },
];

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let Some(view) = model.shown() else {
        let open = model.keymap.first(Action::OpenRun);
        let runs = model.keymap.first(Action::ShowRuns);
        let lines = ["No run on view.".to_owned(), format!("Press {runs} for the run list; {open} opens a run there.")];
        empty(f, area, look, &lines);
        return;
    };
    let title = u16::from(area.height >= 6);
    let words = said(model, view, look);
    if title > 0 {
        // Filter, order and position stand at the right of the same line.
        let room = usize::from(area.width).saturating_sub(text::width(&words) + 12);
        draw_title(f, Rect { height: 1, ..area }, view, room.max(10), look);
    }
    let mut body = Rect { y: area.y + title, height: area.height - title, ..area };
    let rows = match view.checkpoints.as_deref() {
        None => return empty(f, body, look, &["reading the checkpoints…".to_owned()]),
        Some([]) => return empty(f, body, look, &none_yet(model, view)),
        Some(rows) => rows,
    };
    if model.checkpoint_list.shown().is_empty() {
        let key = model.keymap.first(Action::FilterCheckpoints);
        let filter = model.checkpoint_list.filter.as_str();
        let lines = [
            format!("No checkpoint passes the filter: {filter}"),
            format!("Press {key} to change it, {} to show all.", model.keymap.first(Action::Back)),
        ];
        return empty(f, body, look, &lines);
    }
    let beside = model.side && model.is_wide();
    if beside {
        let wide = page::beside(body.width);
        body.width -= wide;
        let at = Rect { x: body.right(), width: wide, ..body };
        page::draw(f, at, look, |width| details::lines(model, look, width));
    }
    draw_rows(f, body, model, view, rows, !beside, look);
}

/// The run and how much it keeps; what does not fit leaves from the end.
fn draw_title(f: &mut Frame<'_>, area: Rect, view: &RunView, room: usize, look: &Look) {
    let rows = view.checkpoints.as_deref().unwrap_or_default();
    let total: u64 = rows.iter().map(|c| c.bytes).sum();
    let noun = if rows.len() == 1 { "checkpoint" } else { "checkpoints" };
    let name = text::cut(&view.name, room.saturating_sub(1), look.glyphs.ellipsis);
    let mut spans = vec![
        Span::styled(format!(" {name}"), look.style(Scope::Title)),
        Span::styled(format!(" {}", view.status), look.status(view.status)),
        Span::styled(format!("  {} {noun}, {}", rows.len(), bytes(total)), look.style(Scope::TextDim)),
    ];
    while spans.len() > 1 && spans.iter().map(Span::width).sum::<usize>() > room {
        spans.pop();
    }
    f.render_widget(Line::from(spans), area);
}

/// Mark, order and filter, where there is one.
fn said(model: &Model, view: &RunView, look: &Look) -> String {
    let e = look.glyphs.ellipsis;
    let mut words = String::new();
    if let Some(marked) = &model.marked {
        let of =
            if marked.run == view.id { String::new() } else { format!(" of {}", text::cut(&marked.run_name, 20, e)) };
        words = format!("step {}{of} marked  ", marked.step);
    }
    if !model.checkpoint_list.order().is_first() {
        words.push_str(&format!("by {}  ", model.checkpoint_list.order().as_str()));
    }
    if !model.checkpoint_list.filter.is_empty() {
        words.push_str(&format!("filter: {}  ", text::cut(model.checkpoint_list.filter.as_str(), 30, e)));
    }
    words
}

/// Where a checkpoint would come from.
fn none_yet(model: &Model, view: &RunView) -> Vec<String> {
    let next = if view.status.is_live() {
        let (train, save) = (model.keymap.first(Action::ShowTrain), model.keymap.first(Action::Save));
        format!("The recipe says when one is written; {save} on Train ({train}) writes one now.")
    } else {
        let (runs, new) = (model.keymap.first(Action::ShowRuns), model.keymap.first(Action::NewRun));
        format!("The run ended before it wrote one. Press {runs} for the run list; {new} there starts a run.")
    };
    vec!["No checkpoint yet.".to_owned(), next]
}

/// How a checkpoint's bytes are, in a word.
fn health(row: &CheckpointRow, view: &RunView, look: &Look) -> (String, Style) {
    let damaged = || (format!("{} damaged", look.glyphs.no), look.style(Scope::Error));
    match view.health.get(&row.name) {
        _ if row.problem.is_some() => damaged(),
        None => ("unchecked".to_owned(), look.style(Scope::TextFaint)),
        Some(Health::Checking) => (look.glyphs.plain("checking…"), look.style(Scope::TextDim)),
        Some(Health::Verified) => (format!("{} verified", look.glyphs.yes), look.style(Scope::Good)),
        Some(Health::Damaged(_)) => damaged(),
    }
}

/// What is wrong with a checkpoint.
fn damage(row: &CheckpointRow, view: &RunView) -> Option<String> {
    match view.health.get(&row.name) {
        Some(Health::Damaged(what)) => Some(what.join("; ")),
        _ => row.problem.clone(),
    }
}

fn draw_rows(
    f: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    view: &RunView,
    rows: &[CheckpointRow],
    explain: bool,
    look: &Look,
) {
    let damaged = model.selected_checkpoint().filter(|_| explain).and_then(|row| damage(row, view));
    let detail = u16::from(damaged.is_some() && area.height >= 3);
    let list = Rect { height: area.height - detail, ..area };
    let mut columns = COLUMNS;
    // The column of the monitored metric says its name.
    let names = ["val/loss", "val/top1", "val/top5", "train/loss"];
    columns[3].title = names.into_iter().find(|n| *n == view.monitor).unwrap_or("monitored");
    if view.monitor == "val/top1" {
        columns[4].title = "val/loss";
    }
    let (shown, cursor) = (model.checkpoint_list.shown(), model.checkpoint_list.cursor);
    let best = format!("best {}", view.monitor);
    // The mark has a column where it is one of these.
    let marked = model.marked.as_ref().filter(|m| m.run == view.id);
    let skip = usize::from(marked.is_none());
    table::draw(f, list, look, &columns[skip..], (shown.len(), cursor), |i| {
        let row = &rows[shown[i]];
        let text = look.style(Scope::Text);
        let dim = look.style(Scope::TextDim);
        let metric = |name: &str| row.metrics.get(name).map_or_else(|| "-".to_owned(), |v| number(*v));
        let monitored = if row.kept.contains(&best) { look.style(Scope::Good) } else { text };
        let (word, style) = health(row, view, look);
        let or_dash = |known: bool, words: String| if known { words } else { "-".to_owned() };
        let read = row.problem.is_none();
        let mark = if marked.is_some_and(|m| m.name == row.name) { look.glyphs.cursor } else { "" };
        let mut cells = vec![
            Cell::new(mark, look.style(Scope::HintKey)),
            Cell::new(row.step.to_string(), text),
            Cell::new(or_dash(read, row.epoch.to_string()), text),
            Cell::new(metric(&view.monitor), monitored),
            Cell::new(metric(columns[4].title), text),
            Cell::new(or_dash(read, bytes(row.bytes)), dim),
            Cell::new(or_dash(read, age(model.now_ms, row.time_ms)), dim),
            Cell::new(word, style),
            Cell::new(row.kept.join(", "), dim),
        ];
        cells.split_off(skip)
    });
    position(f, area, look, &said(model, view, look), (cursor, shown.len()));
    if let Some(damaged) = damaged.filter(|_| detail > 0) {
        let words = text::cut(&format!(" {damaged}"), usize::from(area.width), look.glyphs.ellipsis);
        let at = Rect { y: list.bottom(), height: 1, ..area };
        f.render_widget(Line::styled(words, look.style(Scope::Error)), at);
    }
}
