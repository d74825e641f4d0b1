//! What is under the cursor, explained: why it is as it is, what its values are, what the plan saves.

use ratatui::text::Line;

use crate::app::Model;
use crate::app::action::Action;
use crate::app::format::{bytes, count, number};
use crate::app::layers::{Layers, NodeState, savings, slots};
use crate::app::values::From;
use crate::core::weights::ValueStats;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::page::Page;

/// Rows of the histogram.
const HIGH: usize = 4;

/// Its lines, for a width.
pub fn lines(model: &Model, look: &Look, width: usize) -> Vec<Line<'static>> {
    let Some(layers) = model.layers() else { return Vec::new() };
    let mut page = Page::new(look, width);
    node(&mut page, layers);
    let base = model.base_rate();
    if let (Some(base), Some((low, high))) = (base, layers.selected().and_then(|r| layers.rate_of(r.node))) {
        page.pair("rate", &super::rates(base, low, high));
    }
    if let (Some(drifted), Some(row)) = (model.moved(), layers.selected())
        && let Some(moved) = drifted.moved.get(&row.node.path)
    {
        page.pair("drift", &format!("{} since {}", super::drift(moved), drifted.pair.before));
    }
    if let Some(gradients) = model.gradients()
        && let Some(norm) = layers.selected().and_then(|row| gradients.of(&row.node.path))
    {
        page.pair("grad norm", &format!("{} in step {}", number(norm), gradients.step));
    }
    values(&mut page, model);
    saved(&mut page, model, layers);
    memory(&mut page, model);
    let (undo, redo) = layers.next_steps();
    if undo.is_some() || redo.is_some() {
        page.heading("edits");
    }
    for (action, step) in [(Action::Undo, undo), (Action::Redo, redo)] {
        if let Some(step) = step {
            let does = if action == Action::Undo { "takes back" } else { "does again" };
            page.words(&format!("{} {does}: {step}", model.keymap.first(action)), Scope::Staged);
        }
    }
    page.lines
}

/// What it is, and why it has its state.
fn node(page: &mut Page<'_>, layers: &Layers) {
    let Some(row) = layers.selected() else { return };
    let path = if row.node.path.is_empty() { "the whole model" } else { row.node.path.as_str() };
    page.words(path, Scope::Title);
    page.words(&layers.kind_under_cursor(), Scope::TextDim);
    let (mark, word, style) = super::state(row.state, page.look);
    let word = match row.state {
        NodeState::Mixed => format!("{} of {} elements learn", count(row.trainable), count(row.elements)),
        NodeState::Empty if row.no_grad => "its forward records nothing".to_owned(),
        NodeState::Empty => "it has no parameters".to_owned(),
        NodeState::All(_) => word.to_owned(),
    };
    page.styled(&format!("{mark} {word}"), style);
    if row.staged {
        let (_, was, _) = super::state(row.in_force, page.look);
        page.words(&format!("staged; now {was}"), Scope::Staged);
    }
    for reason in layers.reasons().into_iter().take(4) {
        page.words(&reason, Scope::TextDim);
    }
    if row.elements > 0 {
        page.pair("elements", &count(row.elements));
        page.pair("memory", &bytes(layers.bytes_under_cursor()));
    }
}

fn values(page: &mut Page<'_>, model: &Model) {
    let look = match model.wanted_look() {
        Ok(look) => look,
        Err(why) => {
            page.heading("values");
            return page.words(&why, Scope::TextFaint);
        }
    };
    page.heading(&match &look.from {
        From::Checkpoint { name, .. } => format!("values in {name}"),
        From::File { path, .. } => {
            format!("values in {}", path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()))
        }
    });
    match model.seen.as_ref().filter(|s| s.look == look).and_then(|s| s.stats.as_ref()) {
        None => page.words("reading…", Scope::TextFaint),
        Some(Err(problem)) => page.words(problem, Scope::Warning),
        Some(Ok(stats)) => {
            page.pair("range", &format!("{} to {}", number(stats.min), number(stats.max)));
            page.pair("mean, std", &format!("{}, {}", number(stats.mean), number(stats.std)));
            page.pair("norm", &number(stats.norm));
            let percent = 100.0 * stats.zeros as f64 / stats.count.max(1) as f64;
            page.pair("zeros", &format!("{} ({percent:.1}%)", count(stats.zeros)));
            if stats.nan + stats.infinite > 0 {
                page.words(&format!("{} NaN, {} infinite", stats.nan, stats.infinite), Scope::Error);
            }
            histogram(page, stats);
        }
    }
}

fn histogram(page: &mut Page<'_>, stats: &ValueStats) {
    // Bins side by side share a column where there are more than columns: the same number in each.
    let bins = stats.bins.len();
    let share = (1..=bins).find(|n| bins.is_multiple_of(*n) && bins / n <= page.width).unwrap_or(1);
    let columns: Vec<u64> = stats.bins.chunks(share).map(|c| c.iter().sum()).collect();
    let wide = columns.len();
    let most = columns.iter().copied().max().unwrap_or(0).max(1);
    let marks: &[&str] = match page.look.glyphs.unicode {
        true => &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
        false => &[" ", ".", "#"],
    };
    let steps = marks.len() - 1;
    for row in (0..HIGH).rev() {
        let cell = |n: &u64| {
            // What is there at all shows.
            let height = (*n as f64 / most as f64 * (HIGH * steps) as f64).ceil() as usize;
            marks[height.saturating_sub(row * steps).min(steps)]
        };
        let line: String = columns.iter().map(cell).collect();
        page.lines.push(Line::styled(line, page.look.style(Scope::Info)));
    }
    let (low, high) = (number(stats.min), number(stats.max));
    let gap = wide.saturating_sub(low.len() + high.len());
    page.words(&format!("{low}{}{high}", " ".repeat(gap)), Scope::TextFaint);
}

/// What a run with this plan would hold.
fn memory(page: &mut Page<'_>, model: &Model) {
    let Some((memory, batches)) = model.memory() else { return };
    page.heading("memory");
    page.pair("samples", &batches.shares());
    for (name, size) in memory.parts() {
        page.pair(name, &bytes(size));
    }
    page.pair("in all", &format!("about {}", bytes(memory.total())));
}

fn saved(page: &mut Page<'_>, model: &Model, layers: &Layers) {
    let slots = model.optimizer().map_or(0, slots);
    let saved = savings(layers.tree(), layers.preview(), slots);
    page.heading("saved by this plan");
    let of = |(held, all): (u64, u64)| format!("{} of {}", bytes(all - held), bytes(all));
    page.pair("gradients", &of(saved.gradients));
    if slots > 0 {
        page.pair("optimizer", &of(saved.optimizer));
    }
    match saved.backward {
        Some((done, full)) if full > 0 => {
            let percent = 100.0 * (full - done.min(full)) as f64 / full as f64;
            page.pair("backward", &format!("{percent:.0}% of {} operations a sample", count(full)));
        }
        _ => page.pair("backward", "not known: the model was not traced"),
    }
    page.words("counted from the tree, in its order; not measured", Scope::TextFaint);
}
