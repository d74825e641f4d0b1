//! Undo and redo: an edit is applied by a function that returns its inverse, so that going back restores the plan exactly.

use std::collections::BTreeMap;

use super::{Action, Rule};

/// What a plan says, without how it came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// In order; the last that matches wins.
    pub rules: Vec<Rule>,
    /// Single parameters, after all rules.
    pub overrides: BTreeMap<String, Action>,
}

/// One change. Positions are those at the moment when it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    Insert(usize, Rule),
    Remove(usize),
    Override(String, Option<Action>),
}

impl Content {
    /// Applies an edit and returns the one that takes it back; `None` if there was nothing to change.
    fn apply(&mut self, edit: Edit) -> Option<Edit> {
        match edit {
            Edit::Insert(at, rule) => {
                let at = at.min(self.rules.len());
                self.rules.insert(at, rule);
                Some(Edit::Remove(at))
            }
            Edit::Remove(at) if at < self.rules.len() => Some(Edit::Insert(at, self.rules.remove(at))),
            Edit::Remove(_) => None,
            Edit::Override(name, action) => {
                let before = match action {
                    Some(action) => self.overrides.insert(name.clone(), action),
                    None => self.overrides.remove(&name),
                };
                (before != action).then_some(Edit::Override(name, before))
            }
        }
    }

    /// Applies edits in order and returns those that take all of it back, in the order to apply.
    fn apply_all(&mut self, edits: Vec<Edit>) -> Vec<Edit> {
        let mut inverse: Vec<Edit> = edits.into_iter().filter_map(|e| self.apply(e)).collect();
        inverse.reverse();
        inverse
    }
}

/// Content with its past and its undone future. One step is what the user did at once.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub content: Content,
    undo: Vec<Vec<Edit>>,
    redo: Vec<Vec<Edit>>,
}

impl History {
    /// Content without a past.
    pub fn new(content: Content) -> Self {
        Self { content, ..Self::default() }
    }

    /// Does one step; a step that changes nothing leaves no trace.
    pub fn edit(&mut self, edits: Vec<Edit>) {
        // Several edits may cancel each other (two equal rules change places); a single one says itself whether it changed anything.
        let before = (edits.len() > 1).then(|| self.content.clone());
        let inverse = self.content.apply_all(edits);
        if !inverse.is_empty() && before.as_ref() != Some(&self.content) {
            self.undo.push(inverse);
            self.redo.clear();
        }
    }

    /// Takes the last step back; false if there is none.
    pub fn undo(&mut self) -> bool {
        let Some(step) = self.undo.pop() else { return false };
        let inverse = self.content.apply_all(step);
        self.redo.push(inverse);
        true
    }

    /// Does the step again that was taken back last; false if there is none.
    pub fn redo(&mut self) -> bool {
        let Some(step) = self.redo.pop() else { return false };
        let inverse = self.content.apply_all(step);
        self.undo.push(inverse);
        true
    }

    /// Steps that can be taken back and done again.
    pub fn depth(&self) -> (usize, usize) {
        (self.undo.len(), self.redo.len())
    }
}
