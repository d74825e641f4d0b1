//! The layer tree with the frost line.

pub mod pane;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::empty;
use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::{count, number, share};
use crate::app::layers::{FrostLine, Layers, NodeKind, NodeState, Row};
use crate::app::model::Subject;
use crate::app::pointer::Target;
use crate::app::run_view::Gradients;
use crate::app::values::{Drifted, Moved};
use crate::core::freeze::ParamState;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{page, text, window};

pub(super) fn draw(f: &mut Frame<'_>, area: Rect, model: &Model, look: &Look) {
    let Some(layers) = model.layers() else {
        empty(f, area, look, &why_empty(model));
        return;
    };
    let summary = u16::from(area.height >= 4);
    let beside = model.side && model.is_wide();
    let detail = if beside {
        0
    } else if area.height >= 10 {
        2
    } else {
        u16::from(area.height >= 6)
    };
    if summary > 0 {
        draw_summary(f, Rect { height: 1, ..area }, model, layers, look);
    }
    let mut list = Rect { y: area.y + summary, height: area.height - summary - detail, ..area };
    if beside {
        let wide = page::beside(area.width);
        list.width = area.width - wide;
        page::draw(f, Rect { x: list.right(), width: wide, ..list }, look, |width| pane::lines(model, look, width));
    }
    draw_rows(f, list, model, layers, look);
    if detail > 0 {
        draw_detail(f, Rect { y: list.bottom(), height: detail, ..area }, layers, look);
    }
}

fn why_empty(model: &Model) -> Vec<String> {
    if let Some(path) = &model.busy.building {
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
        (Subject::Checkpoint, ..) if model.past.is_some() => model
            .past
            .as_ref()
            .map_or_else(Default::default, |p| (p.run_name.clone(), format!("{}, to look at", p.name))),
        (_, _, Some(view)) => (view.name.clone(), view.status.to_string()),
        _ => (String::new(), String::new()),
    };
    let percent = share(totals.trainable_elements, totals.elements, 1);
    let mut parts = vec![
        (format!(" {name}"), Scope::Title),
        (format!(" {what}"), Scope::TextDim),
        (
            format!("  {} of {} learn ({percent})", count(totals.trainable_elements), count(totals.elements)),
            if totals.trainable_tensors == 0 { Scope::Error } else { Scope::StateTrainable },
        ),
    ];
    if totals.staged > 0 {
        let key = model.keymap.first(if model.subject == Subject::Draft { Action::StartRun } else { Action::Apply });
        let verb = match (layers.applying(), model.subject) {
            (true, _) => "on its way".to_owned(),
            (false, Subject::Draft) => format!("in force at the start ({key})"),
            (false, Subject::Run | Subject::Checkpoint) => format!("staged, {key} applies"),
        };
        let tensors = if totals.staged == 1 { "tensor" } else { "tensors" };
        parts.push((format!("  {} {} {tensors} {verb}", look.glyphs.staged, totals.staged), Scope::Staged));
    } else {
        parts.push((format!("  {}/{} tensors", totals.trainable_tensors, totals.tensors), Scope::TextDim));
    }
    if let Some((filter, at, of)) = layers.filter() {
        parts.push((format!("  /{filter} {at} of {of}"), Scope::Info));
    }
    let spans = parts.into_iter().map(|(t, s)| Span::styled(look.glyphs.plain(&t), look.style(s)));
    f.render_widget(Line::from_iter(spans), area);
}

fn draw_rows(f: &mut Frame<'_>, area: Rect, model: &Model, layers: &Layers, look: &Look) {
    let shown = layers.visible();
    let (cursor, len) = layers.position();
    let (line, frozen) = layers.frost_line();
    // The frost line takes a line of its own among the rows.
    let at_line = match line {
        FrostLine::None => None,
        FrostLine::Above(row) => Some(row),
        FrostLine::Below => Some(len),
    };
    let moved = model.moved();
    let gradients = model.gradients();
    let columns = columns(usize::from(area.width), moved.is_some(), gradients.is_some());
    let widths = table::layout(&columns, area.width.saturating_sub(2));
    let head = u16::from(area.height >= 8);
    if head > 0 {
        draw_head(f, Rect { height: 1, ..area }, &columns, &widths, look);
    }
    let area = Rect { y: area.y + head, height: area.height - head, ..area };
    let figures = Figures { columns: &columns, widths: &widths, rate: model.base_rate(), moved, gradients };
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
        let nth = if at_line.is_some_and(|l| y > l) { y - 1 } else { y };
        if let Some(row) = shown.get(nth).and_then(|i| layers.row_of(*i)) {
            let here = Some(&row.index) == shown.get(cursor);
            look.hits.note(at, Target::Row(nth));
            f.render_widget(draw_row(&row, layers, &figures, here, look), at);
        }
    }
}

const NAME: &str = "layer";
const KIND: &str = "kind, shape";
const COUNT: &str = "count";
const RATE: &str = "rate";
const DRIFT: &str = "drift";
const GRADIENT: &str = "grad norm";
const STATE: &str = "state";

/// The columns; which leave first is told by their ranks.
fn columns(width: usize, moves: bool, gradients: bool) -> Vec<Column> {
    let column = |title, width, right, rank| Column { title, width, grows: false, right, rank };
    let mut columns = vec![
        Column { grows: true, ..column(NAME, if width >= 34 { 18 } else { 12 }, false, 0) },
        column(KIND, (width / 4).clamp(16, 36) as u16, false, 2),
        column(COUNT, 7, true, 1),
        column(RATE, 8, true, 4),
    ];
    if moves {
        columns.push(column(DRIFT, 8, true, 3));
    }
    if gradients {
        columns.push(column(GRADIENT, 9, true, 3));
    }
    columns.push(column(STATE, if width >= 34 { 15 } else { 1 }, false, 0));
    columns
}

fn draw_head(f: &mut Frame<'_>, area: Rect, columns: &[Column], widths: &[(usize, u16)], look: &Look) {
    let mut text = "  ".to_owned();
    for (i, width) in widths {
        let title = match columns[*i].title {
            NAME => "  layer",
            STATE => " state",
            title => title,
        };
        text += &text::fit(title, usize::from(*width), columns[*i].right, look.glyphs.ellipsis);
        text.push(' ');
    }
    f.render_widget(Line::styled(text, look.style(Scope::Heading)), area);
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

/// What all rows share.
struct Figures<'a> {
    columns: &'a [Column],
    widths: &'a [(usize, u16)],
    /// Base learning rate.
    rate: Option<f64>,
    moved: Option<&'a Drifted>,
    gradients: Option<&'a Gradients>,
}

fn draw_row(row: &Row<'_>, layers: &Layers, figures: &Figures<'_>, here: bool, look: &Look) -> Line<'static> {
    let base = if here { look.style(Scope::Selection) } else { Style::new() };
    let e = look.glyphs.ellipsis;
    let dim = look.style(Scope::TextDim).patch(base);
    let staged = if row.staged { look.glyphs.staged } else { " " };
    let mut spans = vec![Span::styled(format!("{staged} "), look.style(Scope::Staged).patch(base))];
    for (i, width) in figures.widths {
        let width = usize::from(*width);
        spans.push(match figures.columns[*i].title {
            NAME => {
                let scope = match (row.matched, row.node.kind) {
                    (true, _) => Scope::Title,
                    (false, NodeKind::Module(_)) => Scope::Text,
                    (false, NodeKind::Param(_)) => Scope::TextDim,
                };
                Span::styled(name(row, width, look), look.style(scope).patch(base))
            }
            KIND => Span::styled(text::fit(&kind(row, layers), width, false, e), dim),
            COUNT => {
                let n = if row.elements == 0 { String::new() } else { count(row.elements) };
                Span::styled(text::fit(&n, width, true, e), dim)
            }
            RATE => {
                let rate = figures.rate.zip(layers.rate_of(row.node)).map(|(base, (low, high))| rates(base, low, high));
                Span::styled(text::fit(&rate.unwrap_or_default(), width, true, e), dim)
            }
            DRIFT => {
                let moved = figures.moved.and_then(|d| d.moved.get(&row.node.path));
                Span::styled(text::fit(&moved.map_or_else(String::new, drift), width, true, e), dim)
            }
            GRADIENT => {
                let norm = figures.gradients.and_then(|g| g.of(&row.node.path));
                let style =
                    if norm.is_some_and(|n| !n.is_finite()) { look.style(Scope::Error).patch(base) } else { dim };
                Span::styled(text::fit(&norm.map_or_else(String::new, number), width, true, e), style)
            }
            _ => {
                let (label, style) = state_label(row, width, look);
                Span::styled(text::fit(&label, width, false, e), style.patch(base))
            }
        });
        spans.push(Span::styled(" ", base));
    }
    Line::from(spans).style(base)
}

/// How far it moved, as a part of what it was.
pub(super) fn drift(moved: &Moved) -> String {
    match moved {
        Moved::Not => "=".to_owned(),
        Moved::By(Some(by)) => number(*by),
        Moved::By(None) => "moved".to_owned(),
    }
}

/// Learning rates, from the base rate and the smallest and largest factor on it.
fn rates(base: f64, low: f64, high: f64) -> String {
    match low == high {
        true => number(base * low),
        false => format!("{}..{}", number(base * low), number(base * high)),
    }
}

fn name(row: &Row<'_>, width: usize, look: &Look) -> String {
    let sign = match (row.node.has_children, row.folded) {
        (true, true) => look.glyphs.folded,
        (true, false) => look.glyphs.open,
        _ => look.glyphs.leaf,
    };
    let indent = (row.node.depth * 2).min(width / 2);
    text::fit(&format!("{}{sign} {}", " ".repeat(indent), row.node.label), width, false, look.glyphs.ellipsis)
}

/// Class and hyper-parameters of a module, shape of a parameter.
fn kind(row: &Row<'_>, layers: &Layers) -> String {
    match row.node.kind {
        NodeKind::Module(m) => {
            let info = &layers.tree().modules[m];
            let kind = if row.node.path.is_empty() { "" } else { info.kind.as_str() };
            format!("{kind} {}", info.detail).trim().to_owned()
        }
        NodeKind::Param(p) => {
            let sizes: Vec<String> = layers.tree().parameters[p].shape.iter().map(usize::to_string).collect();
            format!("[{}]", sizes.join(", "))
        }
    }
}

fn state_label(row: &Row<'_>, width: usize, look: &Look) -> (String, Style) {
    let (mark, word, style) = match row.state {
        // Nothing in it learns, but gradients stop at it.
        NodeState::Empty if row.no_grad => look.state(ParamState::NoGrad),
        other => state(other, look),
    };
    let word = match row.state {
        NodeState::Mixed => format!("mixed {}", share(row.trainable, row.elements, 0)),
        _ if row.staged && row.in_force != NodeState::Mixed => {
            format!("{} {word}", look.glyphs.arrow)
        }
        _ => word.to_owned(),
    };
    (if width > 2 { format!(" {mark} {word}") } else { mark.to_owned() }, style)
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
