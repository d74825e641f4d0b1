//! Runs side by side.

use crate::app::action::Action;
use crate::app::compare::DRIFT;
use crate::app::compare_view::CompareView;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::place::Screen;
use crate::app::run_view::Level;
use crate::core::run::Comparison;
use crate::core::run::compare::LineageDrift;

/// Goes to the Compare screen with the marked runs; with less than two, with the one under the cursor and the newest of
/// the others.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    let mut runs = model.marks.clone();
    let selected = model.selected_run().map(|r| r.id.to_string());
    let newest = model.runs.iter().flatten().map(|r| r.id.to_string()).collect::<Vec<_>>();
    for id in selected.into_iter().chain(newest) {
        if runs.len() < 2 && !runs.contains(&id) {
            runs.push(id);
        }
    }
    if runs.len() < 2 {
        model.say(Level::Info, "there is no second run to compare with yet");
        return Vec::new();
    }
    model.compare = CompareView::of(runs, &model.compare);
    model.screen = Screen::Compare;
    read(model)
}

/// Reads the runs of the screen.
pub(super) fn read(model: &Model) -> Vec<Effect> {
    if model.compare.runs.is_empty() { Vec::new() } else { vec![Effect::Compare(model.compare.runs.clone())] }
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let view = &mut model.compare;
    match action {
        Action::CompareAll => {
            view.all = !view.all;
            view.arrange();
        }
        Action::NextMetric => view.next_metric(1),
        Action::PreviousMetric => view.next_metric(-1),
        Action::ShiftLeft => view.shift = view.shift.saturating_sub(1),
        Action::ShiftRight => view.shift = (view.shift + 1).min(view.runs.len().saturating_sub(1)),
        Action::RefreshCompare => return read(model),
        Action::MeasureDrift if !view.has_forks() => {
            model.say(Level::Info, "none of these runs is a fork: there is no drift to measure");
        }
        Action::MeasureDrift if !view.measuring => {
            view.measuring = true;
            return vec![Effect::MeasureDrift(view.runs.clone())];
        }
        _ => {}
    }
    Vec::new()
}

/// Lines up or down.
pub(super) fn go(model: &mut Model, by: isize) {
    let view = &mut model.compare;
    view.scroll = view.scroll.saturating_add_signed(by).min(view.lines().saturating_sub(1));
}

/// The runs were read.
pub(super) fn compared(model: &mut Model, runs: &[String], result: Result<Comparison, String>) {
    // Else the user compares others by now, or none.
    if model.compare.runs != runs || runs.is_empty() {
        return;
    }
    let said = model.compare.comparison.as_ref().map(|c| c.notes.clone()).unwrap_or_default();
    let new = result.as_ref().map(|c| c.notes.clone()).unwrap_or_default();
    model.compare.take(result);
    for note in new.into_iter().filter(|note| !said.contains(note)) {
        model.say(Level::Warning, note);
    }
}

/// Drift was measured.
pub(super) fn drifted(model: &mut Model, runs: &[String], drifts: Vec<Result<LineageDrift, String>>) {
    if model.compare.runs == runs {
        model.compare.measuring = false;
        model.compare.drifts = Some(drifts);
        model.compare.arrange();
        // Nobody should have to look for what was asked for.
        model.compare.scroll = model.compare.line_of(DRIFT);
    }
}
