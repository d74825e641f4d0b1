//! The checkpoint under the cursor in full.

use ratatui::text::Line;

use super::{damage, health};
use crate::app::Model;
use crate::app::format::{ago, bytes, number};
use crate::app::message::CheckpointRow;
use crate::tui::look::Look;
use crate::tui::theme::Scope;
use crate::tui::widgets::page::Page;
use crate::tui::widgets::text;

/// Forks that are named.
const NAMED: usize = 4;

/// Its lines, for a width.
pub fn lines(model: &Model, look: &Look, width: usize) -> Vec<Line<'static>> {
    let (Some(view), Some(row)) = (model.shown(), model.selected_checkpoint()) else { return Vec::new() };
    let mut page = Page::new(look, width);
    page.words(&row.name, Scope::Title);
    page.words(&format!("{}@{}", view.id, row.step), Scope::TextDim);
    let (word, style) = health(row, view, look);
    page.styled(&word, style);
    if let Some(damage) = damage(row, view) {
        page.words(&damage, Scope::Error);
    }
    if row.problem.is_some() {
        return page.lines;
    }
    let facts = model.facts.as_ref().filter(|f| f.name == row.name && f.run == view.id);
    let facts = facts.and_then(|f| f.read.as_ref());
    page.pair("written", &format!("{}, {}", ago(model.now_ms, row.time_ms), why(&row.reason)));
    let kept = if row.kept.is_empty() { "goes at the next pruning".to_owned() } else { row.kept.join(", ") };
    page.pair("kept", &kept);
    let within = match facts {
        Some(Ok(facts)) => format!(", {} steps into it, {} samples seen", facts.step_in_epoch, facts.samples_seen),
        _ => String::new(),
    };
    page.pair("epoch", &format!("{}{within}", row.epoch));
    metrics(&mut page, model, row);
    page.heading("state");
    match facts {
        None => page.words("reading…", Scope::TextFaint),
        Some(Err(problem)) => page.words(problem, Scope::Error),
        Some(Ok(facts)) => {
            page.pair("base lr", &number(facts.lr));
            if let Some((best, step)) = facts.best {
                let at = step.map_or_else(String::new, |s| format!(" at step {s}"));
                page.pair("best yet", &format!("{}{at}", number(best)));
            }
            let rules = if facts.rules.is_empty() { "everything learns".to_owned() } else { facts.rules.join("; ") };
            page.pair("freeze", &rules);
            for (name, size) in &facts.files {
                page.pair(name.split('.').next().unwrap_or(name), &bytes(*size));
            }
            let versions: Vec<String> = facts.versions.iter().map(|(name, v)| format!("{name} {v}")).collect();
            page.pair("by", &versions.join(", "));
        }
    }
    forks(&mut page, model, row);
    page.lines
}

/// Why one was written, in words.
fn why(reason: &str) -> &str {
    match reason {
        "every_steps" => "every so many steps",
        "every_epochs" => "at an epoch's end",
        "every_minutes" => "every so many minutes",
        "end" => "at the end of the run",
        "stop" => "when the run was stopped",
        "save" => "on request",
        "nan" => "when gradients were not finite",
        "fork" => "as the beginning of a fork",
        other => other,
    }
}

fn metrics(page: &mut Page<'_>, model: &Model, row: &CheckpointRow) {
    let monitor = model.shown().map_or("", |v| v.monitor.as_str());
    page.heading("measured");
    if row.metrics.is_empty() {
        return page.words("nothing yet", Scope::TextFaint);
    }
    let widest = row.metrics.keys().map(|name| text::width(name)).max().unwrap_or(0);
    let cells = (widest + 2).min(page.width / 2);
    for (name, value) in &row.metrics {
        let scope = if name == monitor { Scope::Good } else { Scope::Text };
        page.pair_in(name, &number(*value), cells, scope);
    }
}

fn forks(page: &mut Page<'_>, model: &Model, row: &CheckpointRow) {
    let Some(run) = model.shown.as_deref() else { return };
    let from = format!("{run}@{}", row.step);
    let forks = model.runs.iter().flatten().filter(|r| r.lineage.forked_from.as_deref() == Some(&from));
    let forks: Vec<&str> = forks.map(|r| r.name.as_str()).collect();
    if forks.is_empty() {
        return;
    }
    page.heading("forked from here");
    forks.iter().take(NAMED).for_each(|name| page.words(name, Scope::TextDim));
    if forks.len() > NAMED {
        page.words(&format!("and {} more", forks.len() - NAMED), Scope::TextDim);
    }
}
