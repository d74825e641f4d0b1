//! Which runs the run list shows, and in which order.

use std::collections::{HashMap, HashSet};

use super::order::Order;
use crate::core::recipe::Recipe;
use crate::core::run::{Filter, RunSummary, SortKey};

/// Orders that a key goes through, the first one is where it begins.
const ORDERS: &[&str] = &["-created", "name", "status", "model", "-step", "best"];

/// Filter and order of the run list.
#[derive(Debug, Clone)]
pub struct RunList {
    /// The filter, in the language of `frostline ls`.
    pub filter: Filter,
    order: Order,
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
            order: Order::new(ORDERS),
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
        self.order.as_str()
    }

    /// Whether it is not the plain list, newest first.
    pub fn is_arranged(&self) -> bool {
        !self.filter.is_empty() || !self.order.is_first()
    }

    /// Takes an order, as a session remembers it; an unknown one changes nothing.
    pub fn set_order(&mut self, order: &str) {
        if SortKey::parse(order).is_ok() {
            self.order.set(order);
        }
    }

    /// The order, to change.
    pub fn order_mut(&mut self) -> &mut Order {
        &mut self.order
    }

    /// Recipes became known.
    pub fn take_recipes(&mut self, recipes: Vec<(String, Recipe)>) {
        self.recipes.extend(recipes);
    }

    /// Arranges the runs anew; the ids of those whose recipes must be read for it.
    pub fn arrange(&mut self, runs: &[RunSummary]) -> Vec<String> {
        let sort = SortKey::parse(self.order.as_str()).ok();
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
