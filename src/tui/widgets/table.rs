//! A list with columns; the least important ones leave when the width is short.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::fit;
use super::window;
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Heading.
    pub title: &'static str,
    /// Least cells it needs.
    pub width: u16,
    /// Whether it takes what the others leave.
    pub grows: bool,
    /// Numbers stand right.
    pub right: bool,
    /// 0 never leaves; the highest leaves first.
    pub rank: u8,
}

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// Its style.
    pub style: Style,
}

impl Cell {
    /// A cell.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Indices of the columns that fit, with their widths.
pub fn layout(columns: &[Column], width: u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let need = |kept: &[usize]| -> u16 { kept.iter().map(|i| columns[*i].width + 1).sum() };
    while need(&kept) > width {
        let Some(last) = kept.iter().enumerate().max_by_key(|(_, i)| columns[**i].rank).map(|(at, _)| at) else {
            break;
        };
        if columns[kept[last]].rank == 0 {
            break;
        }
        kept.remove(last);
    }
    let spare = width.saturating_sub(need(&kept));
    let growing = kept.iter().filter(|i| columns[**i].grows).count().max(1) as u16;
    kept.iter()
        .map(|i| {
            let extra = if columns[*i].grows { spare / growing } else { 0 };
            (*i, (columns[*i].width + extra).min(width))
        })
        .collect()
}

/// Draws headings (where there is room) and the rows around the cursor. `row` gives the cells of one row.
pub fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    look: &Look,
    columns: &[Column],
    (len, cursor): (usize, usize),
    row: impl Fn(usize) -> Vec<Cell>,
) {
    if area.is_empty() {
        return;
    }
    let widths = layout(columns, area.width.saturating_sub(1));
    let mut y = area.y;
    if area.height >= 4 {
        let heads = widths.iter().map(|(i, w)| {
            let text = fit(columns[*i].title, usize::from(*w), columns[*i].right, look.glyphs.ellipsis);
            Span::styled(format!(" {text}"), look.style(Scope::Heading))
        });
        frame.render_widget(Line::from_iter(heads), Rect { y, height: 1, ..area });
        y += 1;
    }
    let height = usize::from(area.bottom().saturating_sub(y));
    let first = window(cursor, len, height);
    for (line, index) in (first..len.min(first + height)).enumerate() {
        let cells = row(index);
        let here = index == cursor;
        let base = if here { look.style(Scope::Selection) } else { Style::new() };
        let spans = widths.iter().filter_map(|(i, w)| {
            let cell = cells.get(*i)?;
            let text = fit(&cell.text, usize::from(*w), columns[*i].right, look.glyphs.ellipsis);
            Some([Span::raw(" "), Span::styled(text, cell.style.patch(base))])
        });
        let at = Rect { y: y + line as u16, height: 1, ..area };
        look.hits.note(at, Target::Row(index));
        frame.buffer_mut().set_style(at, base);
        frame.render_widget(Line::from_iter(spans.flatten()), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "name", width: 6, grows: true, right: false, rank: 0 },
        Column { title: "step", width: 5, grows: false, right: true, rank: 1 },
        Column { title: "note", width: 8, grows: false, right: false, rank: 2 },
    ];

    #[test]
    fn the_least_important_columns_leave_first() {
        let kept = |w| layout(&COLUMNS, w).into_iter().map(|(i, _)| i).collect::<Vec<_>>();
        assert_eq!(kept(40), [0, 1, 2]);
        assert_eq!(kept(20), [0, 1]);
        assert_eq!(kept(10), [0]);
        assert_eq!(kept(0), [0]);
    }

    #[test]
    fn columns_never_take_more_than_there_is() {
        for width in 7..200 {
            let taken: u16 = layout(&COLUMNS, width).iter().map(|(_, w)| w + 1).sum();
            assert!(taken <= width, "{taken} of {width}");
        }
    }
}
