//! Which runs the run list shows, and in which order.

use std::collections::{HashMap, HashSet};

use crate::core::recipe::Recipe;
use crate::core::run::{Filter, RunSummary, SortKey};

/// Orders that a key goes through, the first one is where it begins.
const ORDERS: [&str; 6] = ["-created", "name", "status", "model", "-step", "best"];

/// Filter and order of the run list.
#[derive(Debug, Clone)]
pub struct RunList {
    /// The filter, in the language of `frostline ls`.
    pub filter: Filter,
    order: String,
    shown: Vec<usize>,
    /// Recipes, for filters and orders that ask for them.
    recipes: HashMap<String, Recipe>,
    /// Runs whose recipes were asked for: what cannot be read is asked for once.
    asked: HashSet<String>,
}

impl Default for RunList {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            order: ORDERS[0].to_owned(),
            shown: Vec::new(),
            recipes: HashMap::new(),
            asked: HashSet::new(),
        }
    }
}

impl RunList {
    /// Indices of the runs that are shown, in the order of the lines.
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// The order as `frostline ls --sort` takes it.
    pub fn order(&self) -> &str {
        &self.order
    }

    /// Whether it is not the plain list, newest first.
    pub fn is_arranged(&self) -> bool {
        !self.filter.is_empty() || self.order != ORDERS[0]
    }

    /// Takes an order, as a session remembers it; an unknown one changes nothing.
    pub fn set_order(&mut self, order: &str) {
        if SortKey::parse(order).is_ok() {
            order.clone_into(&mut self.order);
        }
    }

    /// The next order.
    pub fn next_order(&mut self) {
        let field = |o: &str| o.trim_start_matches('-').to_owned();
        let at = ORDERS.iter().position(|o| field(o) == field(&self.order)).map_or(0, |at| at + 1);
        ORDERS[at % ORDERS.len()].clone_into(&mut self.order);
    }

    /// Turns the order round.
    pub fn reverse(&mut self) {
        self.order = match self.order.strip_prefix('-') {
            Some(field) => field.to_owned(),
            None => format!("-{}", self.order),
        };
    }

    /// Recipes became known.
    pub fn take_recipes(&mut self, recipes: Vec<(String, Recipe)>) {
        self.recipes.extend(recipes);
    }

    /// Arranges the runs anew; the ids of those whose recipes must be read for it.
    pub fn arrange(&mut self, runs: &[RunSummary]) -> Vec<String> {
        let sort = SortKey::parse(&self.order).ok();
        let needs = self.filter.needs_recipe() || sort.as_ref().is_some_and(SortKey::needs_recipe);
        let none = Recipe::default();
        let recipe = |run: &RunSummary| self.recipes.get(run.id.as_str()).unwrap_or(&none);
        // A run whose recipe is not known yet passes no filter that asks for it.
        let known = |run: &RunSummary| !needs || self.recipes.contains_key(run.id.as_str());
        let passes = |run: &RunSummary| known(run) && self.filter.matches(run, recipe(run));
        let mut shown: Vec<usize> = (0..runs.len()).filter(|i| passes(&runs[*i])).collect();
        if let Some(sort) = sort {
            sort.sort(&mut shown, |i| (&runs[*i], recipe(&runs[*i])));
        }
        self.shown = shown;
        if !needs {
            return Vec::new();
        }
        let new = |id: &String| !self.recipes.contains_key(id) && !self.asked.contains(id);
        let missing: Vec<String> = runs.iter().map(|run| run.id.to_string()).filter(new).collect();
        self.asked.extend(missing.iter().cloned());
        missing
    }
}
