//! A run's ancestors and forks.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::lineage::Kin;
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{popup, text, window};

/// Generations that are set in; deeper ones stand at the same place.
const DEEP: usize = 12;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, kin: &[Kin], cursor: usize, look: &Look) {
    let alone = kin.len() <= 1;
    let inner =
        popup::draw(f, area, look, "Where it comes from, and its forks", 76, kin.len() as u16 + u16::from(alone));
    let height = usize::from(inner.height);
    let first = window(cursor, kin.len(), height);
    let wide = usize::from(inner.width);
    for (i, one) in kin.iter().enumerate().skip(first).take(height) {
        let base = if i == cursor { look.style(Scope::Selection) } else { Style::new() };
        let stem = if one.depth == 0 {
            String::new()
        } else {
            format!("{}{} ", "  ".repeat(one.depth.min(DEEP) - 1), look.glyphs.arrow)
        };
        let status = one.status.map_or_else(String::new, |s| s.to_string());
        let right = if wide >= 50 { 34 } else { 9.min(wide) };
        let name = text::fit(&format!("{stem}{}", one.name), wide - right, false, look.glyphs.ellipsis);
        let (status_wide, rest) = (9.min(right), right.saturating_sub(9));
        let named = look.style(if one.run.is_some() { Scope::Text } else { Scope::TextDim });
        let line = Line::from_iter([
            Span::styled(name, named.patch(base)),
            Span::styled(
                text::fit(&status, status_wide, false, ""),
                one.status.map_or_else(Style::new, |s| look.status(s)).patch(base),
            ),
            Span::styled(
                text::fit(&one.how, rest, false, look.glyphs.ellipsis),
                look.style(Scope::TextDim).patch(base),
            ),
        ]);
        let at = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        look.hits.note(at, Target::TopRow(i));
        f.render_widget(line, at);
    }
    if alone && height > kin.len() {
        let words = "It was not forked, and nothing was forked from it.";
        let words = text::cut(words, wide, look.glyphs.ellipsis);
        let at = Rect { y: inner.y + kin.len() as u16, height: 1, ..inner };
        f.render_widget(Line::styled(words, look.style(Scope::TextFaint)), at);
    }
}
