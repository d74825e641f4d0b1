//! A form: names at the left, fields, and what is wrong with each beside it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::field;
use crate::app::form::{Field, Form};
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{popup, text, window};

/// Cells of the names.
const LABEL: u16 = 13;

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, form: &Form, look: &Look) {
    // Below the fields: all of what is wrong with the one that has the cursor, or with none of them.
    let below = below(form, usize::from(area.width.saturating_sub(6)).clamp(10, 96), look);
    let rows = form.fields.len();
    let inner = popup::draw(f, area, look, &form.title, 96, (rows + 3) as u16);
    let words = (below.len() as u16).min(3).min(inner.height.saturating_sub(1));
    let height = usize::from(inner.height - words).min(rows);
    let first = window(form.cursor, rows, height);
    // The field with the cursor comes last: it sets the terminal's cursor.
    let order = (first..rows.min(first + height)).filter(|i| *i != form.cursor).chain([form.cursor]);
    for i in order {
        let Some(one) = form.fields.get(i).filter(|_| i >= first && i < first + height) else { continue };
        let at = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        look.hits.note(at, Target::TopRow(i));
        draw_field(f, at, one, i == form.cursor, look);
    }
    for (i, (line, scope)) in below.iter().take(usize::from(words)).enumerate() {
        let at = Rect { y: inner.bottom() - words + i as u16, height: 1, ..inner };
        f.render_widget(Line::styled(line.as_str(), look.style(*scope)), at);
    }
}

fn below(form: &Form, wide: usize, look: &Look) -> Vec<(String, Scope)> {
    if let Some(words) = form.waits() {
        return vec![(look.glyphs.plain(words), Scope::TextDim)];
    }
    let own = form.fields.get(form.cursor);
    let (words, scope) = match own.and_then(|f| f.problem.as_ref()).or(form.problems.first()) {
        Some(problem) => (vec![problem.clone()], Scope::Error),
        None if form.notes.is_empty() => (own.map(|f| f.hint.to_owned()).into_iter().collect(), Scope::TextFaint),
        None => (form.notes.clone(), Scope::TextDim),
    };
    let lines = words.iter().flat_map(|words| text::wrap(&look.glyphs.plain(words), wide));
    lines.map(|line| (line, scope)).collect()
}

fn draw_field(f: &mut Frame<'_>, area: Rect, one: &Field, here: bool, look: &Look) {
    let label = LABEL.min(area.width / 3);
    let name = look.style(if here { Scope::HintKey } else { Scope::TextDim });
    f.render_widget(
        Line::styled(text::fit(one.label, usize::from(label), false, ""), name),
        Rect { width: label, ..area },
    );
    let rest = Rect { x: area.x + label, width: area.width - label, ..area };
    let wide = (rest.width / 2).clamp(12.min(rest.width), 34.min(rest.width));
    let at = Rect { width: wide, ..rest };
    if here && !one.closed {
        field(f, at, &one.input, look);
    } else {
        let choice = |t: &str| if one.choices.is_empty() { t.to_owned() } else { format!("< {t} >") };
        let shown = if one.input.text.is_empty() { String::new() } else { choice(&one.input.text) };
        let style = look.style(if here { Scope::Selection } else { Scope::Text });
        let words = text::fit(&format!(" {shown}"), usize::from(wide), false, look.glyphs.ellipsis);
        f.render_widget(Line::styled(words, style), at);
    }
    let (words, scope) = match &one.problem {
        Some(problem) => (format!("{} {problem}", look.glyphs.no), Scope::Error),
        None if one.input.text.trim().is_empty() => (one.hint.to_owned(), Scope::TextFaint),
        None => return,
    };
    let beside = Rect { x: at.right() + 1, width: rest.width.saturating_sub(wide + 1), ..rest };
    let words = text::cut(&look.glyphs.plain(&words), usize::from(beside.width), look.glyphs.ellipsis);
    f.render_widget(Line::styled(words, look.style(scope)), beside);
}
