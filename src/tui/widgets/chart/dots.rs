//! A grid of dots finer than the cells, and curves in it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::scale::Scale;
use crate::app::config::ChartMarks;
use crate::core::series::{Column, MinMax};

/// Dots in a grid finer than the cells.
pub struct Dots {
    area: Rect,
    marks: ChartMarks,
    /// Dots side by side.
    pub width: usize,
    height: usize,
    /// Style of the dot that lies there; later curves lie on top.
    dots: Vec<Option<Style>>,
}

impl Dots {
    /// An empty grid over these cells.
    pub fn new(area: Rect, marks: ChartMarks) -> Self {
        let (per_x, per_y) = per_cell(marks);
        let (width, height) = (usize::from(area.width) * per_x, usize::from(area.height) * per_y);
        Self { area, marks, width, height, dots: vec![None; width * height] }
    }

    fn row(&self, value: f64, scale: &Scale) -> usize {
        let most = (self.height - 1) as f64;
        ((1.0 - scale.part(value).clamp(0.0, 1.0)) * most).round() as usize
    }

    fn fill(&mut self, x: usize, a: usize, b: usize, style: Style) {
        for y in a.min(b)..=a.max(b) {
            if let Some(dot) = self.dots.get_mut(y * self.width + x) {
                *dot = Some(style);
            }
        }
    }

    /// Draws a curve, a column of dots each. `sparse`: few points that matter each; they are marked.
    pub fn curve(&mut self, columns: &[Column], scale: &Scale, style: Style, sparse: bool) {
        if self.height == 0 {
            return;
        }
        let mut before: Option<(usize, MinMax)> = None;
        for (x, column) in columns.iter().take(self.width).enumerate() {
            let Some(range) = column.range.filter(|r| scale.part(r.max) > -1.0) else {
                // Nothing is joined over a gap.
                before = before.filter(|_| !column.gap);
                continue;
            };
            let (top, bottom) = (self.row(range.max, scale), self.row(range.min, scale));
            self.fill(x, top, bottom, style);
            if sparse && self.marks != ChartMarks::Ascii {
                // A single dot is hard to see.
                self.fill(x, top.saturating_sub(1), (bottom + 1).min(self.height - 1), style);
            }
            if let Some((x0, last)) = before.filter(|_| !column.gap) {
                self.join((x0, self.row(last.last, scale)), (x, self.row(range.first, scale)), style);
            }
            before = (!column.gap).then_some((x, range));
        }
    }

    /// A straight line between two dots, without holes.
    fn join(&mut self, (x0, y0): (usize, usize), (x1, y1): (usize, usize), style: Style) {
        let at = |x: usize| y0 as f64 + (y1 as f64 - y0 as f64) * (x - x0) as f64 / (x1 - x0) as f64;
        for x in x0..x1 {
            let (from, to) = (at(x), at(x + 1));
            let half = ((from + to) / 2.0).round() as usize;
            self.fill(x, from.round() as usize, half, style);
            self.fill(x + 1, half, to.round() as usize, style);
        }
    }

    /// Puts the signs of the cells that have dots.
    pub fn paint(&self, buffer: &mut Buffer) {
        let (per_x, per_y) = per_cell(self.marks);
        for row in 0..self.area.height {
            for column in 0..self.area.width {
                let dot = |dx: usize, dy: usize| {
                    let (x, y) = (usize::from(column) * per_x + dx, usize::from(row) * per_y + dy);
                    self.dots.get(y * self.width + x).copied().flatten()
                };
                let Some((sign, style)) = sign(self.marks, dot) else { continue };
                if let Some(cell) = buffer.cell_mut((self.area.x + column, self.area.y + row)) {
                    cell.set_char(sign).set_style(style);
                }
            }
        }
    }

    /// The cell, from the left, of a column of dots.
    pub fn cell(&self, x: usize) -> u16 {
        u16::try_from(x / per_cell(self.marks).0).unwrap_or(u16::MAX)
    }
}

fn per_cell(marks: ChartMarks) -> (usize, usize) {
    match marks {
        ChartMarks::Braille => (2, 4),
        ChartMarks::Block | ChartMarks::Ascii => (1, 2),
    }
}

/// What a cell shows for its dots.
fn sign(marks: ChartMarks, dot: impl Fn(usize, usize) -> Option<Style>) -> Option<(char, Style)> {
    if marks == ChartMarks::Braille {
        // Bits of the braille block, column by column (Unicode, U+2800).
        const BITS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (mut bits, mut style) = (0, None);
        for (x, column) in BITS.iter().enumerate() {
            for (y, bit) in column.iter().enumerate() {
                if let Some(found) = dot(x, y) {
                    bits |= bit;
                    style = Some(found);
                }
            }
        }
        return Some((char::from_u32(0x2800 + bits)?, style?));
    }
    let ascii = marks == ChartMarks::Ascii;
    match (dot(0, 0), dot(0, 1)) {
        (None, None) => None,
        (Some(top), None) => Some((if ascii { '\'' } else { '▀' }, top)),
        (None, Some(bottom)) => Some((if ascii { '.' } else { '▄' }, bottom)),
        (Some(top), Some(bottom)) if top == bottom || ascii => Some((if ascii { ':' } else { '█' }, top)),
        (Some(top), Some(bottom)) => {
            let style = bottom.fg.map_or(top, |color| top.bg(color));
            Some(('▀', style))
        }
    }
}
