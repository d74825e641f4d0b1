//! A line chart that loses no spike: each column of dots is filled from the smallest to the largest value in it.

mod dots;
mod scale;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text;
use crate::app::format::within;
use crate::core::series::{Column, Series, edges};
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use dots::Dots;
use scale::Scale;

/// One curve.
pub struct Curve<'a> {
    /// Its points.
    pub series: &'a Series,
    /// Its colour.
    pub style: Style,
    /// The style of the measured values behind a smoothed curve; `None` leaves them out.
    pub behind: Option<Style>,
    /// Its single points are marked and joined: few points that matter each, as validations.
    pub sparse: bool,
    /// A sign at its end, where colours do not tell it from others.
    pub tag: Option<char>,
    /// The step that lies at a place of the axis.
    pub step: Box<dyn Fn(f64) -> f64 + 'a>,
}

/// A sign below the curves, or at a value.
pub struct Mark {
    /// Where on the axis.
    pub at: f64,
    /// Where on the curve; below it when `None`.
    pub value: Option<f64>,
    /// The sign.
    pub sign: &'static str,
    /// Its style.
    pub style: Style,
}

/// A chart.
pub struct Chart<'a> {
    /// What stands above it: parts that leave from the right where there is no room.
    pub heading: Vec<Vec<Span<'a>>>,
    /// Curves, the last on top.
    pub curves: Vec<Curve<'a>>,
    /// First and last place of the axis.
    pub x: (f64, f64),
    /// What stands at its ends.
    pub ends: (String, String),
    /// Values by their logarithm.
    pub log: bool,
    /// Outliers are left out of the range.
    pub cut_outliers: bool,
    /// Where the cursor is on the axis.
    pub cursor: Option<f64>,
    /// What the mouse drags over, from left to right.
    pub band: Option<(f64, f64)>,
    /// Signs below the curves; of two at one place the last is seen.
    pub marks: Vec<Mark>,
    /// How its values are written.
    pub number: fn(f64) -> String,
    /// Least and largest value that it can have, where there are such.
    pub limits: Option<(f64, f64)>,
}

/// Cells of the values beside a chart.
const LABELS: u16 = 7;

impl Chart<'_> {
    /// Draws it, and tells where the curves are.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, look: &Look) -> Option<Rect> {
        if area.width < 4 || area.height < 2 {
            return None;
        }
        self.heading(frame, Rect { height: 1, ..area });
        let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let left = if area.width >= LABELS + 13 { LABELS + 1 } else { 0 };
        let axis = u16::from(below.height >= 4);
        let plot = Rect { x: below.x + left, width: below.width - left, height: below.height - axis, ..below };
        let mut dots = Dots::new(plot, look.glyphs.chart);
        let columns: Vec<Columns> = self.curves.iter().map(|c| self.columns(c, dots.width)).collect();
        let ranges = columns.iter().flat_map(|c| c.behind.iter().chain([&c.curve])).map(Vec::as_slice);
        let Some(scale) = Scale::of(ranges, self.log, self.cut_outliers).map(|s| s.within(self.limits)) else {
            let empty = self.curves.iter().all(|c| c.series.is_empty());
            let text = match (empty, self.log) {
                (true, _) => "no values yet",
                (false, true) => "no values above zero here",
                (false, false) => "no values here",
            };
            let line = Line::styled(text::cut(text, usize::from(plot.width), ""), look.style(Scope::TextFaint));
            frame.render_widget(line, Rect { y: plot.y + plot.height / 2, height: 1, ..plot });
            return None;
        };
        labels(frame, Rect { width: left, height: plot.height, ..below }, look, &scale, self.number);
        self.draw_cursor(frame, plot, look);
        for (curve, columns) in self.curves.iter().zip(&columns) {
            if let (Some(style), Some(behind)) = (curve.behind, &columns.behind) {
                dots.curve(behind, &scale, style, false);
            }
        }
        for (curve, columns) in self.curves.iter().zip(&columns) {
            dots.curve(&columns.curve, &scale, curve.style, curve.sparse);
        }
        dots.paint(frame.buffer_mut());
        for (curve, columns) in self.curves.iter().zip(&columns) {
            cut_marks(frame, plot, look, &dots, &scale, columns);
            tag(frame, plot, &dots, &scale, curve, columns);
        }
        for mark in &self.marks {
            let cell = self.cell(mark.at, plot.width).filter(|_| plot.height > 0);
            if let (Some(cell), Some(value)) = (cell, mark.value) {
                put(frame, plot, (cell, row(&scale, value, plot.height)), mark.sign, mark.style);
            }
        }
        if axis > 0 {
            self.axis(frame, Rect { y: plot.bottom(), height: 1, ..plot }, look);
        }
        if let Some((from, to)) = self.band {
            let cells = (self.cell(from, plot.width), self.cell(to, plot.width));
            if let (Some(from), Some(to)) = cells {
                let band = Rect { x: plot.x + from, width: to - from + 1, ..plot };
                frame.buffer_mut().set_style(band, look.style(Scope::Selection));
            }
        }
        Some(plot)
    }

    fn columns(&self, curve: &Curve<'_>, width: usize) -> Columns {
        let edges: Vec<f64> = edges(self.x, width).into_iter().map(|at| (curve.step)(at)).collect();
        let behind = curve.series.is_smoothed() && curve.behind.is_some();
        Columns { behind: behind.then(|| curve.series.columns(&edges)), curve: curve.series.smooth_columns(&edges) }
    }

    fn heading(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut room = usize::from(area.width);
        let mut spans = Vec::new();
        for part in &self.heading {
            let wide: usize = part.iter().map(Span::width).sum();
            if wide > room && !spans.is_empty() {
                break;
            }
            room = room.saturating_sub(wide);
            spans.extend(part.iter().cloned());
        }
        frame.render_widget(Line::from(spans), area);
    }

    /// The cell of a place of the axis; `None` where it is not shown.
    fn cell(&self, at: f64, width: u16) -> Option<u16> {
        let part = (at - self.x.0) / (self.x.1 - self.x.0);
        // What lies at an end by a rounding is still shown.
        let inside = width > 0 && (-1e-9..=1.0 + 1e-9).contains(&part);
        inside.then(|| ((part * f64::from(width)).max(0.0) as u16).min(width - 1))
    }

    fn draw_cursor(&self, frame: &mut Frame<'_>, plot: Rect, look: &Look) {
        let Some(cell) = self.cursor.and_then(|at| self.cell(at, plot.width)) else { return };
        for y in plot.top()..plot.bottom() {
            let at = Rect { x: plot.x + cell, y, width: 1, height: 1 };
            frame.render_widget(Span::styled(look.glyphs.bar, look.style(Scope::HintKey)), at);
        }
    }

    fn axis(&self, frame: &mut Frame<'_>, area: Rect, look: &Look) {
        let wide = usize::from(area.width);
        let (from, to) = (text::cut(&self.ends.0, wide, ""), text::cut(&self.ends.1, wide, ""));
        let style = look.style(Scope::ChartAxis);
        let room = wide.saturating_sub(text::width(&from) + text::width(&to));
        let line = if room == 0 { text::fit(&to, wide, true, "") } else { format!("{from}{}{to}", " ".repeat(room)) };
        frame.render_widget(Line::styled(line, style), area);
        for mark in self.marks.iter().filter(|m| m.value.is_none()) {
            let Some(cell) = self.cell(mark.at, area.width) else { continue };
            // The numbers at the ends are not covered.
            let before = text::width(&from) as u16;
            if cell >= before && usize::from(cell) < wide - text::width(&to) || room == 0 {
                let at = Rect { x: area.x + cell, width: 1, ..area };
                frame.render_widget(Span::styled(mark.sign, mark.style), at);
            }
        }
    }
}

struct Columns {
    behind: Option<Vec<Column>>,
    curve: Vec<Column>,
}

/// Values beside the chart.
fn labels(frame: &mut Frame<'_>, area: Rect, look: &Look, scale: &Scale, number: fn(f64) -> String) {
    if area.is_empty() {
        return;
    }
    let middle = (area.height - 1) / 2;
    for row in 0..area.height {
        let part = 1.0 - f64::from(row) / f64::from((area.height - 1).max(1));
        let shown = row == 0 || row + 1 == area.height || (area.height >= 7 && row == middle);
        let words = || look.glyphs.plain(&within(scale.value(part), usize::from(LABELS), number));
        let label = if shown { words() } else { String::new() };
        let line = format!("{}{}", text::fit(&label, usize::from(LABELS), true, ""), look.glyphs.bar);
        frame.render_widget(
            Line::styled(line, look.style(Scope::ChartAxis)),
            Rect { y: area.y + row, height: 1, ..area },
        );
    }
}

/// Signs where a curve goes on above or below what is shown.
fn cut_marks(frame: &mut Frame<'_>, plot: Rect, look: &Look, dots: &Dots, scale: &Scale, columns: &Columns) {
    let all = columns.behind.as_ref().unwrap_or(&columns.curve);
    for (x, range) in all.iter().enumerate().filter_map(|(x, c)| Some((x, c.range?))) {
        let (above, below) = scale.cuts(&range);
        for (cut, y, sign) in [(above, 0, look.glyphs.above), (below, plot.height - 1, look.glyphs.below)] {
            if cut && dots.cell(x) < plot.width {
                put(frame, plot, (dots.cell(x), y), sign, look.style(Scope::Warning));
            }
        }
    }
}

/// A sign at a curve's end.
fn tag(frame: &mut Frame<'_>, plot: Rect, dots: &Dots, scale: &Scale, curve: &Curve<'_>, columns: &Columns) {
    let Some(tag) = curve.tag else { return };
    let ends = columns.curve.iter().enumerate().rev().find_map(|(x, c)| Some((x, c.range?)));
    let Some((x, range)) = ends else { return };
    if dots.cell(x) < plot.width {
        put(frame, plot, (dots.cell(x), row(scale, range.last, plot.height)), &tag.to_string(), curve.style);
    }
}

/// The row of cells in which a value lies.
fn row(scale: &Scale, value: f64, height: u16) -> u16 {
    let part = 1.0 - scale.part(value).clamp(0.0, 1.0);
    (part * f64::from(height.saturating_sub(1))).round() as u16
}

fn put(frame: &mut Frame<'_>, plot: Rect, (x, y): (u16, u16), sign: &str, style: Style) {
    let at = Rect { x: plot.x + x, y: plot.y + y, width: 1, height: 1 };
    frame.render_widget(Span::styled(sign, style), at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::ChartMarks;
    use crate::tui::glyphs::Glyphs;
    use crate::tui::theme::{Depth, Theme};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(series: &Series, marks: ChartMarks, width: u16, height: u16) -> Vec<String> {
        let theme = Theme::embedded("frost-16", Depth::None);
        let unicode = marks != ChartMarks::Ascii;
        let glyphs = Glyphs { chart: marks, ..if unicode { Glyphs::UNICODE } else { Glyphs::ASCII } };
        let look = Look { theme, glyphs, hits: crate::tui::hits::Hits::default() };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let curve =
            |tag| Curve { series, style: Style::new(), behind: None, sparse: false, tag, step: Box::new(|x| x) };
        let x = series.span().unwrap_or_default();
        let mark = Mark { at: x.0, value: Some(0.5), sign: "*", style: Style::new() };
        let chart = Chart {
            heading: vec![vec!["loss".into()], vec![" 0.5".into()]],
            curves: vec![curve(None), curve(None)],
            x: (x.0, x.1.max(x.0 + 1.0)),
            ends: ("0".to_owned(), "step 9".to_owned()),
            log: false,
            cut_outliers: true,
            cursor: None,
            band: None,
            marks: vec![mark],
            number: crate::app::format::number,
            limits: None,
        };
        terminal
            .draw(|f| {
                let _ = chart.draw(f, f.area(), &look);
            })
            .unwrap();
        let odd = [Some(x.1), Some(f64::NAN), Some(1e300)];
        for (cursor, log) in odd.into_iter().zip([true, false, true]) {
            let chart = Chart {
                cursor,
                log,
                curves: vec![curve(Some('2'))],
                heading: Vec::new(),
                band: None,
                marks: Vec::new(),
                number: crate::app::format::number,
                limits: None,
                ..chart_ends(&chart)
            };
            let mut other = Terminal::new(TestBackend::new(width, height)).unwrap();
            other
                .draw(|f| {
                    let _ = chart.draw(f, f.area(), &look);
                })
                .unwrap();
        }
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..height).map(row).collect()
    }

    fn chart_ends<'a>(chart: &Chart<'_>) -> Chart<'a> {
        Chart {
            heading: Vec::new(),
            curves: Vec::new(),
            band: None,
            marks: Vec::new(),
            number: crate::app::format::number,
            limits: None,
            x: chart.x,
            ends: chart.ends.clone(),
            log: chart.log,
            cut_outliers: chart.cut_outliers,
            cursor: chart.cursor,
        }
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
    fn points_far_apart_are_joined_and_gaps_are_not() {
        let full = |l: &Vec<String>| {
            l.iter()
                .skip(1)
                .any(|line| line.trim_end().chars().filter(|c| *c == ':' || *c == '\'' || *c == '.').count() > 10)
        };
        let joined = Series::from_points([(0.0, 1.0), (100.0, 1.0)]);
        assert!(full(&drawn(&joined, ChartMarks::Ascii, 40, 3)));
        let broken = Series::from_points([(0.0, 1.0), (50.0, f64::NAN), (100.0, 1.0)]);
        assert!(!full(&drawn(&broken, ChartMarks::Ascii, 40, 3)));
    }
}
