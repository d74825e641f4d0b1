//! What lies on top of a screen.

mod charts;
mod diff;
mod form;
mod help;
mod lineage;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::look::Look;
use super::screens::{details, pane};
use super::theme::Scope;
use super::widgets::{popup, text, window};
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::age;
use crate::app::message::RecipeEntry;
use crate::app::overlay::{Ask, Confirm, Input, Overlay};
use crate::app::palette;
use crate::app::place::Screen;
use crate::app::pointer::Target;

/// Draws one overlay.
pub fn draw(f: &mut Frame<'_>, area: Rect, overlay: &Overlay, model: &Model, look: &Look) {
    // The footer keeps its line: it says the overlay's keys.
    let footer = u16::from(area.height >= 5);
    let area = Rect { height: area.height - footer, ..area };
    match overlay {
        Overlay::Help { scroll } => help::draw(f, area, *scroll, model, look),
        Overlay::Messages { scroll } => messages(f, area, *scroll, model, look),
        Overlay::Recipes { entries, cursor } => recipes(f, area, entries.as_deref(), *cursor, model, look),
        Overlay::ChooseCharts { cursor } => charts::choose(f, area, *cursor, model, look),
        Overlay::OverlayRuns { cursor } => charts::runs(f, area, *cursor, model, look),
        Overlay::Themes { names, cursor, .. } => themes(f, area, names, *cursor, look),
        Overlay::Palette { input, cursor } => palette(f, area, input, *cursor, model, look),
        Overlay::Lineage { kin, cursor } => lineage::draw(f, area, kin, *cursor, look),
        Overlay::Form(form) => form::draw(f, area, form, look),
        Overlay::Diff(view) => diff::draw(f, area, view, look),
        Overlay::Confirm(ask) => confirm(f, area, ask, model, look),
        Overlay::Explain { scroll } => {
            let wide = usize::from(area.width.saturating_sub(6)).clamp(8, 56);
            let lines = match model.screen {
                Screen::Checkpoints => details::lines(model, look, wide),
                _ => pane::lines(model, look, wide),
            };
            scrolled(f, area, look, "Explained", lines, *scroll);
        }
        Overlay::Ask(ask) => draw_ask(f, area, ask, look),
        Overlay::Text { title, lines, scroll } => {
            let style = look.style(Scope::Text);
            let wide = usize::from(area.width.saturating_sub(6)).clamp(10, 90);
            let wrapped = lines.iter().flat_map(|l| text::wrap(&look.glyphs.plain(l), wide));
            let lines: Vec<Line<'_>> = wrapped.map(|l| Line::styled(l, style)).collect();
            scrolled(f, area, look, title, lines, *scroll);
        }
    }
}

/// A box with lines, from `scroll` on as far as there is something to scroll.
fn scrolled(f: &mut Frame<'_>, area: Rect, look: &Look, title: &str, lines: Vec<Line<'_>>, scroll: usize) {
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16;
    let room = usize::from(popup::room(area)).max(1);
    let first = scroll.min(lines.len().saturating_sub(room));
    let title = if lines.len() > room {
        format!("{title} ({}-{} of {})", first + 1, (first + room).min(lines.len()), lines.len())
    } else {
        title.to_owned()
    };
    let inner = popup::draw(f, area, look, &title, width.max(text::width(&title) as u16), lines.len() as u16);
    for (i, line) in lines.into_iter().skip(first).take(usize::from(inner.height)).enumerate() {
        f.render_widget(line, Rect { y: inner.y + i as u16, height: 1, ..inner });
    }
}

fn messages(f: &mut Frame<'_>, area: Rect, scroll: usize, model: &Model, look: &Look) {
    let wide = usize::from(area.width.saturating_sub(16)).clamp(10, 100);
    let mut lines = Vec::new();
    for toast in model.toasts.iter().rev() {
        for (i, words) in text::wrap(&look.glyphs.plain(&toast.text), wide).into_iter().enumerate() {
            let when = if i == 0 { age(model.now_ms, toast.at_ms) } else { String::new() };
            lines.push(Line::from_iter([
                Span::styled(format!("{when:>7}  "), look.style(Scope::TextFaint)),
                Span::styled(words, look.level(toast.level)),
            ]));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("nothing was said yet", look.style(Scope::TextDim)));
    }
    scrolled(f, area, look, "Messages, newest first", lines, scroll);
}

fn recipes(f: &mut Frame<'_>, area: Rect, entries: Option<&[RecipeEntry]>, cursor: usize, model: &Model, look: &Look) {
    let title = "New run from a recipe of this folder";
    let say = |f: &mut Frame<'_>, words: &[&str]| {
        let lines = words.iter().map(|w| Line::styled(look.glyphs.plain(w), look.style(Scope::TextDim))).collect();
        scrolled(f, area, look, title, lines, 0);
    };
    let Some(entries) = entries else { return say(f, &["looking for recipes…"]) };
    if entries.is_empty() {
        let key = model.keymap.first(Action::NewRecipe);
        let how = format!("`{key}` on the run list writes one to start from.");
        return say(f, &["No *.toml file is here.", &how]);
    }
    let inner = popup::draw(f, area, look, title, 76, entries.len() as u16);
    let height = usize::from(inner.height);
    let first = window(cursor, entries.len(), height);
    for (i, entry) in entries.iter().enumerate().skip(first).take(height) {
        let base = if i == cursor { look.style(Scope::Selection) } else { Style::new() };
        let name = entry.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let (words, style) = match &entry.summary {
            Ok(words) => (words.clone(), look.style(Scope::TextDim)),
            Err(problem) => (problem.lines().next().unwrap_or_default().to_owned(), look.style(Scope::Error)),
        };
        let wide = usize::from(inner.width);
        let left = (wide / 3).max(12).min(wide);
        let e = look.glyphs.ellipsis;
        let line = Line::from_iter([
            Span::styled(text::fit(&name, left, false, e), look.style(Scope::Text).patch(base)),
            Span::styled(text::fit(&format!(" {words}"), wide - left, false, e), style.patch(base)),
        ]);
        let at = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        look.hits.note(at, Target::TopRow(i));
        f.render_widget(line, at);
    }
}

fn themes(f: &mut Frame<'_>, area: Rect, names: &[String], cursor: usize, look: &Look) {
    let inner = popup::draw(f, area, look, "Theme", 30, names.len() as u16);
    let height = usize::from(inner.height);
    let first = window(cursor, names.len(), height);
    for (i, name) in names.iter().enumerate().skip(first).take(height) {
        let base = if i == cursor { look.style(Scope::Selection) } else { Style::new() };
        let at = Rect { y: inner.y + (i - first) as u16, height: 1, ..inner };
        let words =
            text::fit(&format!(" {}", look.glyphs.plain(name)), usize::from(at.width), false, look.glyphs.ellipsis);
        look.hits.note(at, Target::TopRow(i));
        f.render_widget(Line::styled(words, look.style(Scope::Text).patch(base)), at);
    }
}

fn palette(f: &mut Frame<'_>, area: Rect, input: &Input, cursor: usize, model: &Model, look: &Look) {
    let offer = palette::offer(model, &input.text);
    let inner = popup::draw(f, area, look, "Do what?", 104, (offer.len() as u16 + 1).clamp(2, 14));
    field(f, Rect { height: inner.height.min(1), ..inner }, input, look);
    let height = usize::from(inner.height.saturating_sub(1));
    if offer.is_empty() && height > 0 {
        let at = Rect { y: inner.y + 1, height: 1, ..inner };
        let words = format!(" {}", palette::nothing(model, &input.text));
        f.render_widget(Line::styled(words, look.style(Scope::TextFaint)), at);
    }
    let first = window(cursor, offer.len(), height);
    for (i, action) in offer.iter().enumerate().skip(first).take(height) {
        let base = if i == cursor { look.style(Scope::Selection) } else { Style::new() };
        let line = action_line(*action, usize::from(inner.width), model, look, base);
        let at = Rect { y: inner.y + 1 + (i - first) as u16, height: 1, ..inner };
        look.hits.note(at, Target::TopRow(i));
        f.render_widget(line, at);
    }
}

/// Keys, name and words of an action.
fn action_line(action: Action, width: usize, model: &Model, look: &Look, base: Style) -> Line<'static> {
    let keys: Vec<String> = model.keymap.keys(action).iter().map(ToString::to_string).collect();
    let e = look.glyphs.ellipsis;
    let left = 16.min(width);
    let name = if width >= 60 { 18 } else { 0 };
    let place = palette::elsewhere(model, action).map_or_else(String::new, |s| format!("{}: ", s.title()));
    Line::from_iter([
        Span::styled(text::fit(&keys.join(" "), left, false, e), look.style(Scope::HintKey).patch(base)),
        Span::styled(text::fit(action.info().name, name, false, e), look.style(Scope::Text).patch(base)),
        Span::styled(
            text::fit(&format!(" {place}{}", action.info().text), width - left - name, false, e),
            look.style(Scope::TextDim).patch(base),
        ),
    ])
}

fn confirm(f: &mut Frame<'_>, area: Rect, ask: &Confirm, model: &Model, look: &Look) {
    let wide = usize::from(area.width.saturating_sub(6)).clamp(10, 66);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in &ask.lines {
        let wrapped = text::wrap(&look.glyphs.plain(line), wide);
        lines.extend(wrapped.into_iter().map(|l| Line::styled(l, look.style(Scope::Text))));
    }
    if area.height > lines.len() as u16 + 4 {
        lines.push(Line::default());
    }
    let other = ask.other.as_ref().map(|_| Action::ConfirmOther);
    let answers = [Some(Action::ConfirmYes), other, Some(Action::ConfirmNo)].into_iter().flatten();
    let answers = answers.map(|action| {
        let key = Span::styled(model.keymap.first(action), look.style(Scope::HintKey));
        [key, Span::styled(format!(" {}   ", action.info().text), look.style(Scope::TextDim))]
    });
    let answers: Vec<[Span<'_>; 2]> = answers.collect();
    // Where they have no room beside each other, each has a line.
    if answers.iter().flatten().map(Span::width).sum::<usize>() <= usize::from(area.width.saturating_sub(6)) {
        lines.push(Line::from_iter(answers.into_iter().flatten()));
    } else {
        lines.extend(answers.into_iter().map(Line::from_iter));
    }
    scrolled(f, area, look, &ask.title, lines, usize::MAX);
}

/// A text field, and below it what the text would do.
fn draw_ask(f: &mut Frame<'_>, area: Rect, ask: &Ask, look: &Look) {
    let wide = usize::from(area.width.saturating_sub(6)).clamp(10, 70);
    let (lines, scope): (Vec<&str>, Scope) = match &ask.preview {
        Ok(lines) => (lines.iter().map(String::as_str).collect(), Scope::TextFaint),
        Err(problem) => (problem.lines().collect(), Scope::Error),
    };
    let wrapped: Vec<String> = lines.iter().flat_map(|l| text::wrap(&look.glyphs.plain(l), wide)).collect();
    let height = (wrapped.len() as u16).clamp(1, 12) + 1;
    let inner = popup::draw(f, area, look, &ask.title, 70, height);
    field(f, Rect { height: inner.height.min(1), ..inner }, &ask.input, look);
    for (i, line) in wrapped.iter().take(usize::from(inner.height.saturating_sub(1))).enumerate() {
        let at = Rect { y: inner.y + 1 + i as u16, height: 1, ..inner };
        f.render_widget(
            Line::styled(text::cut(line, usize::from(at.width), look.glyphs.ellipsis), look.style(scope)),
            at,
        );
    }
}

/// A text field with its cursor in view.
fn field(f: &mut Frame<'_>, area: Rect, input: &Input, look: &Look) {
    if area.is_empty() {
        return;
    }
    let wide = usize::from(area.width).saturating_sub(2);
    let before: String = input.text.chars().take(input.cursor).collect();
    let shown = text::cut_front(&before, wide, look.glyphs.ellipsis);
    let after: String = input.text.chars().skip(input.cursor).collect();
    let at = area.x + 1 + text::width(&shown) as u16;
    let rest = text::cut(&after, wide.saturating_sub(text::width(&shown)), look.glyphs.ellipsis);
    let line = text::fit(&format!(" {shown}{rest}"), usize::from(area.width), false, "");
    f.render_widget(Line::styled(line, look.style(Scope::Selection)), area);
    f.set_cursor_position((at.min(area.right().saturating_sub(1)), area.y));
}
