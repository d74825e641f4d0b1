//! Which checkpoints of the run on view are listed, and in which order: the run list's ways on a run's history.

use std::collections::BTreeMap;

use super::message::CheckpointRow;
use super::model::Model;
use super::order::Order;
use super::run_view::{Health, RunView};
use crate::core::filter::{Fields, FilterError, Query, Record, SortBy, Value, contains};
use crate::core::recipe::Mode;

/// Orders that a key goes through. `best` is the monitored metric, the best first.
const ORDERS: &[&str] = &["-step", "best", "-size", "kept", "state"];

/// Fields besides the metrics.
const FIELDS: [&str; 8] = ["step", "epoch", "best", "size", "created", "kept", "why", "state"];

/// Those that hold words.
const WORDS: [&str; 4] = ["created", "kept", "why", "state"];

/// What is known of a checkpoint's bytes.
const STATES: [&str; 4] = ["unchecked", "checking", "verified", "damaged"];

/// Metrics whose names have no `/`.
const METRICS: [&str; 3] = ["lr", "grad_norm", "samples_per_s"];

/// Filter, order and cursor.
#[derive(Debug, Clone)]
pub struct CheckpointList {
    /// The filter.
    pub filter: Query,
    /// The line under the cursor.
    pub cursor: usize,
    order: Order,
    /// Indices of the rows, in the order of the lines.
    shown: Vec<usize>,
}

impl Default for CheckpointList {
    fn default() -> Self {
        Self { filter: Query::default(), cursor: 0, order: Order::new(ORDERS), shown: Vec::new() }
    }
}

fn check_field(field: &str) -> Result<(), FilterError> {
    if FIELDS.contains(&field) || METRICS.contains(&field) || field.contains('/') {
        return Ok(());
    }
    Err(FilterError::unknown(field, &FIELDS, "metrics (val/loss, lr…)"))
}

/// The fields of a list of checkpoints.
struct OfCheckpoints;

impl Fields for OfCheckpoints {
    fn field(&self, field: &str) -> Result<(), FilterError> {
        check_field(field)
    }

    fn value(&self, field: &str, value: &str, whole: bool) -> Result<(), FilterError> {
        if whole && !WORDS.contains(&field) {
            return FilterError::unless_number(field, value);
        }
        if field == "state" && !STATES.iter().any(|s| if whole { *s == value } else { contains(s, value) }) {
            let hint = format!("known are {}", STATES.join(", "));
            return Err(FilterError::Value { field: field.to_owned(), value: value.to_owned(), hint });
        }
        Ok(())
    }
}

/// Reads a filter of checkpoints.
pub fn parse(text: &str) -> Result<Query, FilterError> {
    Query::parse(text, &OfCheckpoints)
}

impl CheckpointList {
    /// Indices of the rows that are listed, in the order of the lines.
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// The order.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The order, to change.
    pub fn order_mut(&mut self) -> &mut Order {
        &mut self.order
    }

    /// Takes an order, as a session remembers it; an unknown one changes nothing.
    pub fn set_order(&mut self, order: &str) {
        if SortBy::parse(order, &check_field).is_ok() {
            self.order.set(order);
        }
    }

    /// Arranges the rows anew.
    fn arrange(&mut self, view: &RunView) {
        let rows = view.checkpoints.as_deref().unwrap_or_default();
        let listed = |i: usize| Listed { row: &rows[i], health: &view.health, monitor: &view.monitor };
        // Newest first, which equal ones keep.
        let mut shown: Vec<usize> = (0..rows.len()).rev().filter(|i| self.filter.matches(&listed(*i))).collect();
        if let Ok(sort) = SortBy::parse(self.order.as_str(), &check_field) {
            let turned = sort.field() == "best" && view.mode() == Mode::Max;
            let sort = if turned { sort.reversed() } else { sort };
            let field = sort.field().to_owned();
            sort.sort(&mut shown, |i| listed(*i).value(&field));
        }
        self.shown = shown;
    }
}

/// A row with what is known of its bytes.
struct Listed<'a> {
    row: &'a CheckpointRow,
    health: &'a BTreeMap<String, Health>,
    monitor: &'a str,
}

impl Listed<'_> {
    fn state(&self) -> &'static str {
        match self.health.get(&self.row.name) {
            _ if self.row.problem.is_some() => "damaged",
            None => "unchecked",
            Some(Health::Checking) => "checking",
            Some(Health::Verified) => "verified",
            Some(Health::Damaged(_)) => "damaged",
        }
    }
}

impl Record for Listed<'_> {
    fn has(&self, word: &str) -> bool {
        contains(&self.row.name, word)
            || self.state().contains(word)
            || contains(&self.row.reason, word)
            || self.row.kept.iter().any(|k| contains(k, word))
    }

    fn value(&self, field: &str) -> Option<Value> {
        let number = |n: u64| Some(Value::Number(n as f64));
        let metric = |name: &str| self.row.metrics.get(name).filter(|v| v.is_finite()).map(|v| Value::Number(*v));
        match field {
            "step" => number(self.row.step),
            "epoch" => number(self.row.epoch),
            "size" => number(self.row.bytes),
            "created" => {
                let time = jiff::Timestamp::from_millisecond(i64::try_from(self.row.time_ms).ok()?).ok()?;
                Some(Value::Text(time.to_string()))
            }
            "kept" => Some(self.row.kept.join(", ")).filter(|k| !k.is_empty()).map(Value::Text),
            "why" => Some(Value::Text(self.row.reason.clone())),
            "state" => Some(Value::Text(self.state().to_owned())),
            "best" => metric(self.monitor),
            name => metric(name),
        }
    }
}

impl Model {
    /// The checkpoint under the cursor.
    pub fn selected_checkpoint(&self) -> Option<&CheckpointRow> {
        let rows = self.shown()?.checkpoints.as_ref()?;
        rows.get(*self.checkpoint_list.shown.get(self.checkpoint_list.cursor)?)
    }

    /// Arranges the checkpoints of the run on view anew, the cursor on the one on which it was.
    pub fn arrange_checkpoints(&mut self, selected: Option<&str>) {
        let mut list = std::mem::take(&mut self.checkpoint_list);
        match self.shown() {
            Some(view) => {
                list.arrange(view);
                let rows = view.checkpoints.as_deref().unwrap_or_default();
                let at = selected.and_then(|name| list.shown.iter().position(|i| rows[*i].name == name));
                list.cursor = at.unwrap_or(list.cursor).min(list.shown.len().saturating_sub(1));
            }
            None => (list.shown, list.cursor) = (Vec::new(), 0),
        }
        self.checkpoint_list = list;
    }

    /// Whether the newest checkpoint is on the first line and under the cursor, so that the next one is to be, too.
    pub fn is_on_newest_checkpoint(&self) -> bool {
        self.checkpoint_list.cursor == 0 && self.checkpoint_list.order.is_first()
    }
}
