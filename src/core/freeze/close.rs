//! Names that look like a pattern that matched nothing.

use std::collections::HashSet;

use super::index::Index;
use super::matching;
use super::{Pattern, Preset};
use crate::core::tree::{Tree, is_glob};

/// Names offered at most.
const MAX: usize = 3;
/// Similarity below which a name is no help.
const LEAST: f64 = 0.6;
/// Names that are this much less like it than the best one are not offered beside it.
const NEARLY: f64 = 0.1;

impl Pattern {
    /// Whether matching nothing is no mistake.
    pub(super) fn may_be_empty(&self) -> bool {
        matches!(self, Self::Preset(Preset::None))
    }

    /// The end of a message about a pattern that matched nothing: `; did you mean …?`, or where the names are found.
    pub fn hint(&self, tree: &Tree) -> String {
        super::error::hint(&close_matches(self, tree))
    }
}

/// Patterns that look like this one and match something, best first; written so that they can replace it.
pub(super) fn close_matches(pattern: &Pattern, tree: &Tree) -> Vec<String> {
    let paths = || tree.modules.iter().map(|m| m.path.as_str());
    let index = Index::new(tree);
    match pattern {
        Pattern::Name(name) => {
            close_names(name, paths().chain(tree.parameters.iter().map(|p| p.name.as_str())), |candidate| {
                !matching::find(&Pattern::Name(candidate.to_owned()), tree, &index).is_empty()
            })
        }
        Pattern::Before(path) => prefixed("before:", close_names(path, paths(), |c| tree.module(c).is_some())),
        Pattern::After(path) => prefixed("after:", close_names(path, paths(), |c| tree.module(c).is_some())),
        Pattern::Kind(kind) => prefixed("kind:", most_like(kind, tree.modules.iter().map(|m| m.kind.as_str()))),
        Pattern::Preset(_) => Vec::new(),
    }
}

fn prefixed(prefix: &str, names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|n| format!("{prefix}{n}")).collect()
}

fn close_names<'t>(
    name: &str,
    names: impl Iterator<Item = &'t str> + Clone,
    matches: impl Fn(&str) -> bool,
) -> Vec<String> {
    // A forgotten outer module: `conv1` where the model has `backbone.conv1`.
    if !is_glob(name) {
        let suffix = format!(".{name}");
        let inner: Vec<_> = names.clone().filter(|n| n.ends_with(&suffix)).take(MAX).map(str::to_owned).collect();
        if !inner.is_empty() {
            return inner;
        }
    }
    // A misspelt segment: the same pattern with a segment that exists.
    let segments: HashSet<&str> = names.clone().flat_map(|n| n.split('.')).collect();
    let mut sorted: Vec<&str> = segments.iter().copied().collect();
    sorted.sort_unstable();
    let parts: Vec<&str> = name.split('.').collect();
    for (i, part) in parts.iter().enumerate() {
        if is_glob(part) || segments.contains(part) {
            continue;
        }
        let repaired = most_like(part, sorted.iter().copied()).into_iter().map(|segment| {
            let mut parts = parts.clone();
            parts[i] = &segment;
            parts.join(".")
        });
        let good: Vec<_> = repaired.filter(|candidate| matches(candidate)).collect();
        if !good.is_empty() {
            return good;
        }
    }
    // Every segment exists, but not together (or several are misspelt): whole names of the same depth.
    let literal = name.replace(['*', '?'], "");
    let depth = parts.len();
    most_like(&literal, names.filter(|n| n.split('.').count() == depth && n.len().abs_diff(literal.len()) <= 8))
}

/// The most similar ones, best first, without repeats.
fn most_like<'t>(wanted: &str, names: impl Iterator<Item = &'t str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .filter(|n| !n.is_empty())
        .map(|n| (strsim::normalized_damerau_levenshtein(&wanted.to_lowercase(), &n.to_lowercase()), n))
        .filter(|(score, _)| *score >= LEAST)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let top = scored.first().map_or(0.0, |(score, _)| *score);
    let mut best: Vec<String> = Vec::new();
    for (_, name) in scored.into_iter().filter(|(score, _)| *score >= top - NEARLY) {
        if best.len() < MAX && !best.iter().any(|b| b == name) {
            best.push(name.to_owned());
        }
    }
    best
}
