//! A box on top of the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear};

use super::text;
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;

/// Whether there is no room for a border.
fn is_bare(area: Rect) -> bool {
    area.width < 24 || area.height < 7
}

/// Lines that a box in this area has at most.
pub fn room(area: Rect) -> u16 {
    area.height.saturating_sub(if is_bare(area) { 1 } else { 2 })
}

/// Draws a box of at most this inner size in the middle and gives what is inside. Where there is no room for a
/// border, the whole area is the inside.
pub fn draw(frame: &mut Frame<'_>, area: Rect, look: &Look, title: &str, width: u16, height: u16) -> Rect {
    let bare = is_bare(area);
    let (w, h) = if bare {
        (area.width, area.height)
    } else {
        ((width.max(20) + 4).min(area.width - 2), (height + 2).min(area.height))
    };
    let outer = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    frame.render_widget(Clear, outer);
    look.hits.note(outer, Target::Top);
    if outer.is_empty() {
        return outer;
    }
    let room = if bare { w } else { w.saturating_sub(4) };
    let title = text::cut(title, usize::from(room), look.glyphs.ellipsis);
    if bare {
        let line = Line::from(Span::styled(title, look.style(Scope::Title)));
        frame.render_widget(line, Rect { height: 1, ..outer });
        return Rect { y: outer.y + 1, height: outer.height - 1, ..outer };
    }
    let kind = if look.glyphs.unicode { BorderType::Rounded } else { BorderType::Plain };
    let mut block = Block::bordered().border_type(kind).border_style(look.style(Scope::BorderActive));
    if !look.glyphs.unicode {
        block = block.border_set(ASCII_BORDER);
    }
    if !title.is_empty() {
        block = block.title(Span::styled(format!(" {title} "), look.style(Scope::Title)));
    }
    let inner = block.inner(outer);
    frame.render_widget(block, outer);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

const ASCII_BORDER: ratatui::symbols::border::Set<'_> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
