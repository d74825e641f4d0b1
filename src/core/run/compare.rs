//! Two or more runs side by side: what their recipes, results and freeze plans have in common and what not.
//!
//! `frostline compare` and the Compare screen show the same [`Comparison`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::progress::is_better;
use super::{CheckpointRef, MetricsReader, RunDir, RunHome, RunSummary, StoreError};
use crate::core::checkpoint::diff;
use crate::core::event::{Event, Record};
use crate::core::recipe::{Mode, Recipe};
use crate::core::series::Series;

/// Runs side by side. Every list has one entry a run, in the order of `runs`.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// All keys of the recipes, dotted and sorted.
    pub keys: Vec<KeyRow>,
    /// All metrics, those of training and validation first.
    pub metrics: Vec<MetricRow>,
    /// The freeze plan in force at the end of each.
    pub plans: Vec<Plan>,
    /// What was torn or dropped in their files.
    pub notes: Vec<String>,
}

/// One key of the recipes.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// Dotted, as `--set` takes it.
    pub key: String,
    /// The values; `null` where a recipe has none.
    pub values: Vec<Value>,
    /// Whether they are not the same. Name, tags and note are the run list's and count for nothing.
    pub differs: bool,
}

/// One metric.
#[derive(Debug, Clone)]
pub struct MetricRow {
    /// Its name (`val/loss`).
    pub name: String,
    /// Which way it is better; `None` where neither is, as for a learning rate.
    pub mode: Option<Mode>,
    /// What each run measured of it.
    pub values: Vec<Option<MetricValue>>,
    /// Its curve in each run.
    pub curves: Vec<Series>,
}

impl MetricRow {
    /// From its curves.
    pub fn new(name: String, mode: Option<Mode>, curves: Vec<Series>) -> Self {
        let values = curves.iter().map(|series| value(series, mode)).collect();
        Self { name, mode, values, curves }
    }
}

/// Values of a metric in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricValue {
    /// The best one, where one is better than another.
    pub best: Option<f64>,
    /// The step at which it was measured.
    pub best_step: Option<u64>,
    /// The newest one.
    #[serde(serialize_with = "finite")]
    pub last: f64,
    /// The step at which it was measured.
    pub last_step: u64,
}

/// JSON knows no NaN.
fn finite<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(serializer)
}

/// A freeze plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Its rules, in order.
    pub rules: Vec<String>,
    /// Parameter tensors that learn; `None` for a run that never started.
    pub trainable: Option<usize>,
    /// Those that do not.
    pub frozen: Option<usize>,
}

impl Comparison {
    /// Reads the runs.
    pub fn read(dirs: &[RunDir]) -> Result<Self, StoreError> {
        let mut this = Self::default();
        let (mut recipes, mut modes) = (Vec::new(), BTreeMap::new());
        let mut curves: Vec<BTreeMap<String, Series>> = Vec::new();
        for dir in dirs {
            let recipe = dir.meta()?.recipe;
            let (records, dropped) = dir.events()?;
            this.notes.extend(dropped.map(|note| format!("run {}: {note}", dir.id())));
            let (table, dropped) = MetricsReader::read_all(&dir.metrics_path())?;
            this.notes.extend(dropped.map(|note| format!("run {}: {note}", dir.id())));
            let curve = |name: &str| {
                let points = table.column(name).into_iter().map(|(step, value)| (step as f64, value));
                (name.to_owned(), Series::from_points(points))
            };
            curves.push(table.names().into_iter().map(curve).collect());
            // The recipe's own word on its metric counts before what the name says.
            modes.entry(recipe.checkpoint.monitor.clone()).or_insert(recipe.monitor_mode());
            this.plans.push(plan(&recipe, &records));
            recipes.push(recipe);
            this.runs.push(dir.summary());
        }
        this.keys = keys(&recipes);
        this.metrics = metrics(curves, &modes);
        Ok(this)
    }

    /// The keys that differ, as `compare --json` prints them.
    pub fn differences(&self) -> Map<String, Value> {
        let differing = self.keys.iter().filter(|row| row.differs);
        differing.map(|row| (row.key.clone(), Value::Array(row.values.clone()))).collect()
    }
}

/// A recipe's keys with dots, as `--set` takes them; lists are values.
fn flat(recipe: &Recipe) -> Map<String, Value> {
    let mut keys = Map::new();
    flatten("", &serde_json::to_value(recipe).unwrap_or_default(), &mut keys);
    keys
}

fn flatten(prefix: &str, value: &Value, keys: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, keys);
            }
        }
        other => {
            keys.insert(prefix.to_owned(), other.clone());
        }
    }
}

pub(crate) fn keys(recipes: &[Recipe]) -> Vec<KeyRow> {
    let recipes: Vec<Map<String, Value>> = recipes.iter().map(flat).collect();
    let all: BTreeSet<&String> = recipes.iter().flat_map(Map::keys).collect();
    all.into_iter()
        .map(|key| {
            let values: Vec<Value> = recipes.iter().map(|r| r.get(key).cloned().unwrap_or(Value::Null)).collect();
            let counts = !matches!(key.as_str(), "name" | "tags" | "note");
            KeyRow { key: key.clone(), differs: counts && values.windows(2).any(|w| w[0] != w[1]), values }
        })
        .collect()
}

fn plan(recipe: &Recipe, records: &[Record]) -> Plan {
    let said = records.iter().rev().find_map(|r| match &r.event {
        Event::FreezeChanged { rules, trainable, frozen, .. } => {
            Some(Plan { rules: rules.clone(), trainable: Some(*trainable), frozen: Some(*frozen) })
        }
        _ => None,
    });
    said.unwrap_or_else(|| Plan { rules: recipe.freeze.starting_rules(), ..Plan::default() })
}

fn metrics(mut curves: Vec<BTreeMap<String, Series>>, modes: &BTreeMap<String, Mode>) -> Vec<MetricRow> {
    let names: BTreeSet<String> = curves.iter().flat_map(|c| c.keys().cloned()).collect();
    let mut rows: Vec<MetricRow> = names
        .into_iter()
        .map(|name| {
            let judged = name.starts_with("train/") || name.starts_with("val/");
            let mode = modes.get(&name).copied().or_else(|| judged.then(|| Mode::of(&name)));
            let curves = curves.iter_mut().map(|c| c.remove(&name).unwrap_or_default()).collect();
            MetricRow::new(name, mode, curves)
        })
        .collect();
    rows.sort_by_key(|row| rank(&row.name));
    rows
}

/// What is looked at first stands first.
fn rank(name: &str) -> usize {
    ["val/", "train/", "lr"]
        .iter()
        .position(|p| name.starts_with(p))
        .unwrap_or(3 + usize::from(name.starts_with("device/")))
}

fn value(series: &Series, mode: Option<Mode>) -> Option<MetricValue> {
    let (last_step, last) = series.last()?;
    let better = |mode: Mode| {
        series
            .points()
            .filter(|(_, v)| v.is_finite())
            .reduce(|best, new| if is_better(new.1, best.1, mode) { new } else { best })
    };
    let best = mode.and_then(better);
    Some(MetricValue {
        best: best.map(|(_, v)| v),
        best_step: best.map(|(step, _)| step as u64),
        last,
        last_step: last_step as u64,
    })
}

/// How far a run's weights went from those it began with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineageDrift {
    /// The run.
    pub run: String,
    /// The checkpoint whose weights it started with.
    pub from: String,
    /// Its newest checkpoint.
    pub to: String,
    /// Tensors of either.
    pub tensors: usize,
    /// Those that are the same bit by bit.
    pub bit_equal: usize,
    /// Relative L2 distance over all that are no counters; `None` where it cannot be told.
    pub relative_l2: Option<f64>,
}

/// How far a run that was forked went from the checkpoint it was forked from; `None` for one that was not. Reads both
/// checkpoints whole.
pub fn lineage_drift(home: &RunHome, run: &RunDir) -> Result<Option<LineageDrift>, StoreError> {
    let Some(from) = run.meta()?.lineage.forked_from else { return Ok(None) };
    let before: CheckpointRef = home.find_checkpoint(&from)?;
    let after = home.find_checkpoint(&format!("{}@last", run.id()))?;
    let drift = diff::diff(&before.load()?.weights, &after.load()?.weights);
    let whole = drift.modules.first();
    Ok(Some(LineageDrift {
        run: run.id().to_string(),
        from,
        to: after.label(),
        tensors: whole.map_or(0, |m| m.tensors),
        bit_equal: whole.map_or(0, |m| m.bit_equal),
        relative_l2: whole.and_then(|m| m.relative_l2),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkpoint::TrainState;
    use crate::core::run::Lineage;
    use crate::core::tensor::{DType, HostTensor};

    fn two() -> (tempfile::TempDir, RunHome, Vec<RunDir>) {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let mut runs = Vec::new();
        for (name, lr) in [("a", 0.1), ("b", 0.2)] {
            let mut recipe = Recipe { name: Some(name.to_owned()), ..Recipe::default() };
            recipe.optimizer.lr = lr;
            recipe.freeze.rules = vec!["freeze **".to_owned()];
            runs.push(home.create(&recipe, Lineage::default()).unwrap());
        }
        (dir, home, runs)
    }

    #[test]
    fn only_what_differs_is_a_difference_and_names_are_not() {
        let (_dir, _, runs) = two();
        let both = Comparison::read(&runs).unwrap();
        assert_eq!(both.differences(), serde_json::from_str(r#"{"optimizer.lr": [0.1, 0.2]}"#).unwrap());
        assert!(both.keys.len() > 30 && both.keys.iter().any(|k| k.key == "name" && !k.differs));
    }

    #[test]
    fn best_and_last_values_stand_side_by_side() {
        let (_dir, _, runs) = two();
        let mut writer = runs[0].metrics_writer(None).unwrap();
        for (step, loss) in [(1, 3.0), (2, 1.0), (3, f64::NAN), (4, 2.0)] {
            writer.append(step, step, &[("val/loss", loss), ("lr", 0.1)]).unwrap();
        }
        writer.flush().unwrap();
        let both = Comparison::read(&runs).unwrap();
        let names: Vec<&str> = both.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["val/loss", "lr"]);
        let best = MetricValue { best: Some(1.0), best_step: Some(2), last: 2.0, last_step: 4 };
        assert_eq!(both.metrics[0].values, [Some(best), None]);
        assert_eq!(both.metrics[1].values[0].unwrap().best, None);
        assert_eq!(both.metrics[0].curves[0].len(), 4);
    }

    #[test]
    fn the_plan_is_the_one_in_force_not_the_recipes() {
        let (_dir, _, runs) = two();
        let rules = vec!["train fc".to_owned()];
        let event = Event::FreezeChanged { rules: rules.clone(), trainable: 2, frozen: 5, states: Vec::new() };
        runs[1].event_log().unwrap().append(&Record { time_ms: 1, step: 0, event }).unwrap();
        let both = Comparison::read(&runs).unwrap();
        assert_eq!(both.plans[0], Plan { rules: vec!["freeze **".to_owned()], trainable: None, frozen: None });
        assert_eq!(both.plans[1], Plan { rules, trainable: Some(2), frozen: Some(5) });
    }

    #[test]
    fn drift_counts_every_tensor_and_measures_those_that_are_no_counters() {
        let (_dir, home, runs) = two();
        let count =
            |n: u8| HostTensor { dtype: DType::Uint8, data: vec![n], ..HostTensor::from_f32("n", &[1], &[0.0]) };
        let write = |run: &RunDir, weights: &[HostTensor]| {
            run.checkpoints().write(&TrainState { step: 7, ..TrainState::default() }, weights, &[]).unwrap();
        };
        write(&runs[0], &[HostTensor::from_f32("w", &[2], &[3.0, 4.0]), count(1)]);
        let lineage = Lineage { forked_from: Some(format!("{}@7", runs[0].id())), ..Lineage::default() };
        let fork = home.create(&Recipe::default(), lineage).unwrap();
        write(&fork, &[HostTensor::from_f32("w", &[2], &[3.0, 4.5]), count(200)]);
        let drift = lineage_drift(&home, &fork).unwrap().unwrap();
        assert_eq!((drift.tensors, drift.bit_equal, drift.relative_l2), (2, 0, Some(0.1)), "as `diff` has it");
    }

    #[test]
    fn a_run_that_was_not_forked_has_no_drift() {
        let (_dir, home, runs) = two();
        assert_eq!(lineage_drift(&home, &runs[0]).unwrap(), None);
    }
}
