//! Progress, charts and the event tail of the run on view.

mod charts;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::empty;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::charts::Layout;
use crate::app::format::{age, duration};
use crate::app::run_view::RunView;
use crate::core::run::RunStatus;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{gauge, text};

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let Some(view) = model.shown() else {
        let lines = if model.busy.starting.is_some() {
            vec!["the run is being started…".to_owned()]
        } else {
            let open = model.keymap.first(Action::OpenRun);
            let new = model.keymap.first(Action::NewRun);
            let runs = model.keymap.first(Action::ShowRuns);
            vec![
                "No run on view.".to_owned(),
                format!("Press {runs} for the run list: {open} opens a run there, {new} starts a new one."),
            ]
        };
        empty(f, area, look, &lines);
        return;
    };
    let layout = Layout::of(area.height, model.charts.full);
    let mut y = area.y;
    let mut take = |height: u16| {
        let part = Rect { y, height, ..area };
        y += height;
        part
    };
    let (head, bar, state) = (take(layout.head), take(layout.bar), take(layout.state));
    let (charts, tail) = (take(layout.charts), take(layout.tail));

    draw_head(f, head, view, model.now_ms, look);
    if !bar.is_empty() {
        gauge::draw(f, Rect { x: bar.x + 1, width: bar.width.saturating_sub(2), ..bar }, look, view.progress());
    }
    charts::state(f, state, model, view, look);
    charts::draw(f, charts, model, view, look);
    draw_tail(f, tail, model, view, look);
}

fn draw_head(f: &mut Frame<'_>, area: Rect, view: &RunView, now_ms: u64, look: &Look) {
    let mut parts = vec![
        (format!(" {}", view.status), look.status(view.status)),
        (format!(" {}", text::cut(&view.name, 30, look.glyphs.ellipsis)), look.style(Scope::Title)),
    ];
    let dim = look.style(Scope::TextDim);
    let steps = if view.steps > 0 { format!("{}/{}", view.step, view.steps) } else { view.step.to_string() };
    parts.push((format!("  step {steps}"), look.style(Scope::Text)));
    if let Some((epoch, of)) = view.epoch() {
        parts.push((format!("  epoch {epoch}/{of}"), look.style(Scope::Text)));
    }
    // What the pace was says nothing of a run that is not heard of.
    if let Some(seconds) = view.silent_for(now_ms) {
        parts.push((format!("  no news for {}", duration(seconds as f64)), look.style(Scope::Warning)));
    } else {
        if let Some(left) = view.seconds_left() {
            parts.push((format!("  {} left", duration(left)), look.style(Scope::Text)));
        }
        if let Some(rate) = view.rate() {
            parts.push((format!("  {} steps/s", rate_text(rate)), dim));
        }
    }
    if !view.devices.is_empty() {
        parts.push((format!("  {}", view.devices.join(",")), dim));
    }
    if let Some(pid) = view.attached {
        parts.push((format!("  (process {pid})"), dim));
    } else if view.status.is_live() && !view.hosted {
        parts.push(("  (in another process)".to_owned(), dim));
    }
    f.render_widget(Line::from_iter(parts.into_iter().map(|(t, s)| Span::styled(t, s))), area);
}

fn rate_text(rate: f64) -> String {
    if rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.2}") }
}

fn draw_tail(f: &mut Frame<'_>, area: Rect, model: &Model, view: &RunView, look: &Look) {
    if area.is_empty() {
        return;
    }
    let width = usize::from(area.width).saturating_sub(2);
    let shown = view.lines.len().saturating_sub(usize::from(area.height));
    if view.lines.is_empty() {
        let text = if view.status == RunStatus::Running { "waiting for the first step…" } else { "no events" };
        f.render_widget(Line::styled(format!(" {}", look.glyphs.plain(text)), look.style(Scope::TextFaint)), area);
    }
    for (i, line) in view.lines.iter().skip(shown).enumerate() {
        let when = if line.time_ms == 0 { String::new() } else { age(model.now_ms, line.time_ms) };
        let head = format!("{when:>7} {:>7}  ", line.step);
        let room = width.saturating_sub(head.len());
        let words = text::cut(&look.glyphs.plain(&line.text.replace('\n', " ")), room, look.glyphs.ellipsis);
        let level = if line.level == crate::app::run_view::Level::Info {
            look.style(Scope::Text)
        } else {
            look.level(line.level)
        };
        let spans = [Span::styled(head, look.style(Scope::TextFaint)), Span::styled(words, level)];
        f.render_widget(Line::from_iter(spans), Rect { y: area.y + i as u16, height: 1, ..area });
    }
}
