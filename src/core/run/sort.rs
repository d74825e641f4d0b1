//! Sort keys of the run list: `created`, `-best`, `cfg.optimizer.lr`…

use super::RunSummary;
use super::filter::{Lookup, check_field, lookup};
use crate::core::filter::{FilterError, SortBy, Value};
use crate::core::recipe::{Mode, Recipe};

/// By what the run list is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey(SortBy);

impl SortKey {
    /// A field's name, with `-` before it for the largest first.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        SortBy::parse(text, &check_field).map(Self)
    }

    /// Whether it is a key of the recipe. If not, [`SortKey::sort`] takes any recipe.
    pub fn needs_recipe(&self) -> bool {
        self.0.field().starts_with("cfg.")
    }

    /// Sorts runs; those without a value come last either way, equal ones keep their order. By `best` the better ones come
    /// first; values of different metrics cannot be compared and stand apart.
    pub fn sort<'a, T>(&self, runs: &mut [T], get: impl Fn(&T) -> (&'a RunSummary, &'a Recipe)) {
        if self.0.field() == "best" {
            self.0.sort(runs, |run| {
                let run = get(run).0;
                run.best.map(|best| Value::Number(if run.mode == Mode::Max { -best } else { best }))
            });
            // Stable: in each the order stays.
            runs.sort_by_key(|run| {
                let run = get(run).0;
                (run.best.is_none(), run.monitor.as_str())
            });
            return;
        }
        self.0.sort(runs, |run| {
            let (summary, recipe) = get(run);
            lookup(self.0.field(), summary, &Lookup::new(recipe))
        });
    }
}
