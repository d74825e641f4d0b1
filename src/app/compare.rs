//! Runs side by side, in words: the tables that the Compare screen shows and `frostline compare` prints.

use serde_json::Value;

use super::format::{number, of_metric};
use crate::core::recipe::Mode;
use crate::core::run::compare::{LineageDrift, MetricRow, Plan};
use crate::core::run::{Comparison, RunSummary};

/// Heading of the table of drift.
pub const DRIFT: &str = "Drift since the fork";

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// One row, with a cell for each run.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// The cells.
    pub cells: Vec<String>,
    /// Whether they are not the same.
    pub differs: bool,
    /// The run with the best value, where one is better than the others.
    pub best: Option<usize>,
}

impl Row {
    fn new(label: impl Into<String>, cells: Vec<String>) -> Self {
        let differs = cells.windows(2).any(|w| w[0] != w[1]);
        Self { label: label.into(), cells, differs, best: None }
    }
}

/// The tables. `all`: keys and metrics too that are the same in all runs or matter less.
pub fn sections(of: &Comparison, drifts: &[Result<LineageDrift, String>], all: bool) -> Vec<Section> {
    let keys = of.keys.iter().filter(|key| all || key.differs);
    let mut recipe: Vec<Row> = keys
        .map(|key| Row { differs: key.differs, ..Row::new(&*key.key, key.values.iter().map(value).collect()) })
        .collect();
    if recipe.is_empty() {
        recipe.push(Row::new("no key differs", vec![String::new(); of.runs.len()]));
    }
    let metrics = of.metrics.iter().filter(|m| all || m.mode.is_some()).flat_map(metric).collect();
    let mut sections = vec![
        ("Runs", runs(&of.runs)),
        ("Recipes", recipe),
        ("Metrics", metrics),
        ("Freeze plans", plans(&of.plans)),
        (DRIFT, drift(&of.runs, drifts)),
    ];
    // Few differences explain the results and stand before them; all keys would push them off the screen.
    if all {
        let recipe = sections.remove(1);
        sections.push(recipe);
    }
    let sections = sections.into_iter().map(|(title, rows)| Section { title, rows });
    sections.filter(|s| !s.rows.is_empty()).collect()
}

fn runs(runs: &[RunSummary]) -> Vec<Row> {
    let row = |label: &str, cell: &dyn Fn(&RunSummary) -> String| Row::new(label, runs.iter().map(cell).collect());
    let of = |n: u64, all: u64| if all > 0 { format!("{n}/{all}") } else { n.to_string() };
    let mut rows = vec![
        row("name", &|r| r.name.clone()),
        row("id", &|r| r.id.to_string()),
        row("status", &|r| r.status.to_string()),
        row("step", &|r| of(r.step, r.steps)),
        row("best", &|r| r.best.map_or_else(|| "-".to_owned(), |best| format!("{} {}", r.monitor, number(best)))),
    ];
    let rare = [
        row("tags", &|r| r.tags.join(" ")),
        row("resumed from", &|r| r.lineage.resumed_from.clone().unwrap_or_default()),
        row("forked from", &|r| r.lineage.forked_from.clone().unwrap_or_default()),
    ];
    // A fork has its parent's name unless it is given another one.
    let mut names: Vec<&str> = runs.iter().map(|r| r.name.as_str()).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    if names.len() == before {
        rows.retain(|r| r.label != "id");
    }
    rows.extend(rare.into_iter().filter(|r| r.cells.iter().any(|c| !c.is_empty())));
    rows
}

fn metric(row: &MetricRow) -> Vec<Row> {
    let cells = |get: &dyn Fn(&crate::core::run::compare::MetricValue) -> Option<String>| {
        let cell = |v: &Option<_>| v.as_ref().and_then(get).unwrap_or_else(|| "-".to_owned());
        row.values.iter().map(cell).collect::<Vec<_>>()
    };
    let number = of_metric(&row.name);
    let last = Row::new(format!("{} last", row.name), cells(&|v| Some(number(v.last))));
    let Some(mode) = row.mode else { return vec![last] };
    let best = cells(&|v| Some(format!("{} @{}", number(v.best?), v.best_step?)));
    vec![Row { best: winner(row, mode), ..Row::new(format!("{} best", row.name), best) }, last]
}

/// The run with the best value; none where two share it.
fn winner(row: &MetricRow, mode: Mode) -> Option<usize> {
    let values = row.values.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?.best?)));
    let better = |a: f64, b: f64| if mode == Mode::Min { a < b } else { a > b };
    let (at, best) = values.clone().reduce(|a, b| if better(b.1, a.1) { b } else { a })?;
    let alone = values.clone().count() > 1 && values.filter(|(_, v)| *v == best).count() == 1;
    alone.then_some(at)
}

fn plans(plans: &[Plan]) -> Vec<Row> {
    let learn = |p: &Plan| match (p.trainable, p.frozen) {
        (Some(trainable), Some(frozen)) => format!("{trainable} of {} tensors", trainable + frozen),
        _ => "-".to_owned(),
    };
    let mut rows = vec![Row::new("learn", plans.iter().map(learn).collect())];
    let rule = |p: &Plan, i: usize| match p.rules.get(i) {
        Some(rule) => rule.clone(),
        None if i == 0 => "(no rule: everything learns)".to_owned(),
        None => String::new(),
    };
    let most = plans.iter().map(|p| p.rules.len()).max().unwrap_or(0).max(1);
    rows.extend((0..most).map(|i| Row::new(format!("rule {}", i + 1), plans.iter().map(|p| rule(p, i)).collect())));
    rows
}

fn drift(runs: &[RunSummary], drifts: &[Result<LineageDrift, String>]) -> Vec<Row> {
    let mut rows = Vec::new();
    let row = |label: &str, cell: &dyn Fn(&LineageDrift) -> String| {
        let of = |run: &RunSummary| drifts.iter().flatten().find(|d| d.run == run.id.as_str());
        Row::new(label, runs.iter().map(|r| of(r).map_or_else(String::new, cell)).collect())
    };
    if drifts.iter().any(Result::is_ok) {
        rows.push(row("from", &|d| d.from.clone()));
        rows.push(row("to", &|d| d.to.clone()));
        rows.push(row("moved", &|d| format!("{} of {} tensors", d.tensors - d.bit_equal, d.tensors)));
        rows.push(row("relative L2", &|d| d.relative_l2.map_or_else(|| "-".to_owned(), number)));
    }
    let wrong = drifts.iter().filter_map(|d| d.as_ref().err());
    rows.extend(wrong.map(|problem| Row::new(problem.as_str(), vec![String::new(); runs.len()])));
    rows
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::core::run::compare::MetricValue;

    fn row<'a>(sections: &'a [Section], label: &str) -> &'a Row {
        sections.iter().flat_map(|s| &s.rows).find(|r| r.label == label).unwrap()
    }

    #[test]
    fn the_best_value_is_told_by_the_metrics_own_way() {
        let sections = sections(&sample::comparison(2), &[], false);
        assert_eq!(row(&sections, "val/loss best").best, Some(1));
        assert_eq!(row(&sections, "val/top1 best").best, Some(0));
        assert!(sections.iter().flat_map(|s| &s.rows).all(|r| r.label != "lr last"), "which is nobody's result");
    }

    #[test]
    fn runs_with_the_same_name_are_told_by_their_ids() {
        let mut both = sample::comparison(2);
        let has_ids = |of: &Comparison| sections(of, &[], false)[0].rows.iter().any(|r| r.label == "id");
        assert!(!has_ids(&both));
        both.runs[1].name = both.runs[0].name.clone();
        assert!(has_ids(&both));
        assert_eq!(row(&sections(&both, &[], false), "id").cells[1], both.runs[1].id.to_string());
    }

    #[test]
    fn figures_of_devices_have_their_units() {
        let value = |last| Some(MetricValue { last, last_step: 9, best: None, best_step: None });
        let of = MetricRow {
            name: "device/cpu/memory".to_owned(),
            mode: None,
            values: vec![value(2e9)],
            curves: Vec::new(),
        };
        assert_eq!(metric(&of)[0].cells, ["2.00 GB"]);
    }

    #[test]
    fn what_is_the_same_is_left_out_unless_all_is_asked_for() {
        let both = sample::comparison(2);
        let recipes = |s: &Section| s.title == "Recipes";
        let count = |all: bool| sections(&both, &[], all).into_iter().find(recipes).unwrap().rows.len();
        assert_eq!(count(false), 2);
        assert!(count(true) > 30, "{}", count(true));
        let recipes = sections(&both, &[], false);
        assert_eq!(row(&recipes, "optimizer.lr").cells, ["0.001", "0.002"]);
    }

    #[test]
    fn plans_stand_side_by_side_rule_by_rule() {
        let sections = sections(&sample::comparison(3), &[], false);
        assert_eq!(row(&sections, "rule 1").cells, ["freeze **", "freeze **", "freeze **"]);
        let second = row(&sections, "rule 2");
        assert_eq!(second.cells, ["train fc", "train layer2", "train fc"]);
        assert!(second.differs);
    }

    #[test]
    fn drift_is_said_of_the_run_that_was_forked() {
        let both = sample::comparison(2);
        let id = both.runs[1].id.to_string();
        let drift = LineageDrift {
            run: id.clone(),
            from: "x@1".to_owned(),
            to: format!("{id}@9"),
            tensors: 10,
            bit_equal: 4,
            relative_l2: Some(0.25),
        };
        let sections = sections(&both, &[Ok(drift), Err("gone".to_owned())], false);
        assert_eq!(row(&sections, "moved").cells, ["", "6 of 10 tensors"]);
        assert_eq!(row(&sections, "relative L2").cells, ["", "0.2500"]);
        assert_eq!(row(&sections, "gone").cells, ["", ""]);
    }
}
