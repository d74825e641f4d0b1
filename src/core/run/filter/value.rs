//! Values of a run's fields, and how they compare with what was asked for.

use std::cell::OnceCell;
use std::cmp::Ordering;

use super::Op;
use crate::core::recipe::Recipe;
use crate::core::run::RunSummary;

/// The recipe as a JSON value, made when the first `cfg.` field asks for it.
pub(in crate::core::run) struct Lookup<'a> {
    recipe: &'a Recipe,
    json: OnceCell<serde_json::Value>,
}

impl<'a> Lookup<'a> {
    pub(in crate::core::run) fn new(recipe: &'a Recipe) -> Self {
        Self { recipe, json: OnceCell::new() }
    }
    fn get(&self, dotted: &str) -> Option<&serde_json::Value> {
        let json = self.json.get_or_init(|| serde_json::to_value(self.recipe).unwrap_or_default());
        dotted.split('.').try_fold(json, |v, key| match v {
            serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        })
    }
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::core::run) enum Value {
    Number(f64),
    Text(String),
}

impl Value {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }

    pub(super) fn compare(&self, op: Op, asked: &str) -> bool {
        let order = match (self, asked.parse::<f64>()) {
            (Self::Number(a), Ok(b)) => a.partial_cmp(&b),
            (Self::Number(_), Err(_)) => None,
            (Self::Text(a), _) => Some(a.to_lowercase().cmp(&asked.to_lowercase())),
        };
        match (op, order) {
            (Op::Ne, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Op::Eq, Some(o)) => o.is_eq(),
            (Op::Lt, Some(o)) => o.is_lt(),
            (Op::Le, Some(o)) => o.is_le(),
            (Op::Gt, Some(o)) => o.is_gt(),
            (Op::Ge, Some(o)) => o.is_ge(),
        }
    }

    pub(in crate::core::run) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Text(a), Self::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        }
    }
}

pub(in crate::core::run) fn lookup(field: &str, run: &RunSummary, recipe: &Lookup<'_>) -> Option<Value> {
    let text = |s: &str| Some(Value::Text(s.to_owned()));
    let number = |n: u64| Some(Value::Number(n as f64));
    match field {
        "id" => text(run.id.as_str()),
        "name" => text(&run.name),
        "tag" | "tags" => text(&run.tags.join(" ")),
        "note" => text(&run.note),
        "status" => text(run.status.as_str()),
        "host" => text(&run.host),
        "model" => text(&run.model),
        "message" => run.message.as_deref().and_then(text),
        "created" => text(&run.created.to_string()),
        "updated" => text(&run.updated.to_string()),
        "step" => number(run.step),
        "steps" => number(run.steps),
        "epoch" => number(run.epoch),
        "epochs" => number(run.epochs),
        "best" => run.best.map(Value::Number),
        _ => match recipe.get(field.strip_prefix("cfg.")?)? {
            serde_json::Value::Null => None,
            serde_json::Value::Number(n) => n.as_f64().map(Value::Number),
            serde_json::Value::String(s) => text(s),
            other => text(&other.to_string()),
        },
    }
}
