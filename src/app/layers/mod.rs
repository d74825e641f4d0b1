//! The layer tree as the Model screen shows it: what is folded, where the cursor is, which edits are staged, and what
//! the plan would be with them. Names no screen library; built on `core::tree` and `core::freeze`.

mod frost;
mod rows;

use std::collections::HashSet;

use crate::core::freeze::{Action, ParamState, Plan, Resolution};
use crate::core::tree::Tree;

pub use frost::FrostLine;
pub use rows::{Node, NodeKind, NodeState, Row};

/// A tree with its plan in force and the edits staged on it.
#[derive(Debug, Clone)]
pub struct Layers {
    tree: Tree,
    nodes: Vec<Node>,
    folded: HashSet<usize>,
    /// Index into `nodes`.
    cursor: usize,
    /// Rules in force.
    rules: Vec<String>,
    base: Resolution,
    /// Staged rules, with what they were before each edit.
    staged: Vec<String>,
    history: Vec<Vec<String>>,
    preview: Resolution,
    /// The staged rules were sent and not yet answered.
    applying: bool,
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
            cursor: 0,
            rules: Vec::new(),
            preview: base.clone(),
            base,
            staged: Vec::new(),
            history: Vec::new(),
            applying: false,
            tree,
        };
        let problem = layers.set_rules(rules).err();
        layers.fold_to_fit();
        (layers, problem)
    }

    /// Large trees open at their first level, small ones whole.
    fn fold_to_fit(&mut self) {
        if self.nodes.len() > 60 {
            self.folded = (1..self.nodes.len()).filter(|n| self.nodes[*n].has_children).collect();
        }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Rules in force, without the staged ones.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Rules in force and staged, in order: what a draft starts with.
    pub fn all_rules(&self) -> Vec<String> {
        self.rules.iter().chain(&self.staged).cloned().collect()
    }

    /// Staged rules, in order.
    pub fn staged(&self) -> &[String] {
        &self.staged
    }

    /// Whether the staged rules were sent and are not yet answered.
    pub fn applying(&self) -> bool {
        self.applying
    }

    /// The rules in force changed, by command or at the start.
    pub fn set_rules(&mut self, rules: Vec<String>) -> Result<(), String> {
        self.base = resolve(&self.tree, &rules)?;
        // What was sent and is now in force is staged no longer.
        if self.applying && self.staged.iter().all(|rule| rules.contains(rule)) {
            self.staged.clear();
            self.history.clear();
        }
        self.rules = rules;
        self.refresh();
        Ok(())
    }

    /// States in force as the engine found them (starved ones included).
    pub fn set_states(&mut self, states: &[ParamState]) {
        for (known, state) in self.base.params.iter_mut().zip(states) {
            if known.state != *state && *state == ParamState::Starved {
                known.reason = format!("{}; no gradient reaches it", known.reason).into();
            }
            known.state = *state;
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        if self.staged.is_empty() {
            self.preview = self.base.clone();
            return;
        }
        match resolve(&self.tree, &self.all_rules()) {
            Ok(preview) => self.preview = preview,
            Err(_) => self.preview = self.base.clone(),
        }
    }

    /// Freezes or thaws the node under the cursor: a module that learns wholly is frozen, any other is trained.
    pub fn toggle(&mut self) -> Said {
        if self.applying {
            return Err("the staged edits are on their way; wait for the answer".to_owned());
        }
        let Some(node) = self.nodes.get(self.cursor) else { return Ok(None) };
        if node.params.is_empty() {
            return Err(format!("{} has no parameters: nothing in it learns", node.label));
        }
        let all_learn = self.params(node).all(|s| matches!(s, ParamState::Trainable | ParamState::Starved));
        let action = if all_learn { Action::Freeze } else { Action::Train };
        let pattern = if node.path.is_empty() { "**".to_owned() } else { node.path.clone() };
        let node = node.clone();

        let before = self.staged.clone();
        // What this edit overrides need not stay: the last rule that matches wins.
        let inside = |p: &str| pattern == "**" || p == pattern || p.starts_with(&format!("{pattern}."));
        self.staged.retain(|rule| !rule.split_once(' ').is_some_and(|(_, p)| inside(p)));
        self.staged.push(format!("{} {pattern}", action.name()));
        let resolved = match resolve(&self.tree, &self.all_rules()) {
            Ok(resolved) => resolved,
            Err(problem) => {
                self.staged = before;
                return Err(problem);
            }
        };
        if resolved.states() == self.preview.states() {
            self.staged = before;
            let why = node.params.first().map_or("", |p| &*resolved.params[*p].reason);
            return Err(format!("{} stays as it is: {why}", node.label));
        }
        self.history.push(before);
        self.preview = resolved;
        if self.preview.states() == self.base.states() {
            self.staged.clear();
        }
        Ok(None)
    }

    fn params<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = ParamState> + 'a {
        node.params.iter().filter_map(|p| self.preview.state(*p))
    }

    /// Whether there is an edit to take back.
    pub fn can_undo(&self) -> bool {
        !self.applying && !self.history.is_empty()
    }

    /// Takes the last edit back; false when there is none.
    pub fn undo(&mut self) -> bool {
        let Some(before) = (if self.applying { None } else { self.history.pop() }) else { return false };
        self.staged = before;
        self.refresh();
        true
    }

    /// Forgets the staged edits (`undo` brings them back); the number of rules forgotten.
    pub fn discard(&mut self) -> usize {
        if self.applying || self.staged.is_empty() {
            return 0;
        }
        let gone = std::mem::take(&mut self.staged);
        let n = gone.len();
        self.history.push(gone);
        self.refresh();
        n
    }

    /// Takes the staged rules to send them. `Err` says why they are not to be sent.
    pub fn begin_apply(&mut self) -> Result<Vec<String>, String> {
        if self.applying {
            return Err("the staged edits are on their way already".to_owned());
        }
        if self.staged.is_empty() {
            return Err("nothing is staged; space freezes or thaws what is under the cursor".to_owned());
        }
        if self.preview.trainable() == 0 {
            return Err("with these edits nothing would learn; leave at least one parameter trainable".to_owned());
        }
        self.applying = true;
        Ok(self.staged.clone())
    }

    /// The run answered; refused edits stay staged.
    pub fn end_apply(&mut self) {
        self.applying = false;
    }

    /// Parameters that learn with the staged edits: tensors, elements, and elements in all.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (i, param) in self.tree.parameters.iter().enumerate() {
            totals.tensors += 1;
            totals.elements += param.count() as u64;
            if self.preview.state(i) == Some(ParamState::Trainable) {
                totals.trainable_tensors += 1;
                totals.trainable_elements += param.count() as u64;
            }
            totals.staged += usize::from(self.is_staged(i));
        }
        totals
    }

    fn is_staged(&self, param: usize) -> bool {
        self.preview.state(param) != self.base.state(param)
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
