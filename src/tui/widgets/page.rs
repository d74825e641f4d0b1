//! A page of facts in a narrow column: headings, pairs and words, wrapped to its width.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text;
use crate::tui::look::Look;
use crate::tui::theme::Scope;

/// Cells of the labels.
const LABEL: usize = 12;

/// The page as far as it is written.
pub struct Page<'a> {
    /// Its lines.
    pub lines: Vec<Line<'static>>,
    /// Theme and signs.
    pub look: &'a Look,
    /// Cells of a line.
    pub width: usize,
}

impl<'a> Page<'a> {
    /// An empty one.
    pub fn new(look: &'a Look, width: usize) -> Self {
        Self { lines: Vec::new(), look, width: width.max(8) }
    }

    /// An empty line and a heading.
    pub fn heading(&mut self, words: &str) {
        self.lines.push(Line::default());
        let words = text::cut(&self.look.glyphs.plain(words), self.width, self.look.glyphs.ellipsis);
        self.lines.push(Line::styled(words, self.look.style(Scope::Heading)));
    }

    /// A value with its name.
    pub fn pair(&mut self, label: &str, value: &str) {
        self.pair_in(label, value, LABEL, Scope::Text);
    }

    /// A value with its name, which has this many cells.
    pub fn pair_in(&mut self, label: &str, value: &str, cells: usize, scope: Scope) {
        let dim = self.look.style(Scope::TextDim);
        let room = self.width.saturating_sub(cells).max(1);
        for (i, part) in text::wrap(&self.look.glyphs.plain(value), room).into_iter().enumerate() {
            let label = text::fit(if i == 0 { label } else { "" }, cells, false, self.look.glyphs.ellipsis);
            self.lines.push(Line::from_iter([Span::styled(label, dim), Span::styled(part, self.look.style(scope))]));
        }
    }

    /// Words over the whole width.
    pub fn words(&mut self, words: &str, scope: Scope) {
        let style = self.look.style(scope);
        self.styled(words, style);
    }

    /// Words in a style.
    pub fn styled(&mut self, words: &str, style: Style) {
        let lines = text::wrap(&self.look.glyphs.plain(words), self.width);
        self.lines.extend(lines.into_iter().map(|l| Line::styled(l, style)));
    }
}

/// Cells of a column of facts beside a list.
pub fn beside(width: u16) -> u16 {
    (width / 3).clamp(36, 56)
}

/// Draws what `lines` gives for the width beside a list, set off by a bar.
pub fn draw(f: &mut Frame<'_>, area: Rect, look: &Look, lines: impl FnOnce(usize) -> Vec<Line<'static>>) {
    let bar = look.style(Scope::TextFaint);
    for y in area.y..area.bottom() {
        f.render_widget(Line::styled(look.glyphs.bar, bar), Rect { y, height: 1, width: 1, ..area });
    }
    let area = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    for (i, line) in lines(usize::from(area.width)).into_iter().take(usize::from(area.height)).enumerate() {
        f.render_widget(line, Rect { y: area.y + i as u16, height: 1, ..area });
    }
}
