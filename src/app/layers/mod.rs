//! The layer tree as the Model screen shows it: what is folded, where the cursor is, which edits are staged, and what
//! the plan would be with them. Names no screen library; built on `core::tree` and `core::freeze`.

mod edits;
mod filter;
mod folds;
mod frost;
mod rows;
mod savings;

use std::collections::HashSet;

use crate::core::freeze::{ParamState, Plan, Resolution, ResolvedParam};
use crate::core::groups::groups;
use crate::core::recipe::OptimizerSpec;
use crate::core::tree::Tree;

pub use edits::RulePreview;
use edits::Step;
use filter::Filter;
pub use folds::Folded;
pub use frost::FrostLine;
pub use rows::{Node, NodeKind, NodeState, Row};
pub use savings::{Savings, savings, slots};

/// Ends the reason of a starved parameter.
const UNREACHED: &str = "no gradient reaches it";

/// A tree with its plan in force and the edits staged on it.
#[derive(Debug, Clone)]
pub struct Layers {
    tree: Tree,
    nodes: Vec<Node>,
    folded: HashSet<usize>,
    /// Which nodes are shown, where not all are.
    filter: Option<Filter>,
    /// Index into `nodes`.
    cursor: usize,
    /// Rules in force.
    rules: Vec<String>,
    base: Resolution,
    /// Rules that would come after those in force.
    staged: Vec<String>,
    history: Vec<Step>,
    undone: Vec<Step>,
    preview: Resolution,
    /// The staged rules were sent and not yet answered.
    applying: bool,
    /// Each parameter's factor on the base learning rate; empty while unknown.
    rates: Vec<f64>,
}

/// What an edit did, in words for the user; nothing when the tree itself shows it.
pub type Said = Result<Option<String>, String>;

impl Layers {
    /// A tree with the rules in force on it. Rules that do not fit are said; the rest of the screen works.
    pub fn new(tree: Tree, rules: Vec<String>) -> (Self, Option<String>) {
        let nodes = rows::nodes(&tree);
        let base = Resolution::all_trainable(&tree);
        let mut layers = Self {
            nodes,
            folded: HashSet::new(),
            filter: None,
            cursor: 0,
            rules: Vec::new(),
            preview: base.clone(),
            base,
            staged: Vec::new(),
            history: Vec::new(),
            undone: Vec::new(),
            applying: false,
            rates: Vec::new(),
            tree,
        };
        let problem = layers.set_rules(rules).err();
        layers.folded = layers.usual_folds();
        (layers, problem)
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Works out the rate of each parameter's group.
    pub fn set_rates(&mut self, spec: &OptimizerSpec) {
        let factor = |lr: f64| if spec.lr == 0.0 { 0.0 } else { lr / spec.lr };
        let groups = groups(spec, &self.tree).unwrap_or_default();
        self.rates = groups.into_iter().map(|g| factor(g.lr)).collect();
    }

    /// Smallest and largest factor on the base learning rate among the parameters of a node that learn.
    pub fn rate_of(&self, node: &Node) -> Option<(f64, f64)> {
        let learning = node.params.iter().filter(|p| self.preview.state(**p) == Some(ParamState::Trainable));
        let mut rates = learning.filter_map(|p| self.rates.get(*p));
        let first = *rates.next()?;
        Some(rates.fold((first, first), |(low, high), r| (low.min(*r), high.max(*r))))
    }

    /// Rules in force, without the staged ones.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Rules in force and staged, in order: what a draft starts with.
    pub fn all_rules(&self) -> Vec<String> {
        self.rules.iter().chain(&self.staged).cloned().collect()
    }

    /// States and reasons with the staged edits.
    pub fn preview(&self) -> &Resolution {
        &self.preview
    }

    /// The rules in force changed, by command or at the start.
    pub fn set_rules(&mut self, rules: Vec<String>) -> Result<(), String> {
        self.base = resolve(&self.tree, &rules)?;
        // What was sent and is now in force is staged no longer.
        if self.applying && self.staged.iter().all(|rule| rules.contains(rule)) {
            self.staged.clear();
            self.history.clear();
            self.undone.clear();
        }
        // What is taken back or done again is what is staged, never what a run has in force.
        for step in self.history.iter_mut().chain(&mut self.undone) {
            step.rules.clone_from(&rules);
        }
        self.rules = rules;
        self.refresh();
        // Somebody else has put the same into force.
        if !self.staged.is_empty() && (0..self.tree.parameters.len()).all(|p| !self.is_staged(p)) {
            self.staged.clear();
            self.history.clear();
            self.undone.clear();
        }
        Ok(())
    }

    /// States in force as the engine found them (starved ones included).
    pub fn set_states(&mut self, states: &[ParamState]) {
        for (known, state) in self.base.params.iter_mut().zip(states) {
            if known.state != *state && *state == ParamState::Starved {
                known.reason = format!("{}; {UNREACHED}", known.reason).into();
            }
            known.state = *state;
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        self.preview = match self.staged.is_empty() {
            true => self.base.clone(),
            false => self.resolved(&self.all_rules()).unwrap_or_else(|_| self.base.clone()),
        };
    }

    /// What would come of these rules. What starves now is taken to starve on, unless the edits change what records
    /// gradients: only the run can tell then.
    fn resolved(&self, rules: &[String]) -> Result<Resolution, String> {
        let mut resolved = resolve(&self.tree, rules)?;
        if resolved.no_grad_modules == self.base.no_grad_modules {
            let starved = |(_, p): &(usize, &ResolvedParam)| p.state == ParamState::Starved;
            let params = self.base.params.iter().enumerate().filter(starved).map(|(i, _)| i);
            resolved.mark_starved(params, UNREACHED);
        }
        Ok(resolved)
    }

    fn params<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = ParamState> + 'a {
        node.params.iter().filter_map(|p| self.preview.state(*p))
    }

    /// Parameters that learn with the staged edits: tensors, elements, and elements in all.
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals_of(&self.preview);
        totals.staged = (0..self.tree.parameters.len()).filter(|p| self.is_staged(*p)).count();
        totals
    }

    fn totals_of(&self, resolution: &Resolution) -> Totals {
        let mut totals = Totals::default();
        for (i, param) in self.tree.parameters.iter().enumerate() {
            totals.tensors += 1;
            totals.elements += param.count() as u64;
            if resolution.state(i) == Some(ParamState::Trainable) {
                totals.trainable_tensors += 1;
                totals.trainable_elements += param.count() as u64;
            }
        }
        totals
    }

    fn is_staged(&self, param: usize) -> bool {
        let meant = |r: &Resolution| match r.state(param) {
            // Both are meant to learn; whether a gradient comes is not what the edits say.
            Some(ParamState::Starved) => Some(ParamState::Trainable),
            state => state,
        };
        !self.staged.is_empty() && meant(&self.preview) != meant(&self.base)
    }
}

/// Counts over a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Parameter tensors.
    pub tensors: usize,
    /// Those that learn.
    pub trainable_tensors: usize,
    /// Elements of all parameters.
    pub elements: u64,
    /// Elements of those that learn.
    pub trainable_elements: u64,
    /// Tensors whose state the staged edits change.
    pub staged: usize,
}

fn resolve(tree: &Tree, rules: &[String]) -> Result<Resolution, String> {
    Plan::parse(rules).and_then(|plan| plan.resolve(tree)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
