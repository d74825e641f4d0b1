//! How far layers or tensors moved between two checkpoints.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::diff_view::{DiffView, Row, Side};
use crate::app::format::number;
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{gauge, popup, text, window};

/// Cells of words, numbers and the bar.
const WORDS: usize = 18;
const NUMBER: usize = 10;
const BAR: usize = 12;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, view: &DiffView, look: &Look) {
    let one_run = view.before.run == view.after.run;
    let side = |s: &Side| if one_run { format!("step {}", s.step) } else { format!("{} step {}", s.run_name, s.step) };
    let title = format!("{} {} {}", side(&view.before), look.glyphs.arrow, side(&view.after));
    let title = if one_run { format!("{}: {title}", view.after.run_name) } else { title };
    // As much of the screen as there is.
    let inner = popup::draw(f, area, look, &title, area.width.saturating_sub(6), area.height.saturating_sub(2));
    let say = |f: &mut Frame<'_>, words: &str, scope: Scope| {
        let lines = text::wrap(&look.glyphs.plain(words), usize::from(inner.width).max(1));
        for (i, line) in lines.into_iter().take(usize::from(inner.height)).enumerate() {
            f.render_widget(Line::styled(line, look.style(scope)), Rect { y: inner.y + i as u16, height: 1, ..inner });
        }
    };
    match &view.drift {
        None => return say(f, "comparing…", Scope::TextDim),
        Some(Err(problem)) => return say(f, problem, Scope::Error),
        Some(Ok(_)) => {}
    }
    let (equal, all) = view.equal();
    if view.rows().is_empty() {
        let words = format!("Nothing moved: all {all} tensors are bit-equal.");
        return say(f, &words, Scope::TextDim);
    }
    let wide = usize::from(inner.width);
    let columns = Columns::of(wide);
    let head = u16::from(inner.height >= 4);
    let foot = u16::from(inner.height >= 6);
    if head > 0 {
        let what = if view.tensors { "tensor" } else { "layer" };
        let line = columns.line(what, ["", "relative L2", "max abs"], "", look.style(Scope::Heading), look);
        f.render_widget(line, Rect { height: 1, ..inner });
    }
    let list = Rect { y: inner.y + head, height: inner.height - head - foot, ..inner };
    let rows = view.rows();
    let height = usize::from(list.height);
    let first = window(view.cursor, rows.len(), height);
    let most = view.most();
    for (i, row) in rows.iter().enumerate().skip(first).take(height) {
        let at = Rect { y: list.y + (i - first) as u16, height: 1, ..list };
        look.hits.note(at, Target::TopRow(i));
        let mut line = draw_row(row, &columns, most, look);
        if i == view.cursor {
            let chosen = look.style(Scope::Selection);
            f.buffer_mut().set_style(at, chosen);
            line.spans.iter_mut().for_each(|span| span.style = span.style.patch(chosen));
        }
        f.render_widget(line, at);
    }
    if foot > 0 {
        let words = format!("{equal} of {all} tensors are bit-equal  {}/{}", view.cursor + 1, rows.len());
        let words = text::cut(&words, wide, look.glyphs.ellipsis);
        let at = Rect { y: list.bottom(), height: 1, ..inner };
        f.render_widget(Line::styled(words, look.style(Scope::TextFaint)), at);
    }
}

/// Which columns there is room for, and the cells of the first.
struct Columns {
    path: usize,
    words: bool,
    largest: bool,
    bar: bool,
}

impl Columns {
    fn of(wide: usize) -> Self {
        let (largest, words, bar) = (wide >= 44, wide >= 62, wide >= 76);
        let taken =
            12 + usize::from(largest) * (NUMBER + 1) + usize::from(words) * (WORDS + 1) + usize::from(bar) * (BAR + 1);
        Self { path: wide.saturating_sub(taken), words, largest, bar }
    }

    fn line(
        &self,
        path: &str,
        [words, relative, largest]: [&str; 3],
        bar: &str,
        style: Style,
        look: &Look,
    ) -> Line<'static> {
        let e = look.glyphs.ellipsis;
        let mut spans = vec![Span::styled(text::fit(path, self.path, false, e), style)];
        if self.words {
            spans.push(Span::styled(format!(" {}", text::fit(words, WORDS, false, e)), style));
        }
        spans.push(Span::styled(format!(" {}", text::fit(relative, 11, true, e)), style));
        if self.largest {
            spans.push(Span::styled(format!(" {}", text::fit(largest, NUMBER, true, e)), style));
        }
        if self.bar {
            spans.push(Span::styled(format!(" {}", text::fit(bar, BAR, false, "")), look.style(Scope::GaugeFull)));
        }
        Line::from(spans)
    }
}

fn draw_row(row: &Row, columns: &Columns, most: f64, look: &Look) -> Line<'static> {
    let name = if row.path.is_empty() { "the whole model" } else { &row.path };
    // In a tree the last part says enough.
    let name = if row.depth > 1 { name.rsplit('.').next().unwrap_or(name) } else { name };
    let path = format!("{}{name}", "  ".repeat(row.depth));
    let value = |v: Option<f64>| match v {
        _ if row.equal => "=".to_owned(),
        Some(v) => number(v),
        None => "-".to_owned(),
    };
    let part = row.relative.filter(|_| most > 0.0 && !row.path.is_empty()).map_or(0.0, |r| r / most);
    let full = if part > 0.0 { gauge::cells(part, BAR).0.max(1) } else { 0 };
    let style = look.style(if row.equal { Scope::TextFaint } else { Scope::Text });
    columns.line(
        &path,
        [&row.words, &value(row.relative), &value(row.largest)],
        &look.glyphs.full.repeat(full),
        style,
        look,
    )
}
