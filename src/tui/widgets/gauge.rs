//! A bar that fills.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::look::Look;
use crate::tui::theme::Scope;

/// Text of a bar of `cells` with `part` (0 to 1) filled.
pub fn cells(part: f64, cells: usize) -> (usize, usize) {
    let full = (part.clamp(0.0, 1.0) * cells as f64).floor() as usize;
    (full, cells - full)
}

/// Draws a bar over the whole line.
pub fn draw(frame: &mut Frame<'_>, area: Rect, look: &Look, part: f64) {
    let (full, rest) = cells(part, usize::from(area.width));
    let line = Line::from_iter([
        Span::styled(look.glyphs.full.repeat(full), look.style(Scope::GaugeFull)),
        Span::styled(look.glyphs.rest.repeat(rest), look.style(Scope::GaugeRest)),
    ]);
    frame.render_widget(line, area);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(super::cells(0.999, 10), (9, 1));
        assert_eq!(super::cells(1.0, 10), (10, 0));
        assert_eq!(super::cells(f64::NAN, 10), (0, 10));
        assert_eq!(super::cells(7.0, 0), (0, 0));
    }
}
