//! The run list's filter: the language of [`crate::core::filter`] over what a run's line shows and its recipe.
//!
//! ```text
//! flowers                      id, name, a tag or the note contains the word, whatever its case
//! name:flowers tag:a status:running id:2026 note:good    the same in one place
//! best<0.3 step>=100 cfg.optimizer.lr>=1e-3 cfg.model.arch=resnet18 epochs!=3
//! ```

mod value;

pub(super) use value::{Lookup, lookup};

use super::{RunStatus, RunSummary};
use crate::core::filter::{Fields, FilterError, Query, Record, Value, contains};
use crate::core::recipe::{Recipe, has_key, nearest_key};

/// Fields besides `cfg.*`.
const FIELDS: [&str; 16] = [
    "id", "name", "tag", "tags", "note", "status", "host", "model", "step", "steps", "epoch", "epochs", "best",
    "created", "updated", "message",
];

/// Those that hold numbers.
const NUMBERS: [&str; 5] = ["step", "steps", "epoch", "epochs", "best"];

pub(super) fn check_field(field: &str) -> Result<(), FilterError> {
    if FIELDS.contains(&field) {
        return Ok(());
    }
    let Some(key) = field.strip_prefix("cfg.").filter(|key| !key.is_empty()) else {
        return Err(FilterError::unknown(field, &FIELDS, "cfg.<recipe key>"));
    };
    if has_key(key) {
        return Ok(());
    }
    let hint = nearest_key(key).map_or_else(
        || "docs/recipe.md has the keys of a recipe".to_owned(),
        |near| format!("no recipe has this key; did you mean `cfg.{near}`?"),
    );
    Err(FilterError::Field { field: field.to_owned(), hint })
}

/// The fields of the run list.
struct OfRuns;

impl Fields for OfRuns {
    fn field(&self, field: &str) -> Result<(), FilterError> {
        check_field(field)
    }

    fn value(&self, field: &str, value: &str, whole: bool) -> Result<(), FilterError> {
        if whole && NUMBERS.contains(&field) {
            return FilterError::unless_number(field, value);
        }
        let names = RunStatus::ALL.map(RunStatus::as_str);
        let is_one = |name: &&str| if whole { name.eq_ignore_ascii_case(value) } else { contains(name, value) };
        if field == "status" && !names.iter().any(is_one) {
            let hint = format!("known are {}", names.join(", "));
            return Err(FilterError::Value { field: field.to_owned(), value: value.to_owned(), hint });
        }
        Ok(())
    }
}

/// A parsed filter. The empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Query);

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Query::parse(text, &OfRuns).map(Self)
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it asks for anything of the recipe. If not, [`Filter::matches`] takes any: reading thousands of them is
    /// what a listing should not do without need.
    pub fn needs_recipe(&self) -> bool {
        self.0.fields().any(|field| field.starts_with("cfg."))
    }

    /// Whether a run is let through.
    pub fn matches(&self, run: &RunSummary, recipe: &Recipe) -> bool {
        self.0.matches(&Listed { run, recipe: Lookup::new(recipe) })
    }
}

struct Listed<'a> {
    run: &'a RunSummary,
    recipe: Lookup<'a>,
}

impl Record for Listed<'_> {
    fn has(&self, word: &str) -> bool {
        let run = self.run;
        [run.id.as_str(), &run.name, &run.note].iter().any(|t| contains(t, word))
            || run.tags.iter().any(|t| contains(t, word))
    }

    fn labels(&self, field: &str) -> Option<&[String]> {
        (field == "tag" || field == "tags").then_some(&self.run.tags)
    }

    fn value(&self, field: &str) -> Option<Value> {
        lookup(field, self.run, &self.recipe)
    }
}

#[cfg(test)]
mod tests;
