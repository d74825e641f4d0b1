//! A line chart that loses no spike: each column of dots is filled from the smallest to the largest value in it.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text;
use crate::app::config::ChartMarks;
use crate::app::format::number;
use crate::core::series::{MinMax, Series};
use crate::tui::look::Look;
use crate::tui::theme::Scope;

/// One curve.
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Its points.
    pub series: &'a Series,
    /// Its colour.
    pub style: Style,
    /// Its single points are marked and joined: few points that matter each, as validations.
    pub sparse: bool,
}

/// Draws curves over one range of steps, with a legend, axes and the newest values.
pub fn draw(frame: &mut Frame<'_>, area: Rect, look: &Look, title: &str, curves: &[Curve<'_>]) {
    if area.width < 4 || area.height < 2 {
        return;
    }
    let legend = Rect { height: 1, ..area };
    draw_legend(frame, legend, look, title, curves);
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let Some(range) = Range::of(curves) else {
        let text = look.glyphs.plain("no values yet");
        let line = Line::styled(text::cut(&text, usize::from(below.width), ""), look.style(Scope::TextFaint));
        let at = Rect { y: below.y + below.height / 2, height: 1, x: below.x + 1, width: below.width - 1 };
        frame.render_widget(line, at);
        return;
    };
    let axis = look.style(Scope::ChartAxis);
    let (top, bottom) = (number(range.y1), number(range.y0));
    let labels = text::width(&top).max(text::width(&bottom)) as u16;
    let has_labels = area.width >= labels + 12;
    let left = if has_labels { labels + 1 } else { 0 };
    let has_steps = below.height >= 4;
    let plot =
        Rect { x: below.x + left, width: below.width - left, height: below.height - u16::from(has_steps), ..below };
    if has_labels {
        let middle = number((range.y0 + range.y1) / 2.0);
        let mut marks = vec![(0, &top), (plot.height - 1, &bottom)];
        if plot.height >= 7 && text::width(&middle) <= usize::from(labels) {
            marks.push((plot.height / 2, &middle));
        }
        for row in 0..plot.height {
            let label = marks.iter().find(|(at, _)| *at == row).map_or("", |(_, l)| l.as_str());
            let line = format!("{label:>width$}{}", look.glyphs.bar, width = usize::from(labels));
            let at = Rect { x: below.x, y: plot.y + row, width: left, height: 1 };
            frame.render_widget(Line::styled(line, axis), at);
        }
    }
    if has_steps {
        let (from, to) = (format!("{:.0}", range.x0), format!("step {:.0}", range.x1));
        let gap = usize::from(plot.width).saturating_sub(from.len() + to.len());
        let line = format!("{from}{}{to}", " ".repeat(gap));
        let at = Rect { y: plot.bottom(), height: 1, ..plot };
        frame.render_widget(Line::styled(line, axis), at);
    }
    let mut dots = Dots::new(plot, look.glyphs.chart);
    for curve in curves {
        dots.curve(curve, &range);
    }
    dots.paint(frame.buffer_mut());
}

fn draw_legend(frame: &mut Frame<'_>, area: Rect, look: &Look, title: &str, curves: &[Curve<'_>]) {
    let mut spans = Vec::new();
    if !title.is_empty() {
        spans.push(Span::styled(format!("{title}  "), look.style(Scope::Heading)));
    }
    for curve in curves {
        let value = curve.series.last().map_or_else(|| "-".to_owned(), |(_, v)| number(v));
        let sign = if look.glyphs.unicode { "━━" } else { "--" };
        spans.push(Span::styled(format!("{sign} {} ", curve.name), curve.style));
        spans.push(Span::styled(format!("{value}  "), look.style(Scope::Text)));
    }
    frame.render_widget(Line::from(spans), area);
}

/// The part of the plane that is shown.
#[derive(Debug, Clone, Copy)]
struct Range {
    x0: f64,
    x1: f64,
    y0: f64,
    y1: f64,
}

impl Range {
    fn of(curves: &[Curve<'_>]) -> Option<Self> {
        let spans = curves.iter().filter_map(|c| c.series.span());
        let (x0, x1) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let extents = curves.iter().filter_map(|c| c.series.extent(x0, x1));
        let (mut y0, mut y1) = extents.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        // A flat line lies in the middle.
        if y1 - y0 <= f64::EPSILON * y1.abs().max(1e-300) {
            let pad = if y0 == 0.0 { 1.0 } else { y0.abs() * 0.1 };
            (y0, y1) = (y0 - pad, y1 + pad);
        }
        Some(Self { x0, x1: if x1 > x0 { x1 } else { x0 + 1.0 }, y0, y1 })
    }
}

/// Dots in a grid finer than the cells.
struct Dots {
    area: Rect,
    marks: ChartMarks,
    width: usize,
    height: usize,
    /// Style of the dot that lies there; later curves lie on top.
    dots: Vec<Option<Style>>,
}

impl Dots {
    fn new(area: Rect, marks: ChartMarks) -> Self {
        let (per_x, per_y) = per_cell(marks);
        let (width, height) = (usize::from(area.width) * per_x, usize::from(area.height) * per_y);
        Self { area, marks, width, height, dots: vec![None; width * height] }
    }

    fn row(&self, value: f64, range: &Range) -> usize {
        let part = (value - range.y0) / (range.y1 - range.y0);
        let most = (self.height - 1) as f64;
        ((1.0 - part.clamp(0.0, 1.0)) * most).round() as usize
    }

    fn fill(&mut self, x: usize, a: usize, b: usize, style: Style) {
        for y in a.min(b)..=a.max(b) {
            if let Some(dot) = self.dots.get_mut(y * self.width + x) {
                *dot = Some(style);
            }
        }
    }

    fn curve(&mut self, curve: &Curve<'_>, range: &Range) {
        if self.height == 0 {
            return;
        }
        let columns = curve.series.columns(range.x0, range.x1, self.width);
        let mut before: Option<(usize, MinMax)> = None;
        for (x, column) in columns.iter().enumerate() {
            let Some(column) = column else { continue };
            let (top, bottom) = (self.row(column.max, range), self.row(column.min, range));
            self.fill(x, top, bottom, curve.style);
            if curve.sparse && self.marks != ChartMarks::Ascii {
                // A single dot is hard to see.
                self.fill(x, top.saturating_sub(1), (bottom + 1).min(self.height - 1), curve.style);
            }
            if let Some((x0, last)) = before.filter(|(_, last)| !last.gap && !column.gap) {
                self.join((x0, self.row(last.last, range)), (x, self.row(column.first, range)), curve.style);
            }
            before = Some((x, *column));
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

    fn paint(&self, buffer: &mut Buffer) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::glyphs::Glyphs;
    use crate::tui::theme::{Depth, Theme};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(series: &Series, marks: ChartMarks, width: u16, height: u16) -> Vec<String> {
        let theme = Theme::embedded("frost-16", Depth::None);
        let unicode = marks != ChartMarks::Ascii;
        let glyphs = Glyphs { chart: marks, ..if unicode { Glyphs::UNICODE } else { Glyphs::ASCII } };
        let look = Look { theme, glyphs };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let curve = Curve { name: "loss", series, style: Style::new(), sparse: false };
        terminal.draw(|f| draw(f, f.area(), &look, "", &[curve])).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..height).map(row).collect()
    }

    #[test]
    fn one_spike_among_a_hundred_thousand_points_is_seen() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 0.0)).collect();
        points[54_321].1 = 8.0;
        let lines = drawn(&Series::from_points(points), ChartMarks::Braille, 40, 12);
        let spike = |line: &String| line.chars().skip(8).any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(lines[1..10].iter().all(spike), "a line of dots from bottom to top: {lines:#?}");
        assert_eq!(lines[1].chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count(), 1);
    }

    #[test]
    fn ascii_charts_have_no_other_sign() {
        let series = Series::from_points((0..50).map(|i| (f64::from(i), f64::from(i * i))));
        let text = drawn(&series, ChartMarks::Ascii, 40, 10).join("\n");
        assert!(text.is_ascii() && text.contains(':'), "{text}");
    }

    #[test]
    fn any_size_and_any_values_are_drawn_without_a_panic() {
        let values = [f64::NAN, f64::INFINITY, -1e300, 1e300, 0.0, f64::MIN_POSITIVE];
        let odd = Series::from_points(values.iter().enumerate().map(|(i, v)| (i as f64, *v)));
        for marks in [ChartMarks::Braille, ChartMarks::Block, ChartMarks::Ascii] {
            for series in [Series::default(), Series::from_points([(3.0, 0.5)]), odd.clone()] {
                for (w, h) in [(1, 1), (4, 2), (5, 3), (20, 5), (13, 9), (200, 3)] {
                    drawn(&series, marks, w, h);
                }
            }
        }
    }

    #[test]
    fn sparse_points_are_joined_and_gaps_are_not() {
        let full = |l: &Vec<String>| {
            l.iter()
                .skip(1)
                .any(|line| line.trim_end().chars().filter(|c| *c == ':' || *c == '\'' || *c == '.').count() > 10)
        };
        let joined = Series::from_points([(0.0, 1.0), (100.0, 1.0)]);
        assert!(full(&drawn(&joined, ChartMarks::Ascii, 40, 3)));
    }
}
