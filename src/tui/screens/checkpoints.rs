//! The history of the run on view.

use ratatui::Frame;
use ratatui::layout::Rect;
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
use crate::tui::widgets::text;

const COLUMNS: [Column; 8] = [
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
    if title > 0 {
        let n = view.checkpoints.as_ref().map_or(0, Vec::len);
        let total: u64 = view.checkpoints.iter().flatten().map(|c| c.bytes).sum();
        let spans = [
            Span::styled(format!(" {}", view.name), look.style(Scope::Title)),
            Span::styled(format!(" {}", view.status), look.status(view.status)),
            Span::styled(format!("  {n} checkpoints, {}", bytes(total)), look.style(Scope::TextDim)),
        ];
        f.render_widget(Line::from_iter(spans), Rect { height: 1, ..area });
    }
    let body = Rect { y: area.y + title, height: area.height - title, ..area };
    match view.checkpoints.as_deref() {
        None => empty(f, body, look, &["reading the checkpoints…".to_owned()]),
        Some([]) => {
            let lines = [
                "No checkpoint yet.".to_owned(),
                "The recipe says when one is written; `w` on Train writes one now.".to_owned(),
            ];
            empty(f, body, look, &lines);
        }
        Some(rows) => draw_rows(f, body, model, view, rows, look),
    }
}

fn draw_rows(f: &mut Frame<'_>, area: Rect, model: &Model, view: &RunView, rows: &[CheckpointRow], look: &Look) {
    let damaged = match view.selected_checkpoint().and_then(|c| view.health.get(&c.name)) {
        Some(Health::Damaged(what)) => what.join("; "),
        _ => String::new(),
    };
    let detail = u16::from(!damaged.is_empty() && area.height >= 3);
    let list = Rect { height: area.height - detail, ..area };
    let mut columns = COLUMNS;
    // The column of the monitored metric says its name.
    let names = ["val/loss", "val/top1", "val/top5", "train/loss"];
    columns[2].title = names.into_iter().find(|n| *n == view.monitor).unwrap_or("monitored");
    if view.monitor == "val/top1" {
        columns[3].title = "val/loss";
    }
    table::draw(f, list, look, &columns, (rows.len(), view.checkpoint_cursor), |i| {
        let row = &rows[rows.len() - 1 - i];
        let text = look.style(Scope::Text);
        let dim = look.style(Scope::TextDim);
        let metric = |name: &str| row.metrics.get(name).map_or_else(|| "-".to_owned(), |v| number(*v));
        let health = match view.health.get(&row.name) {
            None => Cell::new("unchecked", look.style(Scope::TextFaint)),
            Some(Health::Checking) => Cell::new(look.glyphs.plain("checking…"), dim),
            Some(Health::Verified) => Cell::new(format!("{} verified", look.glyphs.yes), look.style(Scope::Good)),
            Some(Health::Damaged(_)) => Cell::new(format!("{} damaged", look.glyphs.no), look.style(Scope::Error)),
        };
        vec![
            Cell::new(row.step.to_string(), text),
            Cell::new(row.epoch.to_string(), text),
            Cell::new(metric(&view.monitor), text),
            Cell::new(metric(columns[3].title), text),
            Cell::new(bytes(row.bytes), dim),
            Cell::new(age(model.now_ms, row.time_ms), dim),
            health,
            Cell::new(row.kept.join(", "), dim),
        ]
    });
    position(f, area, look, "", (view.checkpoint_cursor, rows.len()));
    if detail > 0 {
        let words = text::cut(&format!(" {damaged}"), usize::from(area.width), look.glyphs.ellipsis);
        let at = Rect { y: list.bottom(), height: 1, ..area };
        f.render_widget(Line::styled(words, look.style(Scope::Error)), at);
    }
}
