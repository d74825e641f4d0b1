//! Header with the screens' names, footer with the keys of this place, and toasts.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::bytes_of;
use crate::app::model::Exporting;
use crate::app::overlay::Overlay;
use crate::app::place::{Place, Screen};
use crate::app::pointer::Target;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::text;

/// Where things go.
pub(super) struct Parts {
    pub header: Rect,
    pub body: Rect,
    pub footer: Rect,
}

impl Parts {
    /// On a very low screen the footer leaves first, then the header.
    pub fn of(area: Rect) -> Self {
        let header = u16::from(area.height >= 3);
        let footer = u16::from(area.height >= 5);
        let gap = u16::from(area.height >= 12);
        let body = area.height - header - footer - gap;
        Self {
            header: Rect { height: header, ..area },
            body: Rect { y: area.y + header + gap, height: body, ..area },
            footer: Rect { y: area.bottom() - footer, height: footer, ..area },
        }
    }
}

pub(super) fn header(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    if area.is_empty() {
        return;
    }
    let names = Screen::ALL.map(|s| format!(" {} {} ", s as usize + 1, s.title()));
    let total: usize = names.iter().map(String::len).sum();
    let width = usize::from(area.width);
    // What goes on is said, and the names make room for it.
    let least: usize = names.iter().zip(Screen::ALL).map(|(n, s)| if s == model.screen { n.len() } else { 3 }).sum();
    let (busy, wide) = goes_on(model, look, width.saturating_sub(least + 2));
    let whole = total + if busy.is_empty() { 0 } else { wide + 2 } <= width;
    let mut spans = Vec::new();
    for (screen, name) in Screen::ALL.into_iter().zip(names) {
        let active = screen == model.screen;
        let scope = if active { Scope::TabActive } else { Scope::Tab };
        // Where names have no room, only the one on view keeps its own.
        let label = if whole || active { name } else { format!(" {} ", screen as usize + 1) };
        let x = area.x + spans.iter().map(Span::width).sum::<usize>() as u16;
        let tab = Rect { x, width: label.len() as u16, ..area }.intersection(area);
        look.hits.note(tab, Target::Tab(screen));
        spans.push(Span::styled(label, look.style(scope)));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    f.render_widget(Line::from(spans), area);
    let right = if busy.is_empty() { badge(model, look) } else { busy };
    let room = width.saturating_sub(used + 2);
    let mut right: Vec<Span<'_>> = right.into_iter().map(|(t, s)| Span::styled(t, look.style(s))).collect();
    while right.iter().map(Span::width).sum::<usize>() > room && right.pop().is_some() {}
    let wide: usize = right.iter().map(Span::width).sum();
    let at = Rect { x: area.right() - (wide as u16).min(area.width), width: (wide as u16).min(area.width), ..area };
    f.render_widget(Line::from(right), at);
}

/// What takes a while, each beside the others, at the right of the header, and how wide that is. Where there is no room for
/// how far an export is in bytes, it is said in percent; the last parts leave first.
fn goes_on(model: &Model, look: &Look, room: usize) -> (Vec<(String, Scope)>, usize) {
    let parts = [false, true].map(|short| parts(model, look, short));
    let wide = |parts: &[(String, Scope)]| parts.iter().map(|(words, _)| text::width(words)).sum::<usize>();
    let [long, short] = parts;
    let parts = if wide(&long) <= room { long } else { short };
    let wide = wide(&parts);
    (parts, wide)
}

fn parts(model: &Model, look: &Look, short: bool) -> Vec<(String, Scope)> {
    let leaving = model.leaving.then(|| match () {
        () if model.is_going_over() => "handing the run over…".to_owned(),
        // It is stopped as soon as it stands.
        () if model.hosted.is_none() => "leaving once it stands…".to_owned(),
        () => "stopping with a checkpoint…".to_owned(),
    });
    let starting = model.busy.starting.as_ref().map(|_| "starting…".to_owned());
    let building = model.busy.building.as_ref().map(|_| "building the model…".to_owned());
    let exporting = model.busy.exporting.map(|how_far| match how_far {
        Exporting::Reading { done, total: total @ 1.. } | Exporting::Writing { done, total: total @ 1.. } if short => {
            format!("exporting… {:.0}%", (100.0 * done as f64 / total as f64).min(100.0))
        }
        Exporting::Reading { done, total: total @ 1.. } => format!("exporting: reading {}", bytes_of(done, total)),
        Exporting::Writing { done, total } => format!("exporting: writing {}", bytes_of(done, total)),
        Exporting::Sent | Exporting::Reading { .. } => "exporting…".to_owned(),
    });
    let parts = [leaving, starting, building, exporting].into_iter().flatten().enumerate();
    let gap = |i: usize| if i == 0 { "" } else { "  " };
    parts.map(|(i, words)| (format!("{}{}", gap(i), look.glyphs.plain(&words)), Scope::Warning)).collect()
}

/// The run that is followed, where nothing else is to be said.
fn badge(model: &Model, look: &Look) -> Vec<(String, Scope)> {
    let attached = || model.view(model.attached.as_deref()?);
    let Some(run) = model.hosted().or_else(attached) else { return Vec::new() };
    let scope = if run.status.is_live() { Scope::StatusRunning } else { Scope::StatusStopped };
    vec![
        (format!("{} {:.0}%", run.status, run.progress() * 100.0), scope),
        (format!(" {}", text::cut(&run.name, 24, look.glyphs.ellipsis)), Scope::TextDim),
    ]
}

pub(super) fn footer(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    if area.is_empty() {
        return;
    }
    let place = model.place();
    let mut actions: Vec<Action> = model.offered(place);
    if !place.is_overlay() {
        actions.extend(model.offered(Place::Global));
    }
    if place == Place::Diff {
        actions.push(Action::PopupClose);
    }
    // Texts on top have nothing to choose, nor has a list without lines.
    let nothing_to_choose = match model.overlays.last() {
        Some(Overlay::Help { .. } | Overlay::Text { .. } | Overlay::Messages { .. } | Overlay::Explain { .. }) => true,
        Some(Overlay::Recipes { entries, .. }) => entries.as_ref().is_none_or(Vec::is_empty),
        _ => false,
    };
    if nothing_to_choose {
        actions.retain(|a| *a != Action::PopupOpen);
    }
    let mut spans = Vec::new();
    let mut used = 0;
    // Help and quit are always said; the place's own keys fill what is left.
    let hint = |a: &Action| {
        let key = model.keymap.first(*a);
        (!a.info().hint.is_empty() && !key.is_empty()).then(|| (key, a.info().hint, *a))
    };
    let (last, first): (Vec<Action>, Vec<Action>) =
        actions.into_iter().partition(|a| matches!(a, Action::Help | Action::Quit));
    let tail: Vec<(String, &str, Action)> = last.iter().rev().filter_map(hint).collect();
    let cells = |(key, word, _): &(String, &str, Action)| text::width(key) + word.len() + 4;
    let reserved: usize = tail.iter().map(cells).sum();
    let width = usize::from(area.width);
    let own = first.iter().filter_map(hint);
    let fitting = own.take_while(|h| {
        used += cells(h);
        used + reserved <= width
    });
    for (key, word, action) in fitting.collect::<Vec<_>>().into_iter().chain(tail) {
        let x = area.x + spans.iter().map(Span::width).sum::<usize>() as u16;
        let hint = Rect { x, width: (text::width(&key) + word.len() + 3) as u16, ..area };
        look.hits.note(hint.intersection(area), Target::Hint(action));
        spans.push(Span::styled(format!(" {key} "), look.style(Scope::HintKey)));
        spans.push(Span::styled(format!("{word}  "), look.style(Scope::HintText)));
    }
    f.render_widget(Line::from(spans), area);
}

/// The newest standing toasts, at the right of the last lines before the footer: what a screen says first stands above.
pub(super) fn toasts(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let most = usize::from(area.height / 3).clamp(1, 4);
    let width = usize::from(area.width).saturating_sub(2).min(100);
    if width < 8 || area.height == 0 {
        return;
    }
    // The newest one lowest.
    let mut lines: Vec<(String, ratatui::style::Style)> = Vec::new();
    for toast in model.toasts.standing().rev() {
        let style = look.level(toast.level);
        let wrapped = text::wrap(&look.glyphs.plain(&toast.text), width - 2);
        if !lines.is_empty() && lines.len() + wrapped.len() > most {
            break;
        }
        let widest = wrapped.iter().map(|l| text::width(l)).max().unwrap_or(0);
        let own = wrapped.into_iter().take(most).map(|l| (text::fit(&l, widest, false, ""), style));
        lines.splice(0..0, own);
    }
    let top = area.bottom().saturating_sub(lines.len() as u16);
    for (i, (line, style)) in lines.iter().enumerate() {
        let wide = (text::width(line) as u16 + 2).min(area.width);
        let at = Rect { x: area.right() - wide, y: top + i as u16, width: wide, height: 1 };
        f.render_widget(Clear, at);
        let mark = Span::styled(look.glyphs.bar, *style);
        f.render_widget(Line::from_iter([mark, Span::styled(format!("{line} "), *style)]), at);
    }
}
