//! The layer tree with the frost line.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::empty;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::count;
use crate::app::layers::{FrostLine, Layers, NodeKind, NodeState, Row};
use crate::app::model::{Busy, Subject};
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::{text, window};

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let Some(layers) = model.layers() else {
        empty(f, area, look, &why_empty(model));
        return;
    };
    let summary = u16::from(area.height >= 4);
    let detail = if area.height >= 10 { 2 } else { u16::from(area.height >= 6) };
    if summary > 0 {
        draw_summary(f, Rect { height: 1, ..area }, model, layers, look);
    }
    let list = Rect { y: area.y + summary, height: area.height - summary - detail, ..area };
    draw_rows(f, list, layers, look);
    if detail > 0 {
        draw_detail(f, Rect { y: list.bottom(), height: detail, ..area }, layers, look);
    }
}

fn why_empty(model: &Model) -> Vec<String> {
    if let Some(Busy::Draft(path)) = &model.busy {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        return vec![format!("building the model of {name}…")];
    }
    match model.shown() {
        Some(view) => match &view.layers_problem {
            Some(problem) => vec![format!("The layers of {} cannot be shown.", view.name), problem.clone()],
            None => vec![format!("building the model of {}…", view.name)],
        },
        None => vec![
            "No model on view.".to_owned(),
            format!(
                "Open a run with {}, or start a recipe with {} on the run list ({}).",
                model.keymap.first(Action::OpenRun),
                model.keymap.first(Action::NewRun),
                model.keymap.first(Action::ShowRuns)
            ),
        ],
    }
}

/// Whose layers these are, and how much of them learns.
fn draw_summary(f: &mut Frame<'_>, area: Rect, model: &Model, layers: &Layers, look: &Look) {
    let totals = layers.totals();
    let (name, what) = match (model.subject, &model.draft, model.shown()) {
        (Subject::Draft, Some(draft), _) => {
            let file = draft.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            (file, "draft".to_owned())
        }
        (_, _, Some(view)) => (view.name.clone(), view.status.to_string()),
        _ => (String::new(), String::new()),
    };
    let percent = 100.0 * totals.trainable_elements as f64 / totals.elements.max(1) as f64;
    let mut parts = vec![
        (format!(" {name}"), Scope::Title),
        (format!(" {what}"), Scope::TextDim),
        (
            format!("  {} of {} learn ({percent:.1}%)", count(totals.trainable_elements), count(totals.elements)),
            if totals.trainable_tensors == 0 { Scope::Error } else { Scope::StateTrainable },
        ),
    ];
    if totals.staged > 0 {
        let key = model.keymap.first(if model.subject == Subject::Draft { Action::StartRun } else { Action::Apply });
        let verb = match (layers.applying(), model.subject) {
            (true, _) => "on its way".to_owned(),
            (false, Subject::Draft) => format!("in force at the start ({key})"),
            (false, Subject::Run) => format!("staged, {key} applies"),
        };
        let tensors = if totals.staged == 1 { "tensor" } else { "tensors" };
        parts.push((format!("  {} {} {tensors} {verb}", look.glyphs.staged, totals.staged), Scope::Staged));
    } else {
        parts.push((format!("  {}/{} tensors", totals.trainable_tensors, totals.tensors), Scope::TextDim));
    }
    let spans = parts.into_iter().map(|(t, s)| Span::styled(look.glyphs.plain(&t), look.style(s)));
    f.render_widget(Line::from_iter(spans), area);
}

fn draw_rows(f: &mut Frame<'_>, area: Rect, layers: &Layers, look: &Look) {
    let rows = layers.rows();
    let (cursor, len) = layers.position();
    let (line, frozen) = layers.frost_line();
    // The frost line takes a line of its own among the rows.
    let at_line = match line {
        FrostLine::None => None,
        FrostLine::Above(row) => Some(row),
        FrostLine::Below => Some(len),
    };
    let height = usize::from(area.height);
    let shift = |row: usize| row + usize::from(at_line.is_some_and(|l| row >= l));
    let total = len + usize::from(at_line.is_some());
    let first = window(shift(cursor), total, height);
    for y in first..total.min(first + height) {
        let at = Rect { y: area.y + (y - first) as u16, height: 1, ..area };
        if at_line == Some(y) {
            f.render_widget(frost(usize::from(area.width), frozen, line, look), at);
            continue;
        }
        let row = if at_line.is_some_and(|l| y > l) { y - 1 } else { y };
        if let Some(row) = rows.get(row) {
            f.render_widget(draw_row(row, layers, usize::from(area.width), row.index == rows[cursor].index, look), at);
        }
    }
}

fn frost(width: usize, frozen: u64, line: FrostLine, look: &Look) -> Line<'static> {
    let style = look.style(Scope::FrostLine);
    let words = match line {
        FrostLine::Below => "everything is frozen".to_owned(),
        _ => format!("frost line: {} frozen above", count(frozen)),
    };
    let text = format!("{0}{0} {1} {2} ", look.glyphs.line, look.glyphs.frozen, words);
    let text = text::cut(&text, width, look.glyphs.ellipsis);
    let rest = width.saturating_sub(text::width(&text));
    Line::styled(text + &look.glyphs.line.repeat(rest), style)
}

fn state(state: NodeState, look: &Look) -> (&'static str, &'static str, Style) {
    match state {
        NodeState::Empty => (" ", "", look.style(Scope::TextFaint)),
        NodeState::All(state) => look.state(state),
        NodeState::Mixed => (look.glyphs.mixed, "mixed", look.style(Scope::StateMixed)),
    }
}

fn draw_row(row: &Row<'_>, layers: &Layers, width: usize, here: bool, look: &Look) -> Line<'static> {
    let base = if here { look.style(Scope::Selection) } else { Style::new() };
    let node = row.node;
    let sign = match (node.has_children, row.folded) {
        (true, true) => look.glyphs.folded,
        (true, false) => look.glyphs.open,
        _ => look.glyphs.leaf,
    };
    let (mark, word, style) = state(row.state, look);
    let staged = if row.staged { look.glyphs.staged } else { " " };
    let word = match row.state {
        NodeState::Mixed => format!("mixed {:.0}%", 100.0 * row.trainable as f64 / row.elements.max(1) as f64),
        _ if row.staged && row.in_force != NodeState::Mixed => {
            format!("{} {word}", look.glyphs.arrow)
        }
        _ => word.to_owned(),
    };
    let (kind, shape) = match node.kind {
        NodeKind::Module(m) => {
            let info = &layers.tree().modules[m];
            let kind = if node.path.is_empty() { "" } else { info.kind.as_str() };
            (format!("{kind} {}", info.detail), String::new())
        }
        NodeKind::Param(p) => {
            let info = &layers.tree().parameters[p];
            let sizes: Vec<String> = info.shape.iter().map(usize::to_string).collect();
            (String::new(), format!("[{}]", sizes.join(", ")))
        }
    };
    // From the right: state (15), count (8), then kind or shape where there is room; the name has the rest.
    let state_width = if width >= 34 { 15 } else { 2 };
    let count_width = if width >= 48 { 8 } else { 0 };
    let kind_width = if width >= 70 { ((width - 50) / 2).clamp(16, 36) } else { 0 };
    let name_width = width.saturating_sub(state_width + count_width + kind_width + 2);
    let is_module = matches!(node.kind, NodeKind::Module(_));
    let e = look.glyphs.ellipsis;
    let indent = (node.depth * 2).min(name_width / 2);
    let name = text::fit(&format!("{}{sign} {}", " ".repeat(indent), node.label), name_width, false, e);
    let middle = if is_module { kind } else { shape };
    let dim = look.style(Scope::TextDim);
    let name_style = look.style(if is_module { Scope::Text } else { Scope::TextDim });
    let mut spans = vec![Span::styled(format!("{staged} "), look.style(Scope::Staged).patch(base))];
    spans.push(Span::styled(name, name_style.patch(base)));
    if kind_width > 0 {
        spans.push(Span::styled(text::fit(middle.trim(), kind_width, false, e), dim.patch(base)));
    }
    if count_width > 0 {
        let n = if row.elements == 0 { String::new() } else { count(row.elements) };
        spans.push(Span::styled(text::fit(&n, count_width - 1, true, e) + " ", dim.patch(base)));
    }
    let label = if state_width > 2 { format!(" {mark} {word}") } else { format!(" {mark}") };
    spans.push(Span::styled(text::fit(&label, state_width, false, e), style.patch(base)));
    Line::from(spans).style(base)
}

/// The whole name of what is under the cursor, and why it is as it is.
fn draw_detail(f: &mut Frame<'_>, area: Rect, layers: &Layers, look: &Look) {
    let Some(row) = layers.selected() else { return };
    let width = usize::from(area.width).saturating_sub(1);
    let path = if row.node.path.is_empty() { "the whole model" } else { row.node.path.as_str() };
    let (_, word, style) = state(row.state, look);
    let (_, was, _) = state(row.in_force, look);
    let change = if row.staged && was != word && !was.is_empty() {
        format!(" (now {was}; staged)")
    } else if row.staged {
        " (staged)".to_owned()
    } else {
        String::new()
    };
    let reason = layers.reason().map_or_else(String::new, |r| format!(": {r}"));
    let shape = match row.node.kind {
        NodeKind::Module(m) => {
            let shape = layers.tree().modules[m].output_shape.as_ref();
            shape.map_or_else(String::new, |s| {
                let sizes: Vec<String> =
                    s.iter().map(|d| if *d < 0 { "N".to_owned() } else { d.to_string() }).collect();
                format!("  out [{}]", sizes.join(", "))
            })
        }
        NodeKind::Param(p) => format!("  {}", layers.tree().parameters[p].dtype),
    };
    let e = look.glyphs.ellipsis;
    let first = text::cut(&look.glyphs.plain(&format!(" {path}{shape}")), width, e);
    let second = text::cut(&look.glyphs.plain(&format!(" {word}{reason}{change}")), width, e);
    if area.height >= 2 {
        f.render_widget(Line::styled(first, look.style(Scope::TextDim)), Rect { height: 1, ..area });
    }
    f.render_widget(Line::styled(second, style), Rect { y: area.bottom() - 1, height: 1, ..area });
}
