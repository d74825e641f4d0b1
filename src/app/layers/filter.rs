//! Which rows are shown: those that match, what is above them, and what is below them when it is unfolded.

use std::collections::HashSet;

use crate::core::freeze::{ParamState, Pattern};
use crate::core::tree::{Tree, glob_match, is_glob};

use super::{Layers, Node, NodeKind, NodeState};

/// A filter in force.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    text: String,
    /// Nodes that match, in order; what lies in one of them is not counted again.
    pub matches: Vec<usize>,
    /// Nodes that are shown as far as folds allow.
    kept: Vec<bool>,
    /// What was folded before.
    pub folded: HashSet<usize>,
}

/// One word of a filter.
enum Word {
    /// Part of a path or of a class.
    Text(String),
    /// Over whole paths, or their ends.
    Glob(String),
    /// Over classes.
    Kind(String),
    /// These parameters (`before:`, `after:`, `preset:`).
    Params(HashSet<usize>),
    State(ParamState),
    Mixed,
    Staged,
}

impl Word {
    fn parse(word: &str, tree: &Tree) -> Result<Self, String> {
        if word.contains(':') {
            return Ok(match word.parse::<Pattern>()? {
                Pattern::Kind(kind) => Self::Kind(kind.to_lowercase()),
                pattern => Self::Params(pattern.parameters(tree).into_iter().collect()),
            });
        }
        Ok(match word.to_lowercase().as_str() {
            "trainable" => Self::State(ParamState::Trainable),
            "frozen" => Self::State(ParamState::Frozen),
            "no_grad" => Self::State(ParamState::NoGrad),
            "starved" => Self::State(ParamState::Starved),
            "mixed" => Self::Mixed,
            "staged" => Self::Staged,
            lower if is_glob(word) => Self::Glob(lower.to_owned()),
            lower => Self::Text(lower.to_owned()),
        })
    }

    fn admits(&self, layers: &Layers, index: usize, node: &Node) -> bool {
        let kind = || match node.kind {
            NodeKind::Module(m) => layers.tree.modules[m].kind.to_lowercase(),
            NodeKind::Param(_) => String::new(),
        };
        let path = node.path.to_lowercase();
        match self {
            Self::Text(text) => path.contains(text) || kind().contains(text),
            Self::Glob(glob) => {
                let ends = path.match_indices('.').map(|(i, _)| &path[i + 1..]);
                std::iter::once(path.as_str()).chain(ends).any(|end| glob_match(glob, end))
            }
            Self::Kind(glob) => !kind().is_empty() && glob_match(glob, &kind()),
            Self::Params(params) => !node.params.is_empty() && node.params.iter().all(|p| params.contains(p)),
            Self::State(state) => layers.row(index, node, false).state == NodeState::All(*state),
            Self::Mixed => layers.row(index, node, false).state == NodeState::Mixed,
            Self::Staged => matches!(node.kind, NodeKind::Param(p) if layers.is_staged(p)),
        }
    }
}

impl Layers {
    /// The filter in force, as it was typed; the number of the match at or before the cursor (0 where there is none), and
    /// of all.
    pub fn filter(&self) -> Option<(&str, usize, usize)> {
        let filter = self.filter.as_ref()?;
        let at = filter.matches.iter().take_while(|m| **m <= self.cursor).count();
        Some((&filter.text, at, filter.matches.len()))
    }

    /// The node under the cursor, to come back to.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Puts a filter into force from a place of the cursor on, which stays there if it matches.
    pub fn restore_filter(&mut self, text: Option<&str>, cursor: usize) {
        let _ = self.set_filter("");
        self.cursor = cursor.min(self.nodes.len().saturating_sub(1));
        if let Some(text) = text {
            let _ = self.set_filter(text);
        }
    }

    /// Nodes that match every word.
    fn find(&self, text: &str) -> Result<Vec<usize>, String> {
        let words = text.split_whitespace().map(|w| Word::parse(w, &self.tree)).collect::<Result<Vec<_>, _>>()?;
        let admitted: Vec<bool> =
            self.nodes.iter().enumerate().map(|(i, node)| words.iter().all(|w| w.admits(self, i, node))).collect();
        let mut below = vec![false; self.nodes.len()];
        for node in self.nodes.iter().zip(&admitted).filter(|(_, a)| **a).map(|(n, _)| n) {
            node.parent.into_iter().for_each(|p| below[p] = true);
        }
        // A mixed module is mixed all the way down: the innermost ones say most. Else what lies in a match needs no mention.
        let mixed = words.iter().any(|w| matches!(w, Word::Mixed));
        let wanted = |i: &usize| match mixed {
            true => !below[*i],
            false => !self.nodes[*i].parent.is_some_and(|p| admitted[p]),
        };
        let found: Vec<usize> = (0..self.nodes.len()).filter(|i| admitted[*i] && wanted(i)).collect();
        if found.is_empty() { Err(format!("nothing matches `{text}`")) } else { Ok(found) }
    }

    /// How many nodes a filter would find.
    pub fn preview_filter(&self, text: &str) -> Result<usize, String> {
        self.find(text.trim()).map(|found| found.len())
    }

    /// Shows what matches every word, and what is above it. An empty text shows everything again. `Err` says what is wrong
    /// with the text, or that nothing matches; what was shown stays then.
    pub fn set_filter(&mut self, text: &str) -> Result<usize, String> {
        let text = text.trim();
        if text.is_empty() {
            if let Some(filter) = self.filter.take() {
                self.folded = filter.folded;
                self.unfold_to(self.cursor);
            }
            return Ok(self.nodes.len());
        }
        let matches = self.find(text)?;
        let folded = self.filter.take().map_or_else(|| self.folded.clone(), |f| f.folded);
        let mut kept = vec![false; self.nodes.len()];
        let mut open = vec![false; self.nodes.len()];
        for &at in &matches {
            kept[at] = true;
            let mut above = self.nodes[at].parent;
            while let Some(p) = above {
                (kept[p], open[p]) = (true, true);
                above = self.nodes[p].parent;
            }
        }
        let mut within: Option<usize> = None;
        for (i, node) in self.nodes.iter().enumerate() {
            if within.is_some_and(|depth| node.depth <= depth) {
                within = None;
            }
            if within.is_none() && matches.binary_search(&i).is_ok() {
                within = Some(node.depth);
            }
            kept[i] |= within.is_some();
        }
        self.folded = (0..self.nodes.len()).filter(|i| self.nodes[*i].has_children && !open[*i]).collect();
        let n = matches.len();
        if matches.binary_search(&self.cursor).is_err() {
            let next = matches.iter().find(|m| **m >= self.cursor).or(matches.first());
            self.cursor = next.copied().unwrap_or(0);
        }
        self.filter = Some(Filter { text: text.to_owned(), matches, kept, folded });
        Ok(n)
    }

    pub(super) fn is_kept(&self, node: usize) -> bool {
        self.filter.as_ref().is_none_or(|f| f.kept.get(node).copied().unwrap_or(false))
    }

    /// Goes to the next match, or the one before, round the end; false without a filter.
    pub fn go_to_match(&mut self, forward: bool) -> bool {
        let Some(filter) = &self.filter else { return false };
        let (matches, at) = (&filter.matches, self.cursor);
        let found = match forward {
            true => matches.iter().find(|m| **m > at).or(matches.first()),
            false => matches.iter().rev().find(|m| **m < at).or(matches.last()),
        };
        let Some(found) = found.copied() else { return false };
        self.cursor = found;
        self.unfold_to(found);
        true
    }
}
