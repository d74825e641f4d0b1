//! Sort keys of the run list: `created`, `-best`, `cfg.optimizer.lr`…

use std::cmp::Ordering;

use super::RunSummary;
use super::filter::{Lookup, Value, lookup};
use crate::core::recipe::Recipe;

/// By what the run list is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    field: String,
    descending: bool,
}

impl SortKey {
    /// A field's name, with `-` before it for the largest first.
    pub fn parse(text: &str) -> Result<Self, super::filter::FilterError> {
        let (field, descending) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        super::filter::check_field(field)?;
        Ok(Self { field: field.to_owned(), descending })
    }

    /// Whether it is a key of the recipe. If not, [`SortKey::sort`] takes any recipe.
    pub fn needs_recipe(&self) -> bool {
        self.field.starts_with("cfg.")
    }

    /// Sorts runs; those without a value come last either way, equal ones keep their order.
    pub fn sort<'a, T>(&self, runs: &mut [T], get: impl Fn(&T) -> (&'a RunSummary, &'a Recipe)) {
        runs.sort_by_cached_key(|run| {
            let (summary, recipe) = get(run);
            Key { value: lookup(&self.field, summary, &Lookup::new(recipe)), descending: self.descending }
        });
    }
}

struct Key {
    value: Option<Value>,
    descending: bool,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Some(a), Some(b)) if self.descending => b.order(a),
            (Some(a), Some(b)) => a.order(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Key {}
