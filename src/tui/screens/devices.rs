//! What can compute.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::empty;
use super::runs::position;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::bytes;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::table::{self, Cell, Column};
use crate::tui::widgets::text;

const COLUMNS: [Column; 5] = [
    Column { title: "device", width: 7, grows: false, right: false, rank: 0 },
    Column { title: "model", width: 12, grows: true, right: false, rank: 3 },
    Column { title: "memory", width: 8, grows: false, right: true, rank: 2 },
    Column { title: "free", width: 8, grows: false, right: true, rank: 1 },
    Column { title: "state", width: 10, grows: false, right: false, rank: 0 },
];

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let rows = match &model.devices.list {
        None => return empty(f, area, look, &["looking for devices…".to_owned()]),
        Some(Err(problem)) => {
            let key = model.keymap.first(Action::RefreshDevices);
            let again = format!("Press {key} to look again.");
            return empty(f, area, look, &["The devices cannot be told.".to_owned(), problem.clone(), again]);
        }
        Some(Ok(rows)) => rows,
    };
    let cursor = model.devices.cursor;
    let why = model.devices.selected().and_then(|d| d.unusable.as_deref());
    let detail = u16::from(why.is_some() && area.height >= 3);
    let list = Rect { height: area.height - detail, ..area };
    table::draw(f, list, look, &COLUMNS, (rows.len(), cursor), |i| {
        let (device, dim) = (&rows[i], look.style(Scope::TextDim));
        let size = |n: u64| if n == 0 { "-".to_owned() } else { bytes(n) };
        let state = if device.unusable.is_some() { ("unusable", Scope::Warning) } else { ("ready", Scope::Good) };
        vec![
            Cell::new(device.name.as_str(), look.style(Scope::Text)),
            Cell::new(device.model.as_str(), dim),
            Cell::new(size(device.memory_total), dim),
            Cell::new(size(device.memory_free), look.style(Scope::Text)),
            Cell::new(state.0, look.style(state.1)),
        ]
    });
    position(f, area, look, "", (cursor, rows.len()));
    if let Some(why) = why.filter(|_| detail > 0) {
        let words = text::cut(&format!(" {why}"), usize::from(area.width), look.glyphs.ellipsis);
        f.render_widget(Line::styled(words, look.style(Scope::Warning)), Rect { y: list.bottom(), height: 1, ..area });
    }
}
