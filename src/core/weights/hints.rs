//! What the recipe could say so that more of a file matches.

use std::collections::HashSet;

use super::LoadReport;
use crate::core::recipe::{Head, LoadSpec};
use crate::core::tree::{Tree, glob_covers};

/// Names as they are in the file, which `drop` speaks of; the report has those after prefix and rename.
pub(super) struct FileNames<'a> {
    /// Of what is loaded.
    pub used: Vec<&'a str>,
    /// Of what is unexpected.
    pub unused: Vec<&'a str>,
}

/// Proposals, most useful first.
pub(super) fn hints(
    tree: &Tree,
    load: &LoadSpec,
    head_prefix: &str,
    report: &LoadReport,
    file: &FileNames<'_>,
) -> Vec<String> {
    let mut hints = Vec::new();
    let missing: HashSet<&str> = report.missing.iter().map(String::as_str).collect();
    if !missing.is_empty() && !report.unexpected.is_empty() {
        hints.extend(strip_hint(&missing, load, report));
        if hints.is_empty() {
            hints.extend(add_hint(&missing, report));
        }
    }
    let head_alone = !report.mismatched.is_empty()
        && load.head == Head::Keep
        && !head_prefix.is_empty()
        && report.mismatched.iter().all(|m| glob_covers(head_prefix, &m.name));
    if head_alone {
        hints.push(format!(
            "the head `{head_prefix}` has another size: set model.load.head = \"new\" to train a new one"
        ));
    }
    let only_missing = !missing.is_empty() && report.unexpected.is_empty() && report.mismatched.is_empty();
    if only_missing && !report.matched.is_empty() && load.head == Head::Keep && !head_prefix.is_empty() {
        if missing.iter().all(|name| glob_covers(head_prefix, name)) {
            hints.push(format!("the file has no head `{head_prefix}`: set model.load.head = \"new\""));
        }
    } else if missing.is_empty()
        && report.mismatched.is_empty()
        && !report.unexpected.is_empty()
        && !tree.parameters.is_empty()
    {
        let tops = top_modules(file);
        hints.push(format!("leave them out with model.load.drop = {tops:?}"));
    }
    hints
}

/// A prefix of the file's names without which most of them are wanted.
fn strip_hint(missing: &HashSet<&str>, load: &LoadSpec, report: &LoadReport) -> Option<String> {
    let prefixes: HashSet<&str> =
        report.unexpected.iter().flat_map(|n| n.match_indices('.').take(3).map(|(i, _)| &n[..=i])).collect();
    let gain = |prefix: &&str| {
        report.unexpected.iter().filter(|n| n.strip_prefix(*prefix).is_some_and(|rest| missing.contains(rest))).count()
    };
    let best = prefixes.into_iter().max_by_key(|p| (gain(p), std::cmp::Reverse(p.len())))?;
    let gained = gain(&best);
    if gained == 0 || gained * 2 < report.unexpected.len().min(missing.len()) {
        return None;
    }
    let all = report.matched.is_empty() && report.unexpected.iter().all(|n| n.starts_with(best));
    let who = if all { "all names begin".to_owned() } else { format!("{gained} names begin") };
    let set = format!("{}{best}", load.strip_prefix.as_deref().unwrap_or(""));
    Some(format!("{who} with `{best}`: set model.load.strip_prefix = \"{set}\""))
}

/// A prefix of the model's names that the file's lack.
fn add_hint(missing: &HashSet<&str>, report: &LoadReport) -> Option<String> {
    let unexpected: HashSet<&str> = report.unexpected.iter().map(String::as_str).collect();
    let prefixes: HashSet<&str> =
        missing.iter().flat_map(|n| n.match_indices('.').take(3).map(|(i, _)| &n[..i])).collect();
    let gain = |prefix: &&str| {
        let inner = format!("{prefix}.");
        missing.iter().filter(|n| n.strip_prefix(inner.as_str()).is_some_and(|rest| unexpected.contains(rest))).count()
    };
    let best = prefixes.into_iter().max_by_key(|p| (gain(p), std::cmp::Reverse(p.len())))?;
    let gained = gain(&best);
    (gained > 0 && gained * 2 >= unexpected.len().min(missing.len()))
        .then(|| format!("the model's names begin with `{best}.`: set model.load.rename = [[\"\", \"{best}\"]]"))
}

/// Patterns that cover what is unused and nothing that is used: modules where that is so, else single names.
fn top_modules(file: &FileNames<'_>) -> Vec<String> {
    let mut tops: Vec<String> = Vec::new();
    for name in &file.unused {
        if tops.iter().any(|top| glob_covers(top, name)) {
            continue;
        }
        let module = name.rsplit_once('.').map_or(*name, |(path, _)| path);
        let harms = file.used.iter().any(|used| glob_covers(module, used));
        tops.push(if harms { *name } else { module }.to_owned());
        if tops.len() == 4 {
            break;
        }
    }
    tops
}
