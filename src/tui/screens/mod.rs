//! The whole picture: header, one of the screens, footer, and what lies on top. Drawing changes nothing.

mod checkpoints;
mod compare;
mod devices;
mod frame;
mod layers;
mod runs;
mod train;

pub use checkpoints::details;
pub use layers::pane;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::look::Look;
use super::overlays;
use crate::app::Model;
use crate::app::place::Screen;

/// Draws the model.
pub fn draw(f: &mut Frame<'_>, model: &Model, look: &Look) {
    let area = f.area();
    if area.is_empty() {
        return;
    }
    look.hits.clear();
    let parts = frame::Parts::of(area);
    frame::header(f, parts.header, model, look);
    match model.screen {
        Screen::Runs => runs::draw(f, parts.body, model, look),
        Screen::Model => layers::draw(f, parts.body, model, look),
        Screen::Devices => devices::draw(f, parts.body, model, look),
        Screen::Train => train::draw(f, parts.body, model, look),
        Screen::Checkpoints => checkpoints::draw(f, parts.body, model, look),
        Screen::Compare => compare::draw(f, parts.body, model, look),
    }
    frame::footer(f, parts.footer, model, look);
    for overlay in &model.overlays {
        overlays::draw(f, area, overlay, model, look);
    }
    // On a low screen one line is all there is to spare.
    let last = Rect { y: parts.body.bottom().saturating_sub(1), height: parts.body.height.min(1), ..area };
    frame::toasts(f, if area.height >= 12 { parts.body } else { last }, model, look);
}

/// What to do next, in the middle of an empty screen.
fn empty(f: &mut Frame<'_>, area: Rect, look: &Look, lines: &[String]) {
    use super::theme::Scope;
    use super::widgets::text;
    use ratatui::text::Line;

    let width = usize::from(area.width.saturating_sub(2)).max(1);
    let wrapped: Vec<(usize, String)> = lines
        .iter()
        .enumerate()
        .flat_map(|(i, l)| text::wrap(&look.glyphs.plain(l), width).into_iter().map(move |w| (i, w)))
        .collect();
    let height = (wrapped.len() as u16).min(area.height);
    let top = area.y + (area.height - height) / 3;
    for (row, (i, line)) in wrapped.iter().take(usize::from(height)).enumerate() {
        let scope = if *i == 0 { Scope::Text } else { Scope::TextDim };
        let at = Rect { y: top + row as u16, height: 1, x: area.x + 1, width: area.width.saturating_sub(1) };
        f.render_widget(Line::styled(line.as_str(), look.style(scope)), at);
    }
}
