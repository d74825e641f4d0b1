//! Lists to switch charts and other runs' curves on and off.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::Model;
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{popup, text, window};

/// One line: switched on or off, name, more words.
struct Entry {
    on: bool,
    name: String,
    words: String,
}

pub(super) fn choose(f: &mut Frame<'_>, area: Rect, cursor: usize, model: &Model, look: &Look) {
    let Some(view) = model.shown() else { return };
    let all = model.charts.all(view);
    let entries = all.into_iter().map(|chart| {
        let on = model.charts.shows(&chart);
        Entry { on, words: chart.metrics.join(", "), name: chart.name }
    });
    list(f, area, cursor, &entries.collect::<Vec<_>>(), ("Charts", "nothing is measured yet"), look);
}

pub(super) fn runs(f: &mut Frame<'_>, area: Rect, cursor: usize, model: &Model, look: &Look) {
    let entries = crate::app::other_runs(model).into_iter().map(|run| Entry {
        on: model.charts.overlaid.iter().any(|o| o.id == run.id.as_str()),
        name: run.name.clone(),
        words: format!("{}, step {}, {}", run.status, run.step, run.id),
    });
    list(f, area, cursor, &entries.collect::<Vec<_>>(), ("Draw over this run", "there is no other run"), look);
}

fn list(f: &mut Frame<'_>, area: Rect, cursor: usize, entries: &[Entry], (title, none): (&str, &str), look: &Look) {
    let inner = popup::draw(f, area, look, title, 70, (entries.len() as u16).max(1));
    if entries.is_empty() {
        f.render_widget(Line::styled(none, look.style(Scope::TextDim)), Rect { height: inner.height.min(1), ..inner });
        return;
    }
    let (wide, e) = (usize::from(inner.width), look.glyphs.ellipsis);
    let first = window(cursor, entries.len(), usize::from(inner.height));
    for (i, entry) in entries.iter().enumerate().skip(first).take(usize::from(inner.height)) {
        let base = if i == cursor { look.style(Scope::Selection) } else { Style::new() };
        let left = (wide / 2).min(28);
        let name = format!("{} {}", if entry.on { "[x]" } else { "[ ]" }, entry.name);
        let words = format!(" {}", entry.words);
        let line = Line::from_iter([
            Span::styled(text::fit(&name, left, false, e), look.style(Scope::Text).patch(base)),
            Span::styled(text::fit(&words, wide - left, false, e), look.style(Scope::TextDim).patch(base)),
        ]);
        let at = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        look.hits.note(at, Target::TopRow(i));
        f.render_widget(line, at);
    }
}
