//! What is folded, by the names of modules: as a session remembers it, and as it is laid over a tree again.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Layers;

/// Modules that are named at most: a fold that nobody finds again is better than a large file.
const NAMED: usize = 200;

/// What is folded of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folded {
    /// Everything below the root, or nothing.
    pub all: bool,
    /// Paths of the modules that are the other way round.
    pub but: Vec<String>,
}

impl Layers {
    /// Large trees open at their first level, small ones whole.
    pub(super) fn usual_folds(&self) -> HashSet<usize> {
        if self.nodes.len() > 60 { self.all_folds() } else { HashSet::new() }
    }

    /// Everything below the root that can be folded.
    pub(super) fn all_folds(&self) -> HashSet<usize> {
        (1..self.nodes.len()).filter(|n| self.nodes[*n].has_children).collect()
    }

    /// What is folded, where that is not as the tree opened. A filter's own folds do not count.
    pub fn folded(&self) -> Option<Folded> {
        let folded = self.filter.as_ref().map_or(&self.folded, |f| &f.folded);
        if *folded == self.usual_folds() {
            return None;
        }
        let every = self.all_folds();
        let all = folded.len() * 2 > every.len();
        let other = |n: &usize| folded.contains(n) != (all && every.contains(n));
        let but = (0..self.nodes.len()).filter(other).take(NAMED).map(|n| self.nodes[n].path.clone()).collect();
        Some(Folded { all, but })
    }

    /// Folds as it was remembered; names that the tree does not have are passed over.
    pub fn fold_as(&mut self, folded: &Folded) {
        let but: HashSet<&str> = folded.but.iter().take(NAMED).map(String::as_str).collect();
        let every = self.all_folds();
        let wanted = |n: &usize| {
            let node = &self.nodes[*n];
            node.has_children && (folded.all && every.contains(n)) != but.contains(node.path.as_str())
        };
        self.folded = (0..self.nodes.len()).filter(wanted).collect();
        self.unfold_to(self.cursor);
    }
}
