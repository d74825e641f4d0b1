//! The plan that a user edits: rules in order, overrides of single parameters, undo and redo.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{Content, Edit, History};
use super::resolve;
use super::rule::Line;
use super::{Action, FreezeError, ParamState, Pattern, Preset, Resolution, Rule};
use crate::core::tree::{Learning, Tree, glob_covers};

/// Ordered rules plus overrides. Equality and serialisation are about what it says; the history stays in memory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Plan {
    history: History,
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.history.content == other.history.content
    }
}

impl Eq for Plan {}

impl TryFrom<Vec<String>> for Plan {
    type Error = FreezeError;

    fn try_from(rules: Vec<String>) -> Result<Self, FreezeError> {
        Self::parse(&rules)
    }
}

impl From<Plan> for Vec<String> {
    fn from(plan: Plan) -> Self {
        plan.rules()
    }
}

impl Plan {
    /// Reads rules in the recipe's language; lines like `train =fc.bias` are overrides wherever they stand.
    pub fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, FreezeError> {
        let mut content = Content::default();
        for text in rules {
            match text.as_ref().parse()? {
                Line::Rule(rule) => content.rules.push(rule),
                Line::Override(name, action) => {
                    content.overrides.insert(name, action);
                }
            }
        }
        Ok(Self { history: History::new(content) })
    }

    /// The whole plan as text, rules first; [`Plan::parse`] gives it back.
    pub fn rules(&self) -> Vec<String> {
        let rules = self.ordered().iter().map(Rule::to_string);
        rules.chain(self.overrides().iter().map(|(name, action)| format!("{action} ={name}"))).collect()
    }

    /// The rules in order, without the overrides.
    pub fn ordered(&self) -> &[Rule] {
        &self.history.content.rules
    }

    /// The overrides of single parameters, by name.
    pub fn overrides(&self) -> &BTreeMap<String, Action> {
        &self.history.content.overrides
    }

    /// Whether it says nothing: everything is trainable.
    pub fn is_empty(&self) -> bool {
        self.ordered().is_empty() && self.overrides().is_empty()
    }

    /// Appends a rule (or sets an override, for `train =fc.bias`).
    pub fn push(&mut self, rule: &str) -> Result<(), FreezeError> {
        self.push_all(&[rule])
    }

    /// Appends several as one step, all or none.
    pub fn push_all<S: AsRef<str>>(&mut self, rules: &[S]) -> Result<(), FreezeError> {
        let mut at = self.ordered().len();
        let mut edits = Vec::with_capacity(rules.len());
        for text in rules {
            edits.push(match text.as_ref().parse()? {
                Line::Rule(rule) => {
                    at += 1;
                    Edit::Insert(at - 1, rule)
                }
                Line::Override(name, action) => Edit::Override(name, Some(action)),
            });
        }
        self.history.edit(edits);
        Ok(())
    }

    /// Puts a rule at a place, from 0.
    pub fn insert(&mut self, at: usize, rule: &str) -> Result<(), FreezeError> {
        let rule = rule.parse()?;
        self.history.edit(vec![Edit::Insert(at, rule)]);
        Ok(())
    }

    /// Takes a rule out, by its place from 0.
    pub fn remove(&mut self, at: usize) -> Result<(), FreezeError> {
        self.rule_at(at)?;
        self.history.edit(vec![Edit::Remove(at)]);
        Ok(())
    }

    /// Puts another rule in the place of one.
    pub fn replace(&mut self, at: usize, rule: &str) -> Result<(), FreezeError> {
        let rule: Rule = rule.parse()?;
        if self.rule_at(at)? != &rule {
            self.history.edit(vec![Edit::Remove(at), Edit::Insert(at, rule)]);
        }
        Ok(())
    }

    /// Moves a rule to another place; the order decides which wins.
    pub fn move_rule(&mut self, from: usize, to: usize) -> Result<(), FreezeError> {
        let rule = self.rule_at(from)?.clone();
        self.rule_at(to)?;
        if from != to {
            self.history.edit(vec![Edit::Remove(from), Edit::Insert(to, rule)]);
        }
        Ok(())
    }

    /// Replaces everything by these rules, as one step.
    pub fn set<S: AsRef<str>>(&mut self, rules: &[S]) -> Result<(), FreezeError> {
        let wanted = Self::parse(rules)?.history.content;
        if wanted != self.history.content {
            let mut edits: Vec<_> = (0..self.ordered().len()).rev().map(Edit::Remove).collect();
            edits.extend(self.overrides().keys().map(|name| Edit::Override(name.clone(), None)));
            edits.extend(wanted.rules.into_iter().enumerate().map(|(i, rule)| Edit::Insert(i, rule)));
            edits.extend(wanted.overrides.into_iter().map(|(name, action)| Edit::Override(name, Some(action))));
            self.history.edit(edits);
        }
        Ok(())
    }

    /// Decides one parameter, whatever the rules say (but for a `no_grad` on a module above it).
    pub fn override_param(&mut self, name: &str, action: Action) {
        self.history.edit(vec![Edit::Override(name.to_owned(), Some(action))]);
    }

    /// Leaves one parameter to the rules again.
    pub fn clear_override(&mut self, name: &str) {
        self.history.edit(vec![Edit::Override(name.to_owned(), None)]);
    }

    /// The one-key edit of a parameter: what learns is frozen, what does not is set to learn.
    pub fn toggle_param(&mut self, name: &str, state: ParamState) {
        let learns = matches!(state, ParamState::Trainable | ParamState::Starved);
        self.override_param(name, if learns { Action::Freeze } else { Action::Train });
    }

    /// The one-key edit of a module (the empty path is the whole model): frozen if all of it learns, else set to learn.
    pub fn toggle_module(&mut self, path: &str, learning: Learning) {
        let action = if learning == Learning::Trainable { Action::Freeze } else { Action::Train };
        self.set_module(path, action);
    }

    /// Appends a rule for a module as one step, in the place of a last rule about the same module, and drops the overrides below it, so that the
    /// edit shows.
    pub fn set_module(&mut self, path: &str, action: Action) {
        let pattern = match path {
            "" => Pattern::Preset(Preset::All),
            path => Pattern::Name(path.to_owned()),
        };
        let below = |name: &&String| path.is_empty() || glob_covers(path, name);
        let mut edits: Vec<_> =
            self.overrides().keys().filter(below).map(|name| Edit::Override(name.clone(), None)).collect();
        let rule = Rule { action, pattern };
        let mut at = self.ordered().len();
        match self.ordered().last() {
            Some(last) if *last == rule => return self.history.edit(edits),
            Some(last) if last.pattern == rule.pattern => {
                at -= 1;
                edits.push(Edit::Remove(at));
            }
            _ => {}
        }
        edits.push(Edit::Insert(at, rule));
        self.history.edit(edits);
    }

    /// Takes the last edit back; false if there is none.
    pub fn undo(&mut self) -> bool {
        self.history.undo()
    }

    /// Does the edit again that was taken back last; false if there is none.
    pub fn redo(&mut self) -> bool {
        self.history.redo()
    }

    /// Edits that can be taken back.
    pub fn undo_depth(&self) -> usize {
        self.history.depth().0
    }

    /// Edits that can be done again.
    pub fn redo_depth(&self) -> usize {
        self.history.depth().1
    }

    /// State and reason of each parameter. A rule or override that matches nothing is an error; nothing trainable is not.
    /// For repeated edits on one large tree, [`super::Resolver`] remembers what the patterns match.
    pub fn resolve(&self, tree: &Tree) -> Result<Resolution, FreezeError> {
        resolve::resolve(self, tree)
    }

    fn rule_at(&self, at: usize) -> Result<&Rule, FreezeError> {
        let rules = self.ordered();
        rules.get(at).ok_or(FreezeError::NoSuchRule { number: at + 1, len: rules.len() })
    }
}
