//! Values of a run's fields.

use std::cell::OnceCell;

use crate::core::filter::Value;
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
