//! What of a state dict is exported, and under which names: a pure filter.

use std::collections::HashSet;

use super::WeightsError;
use super::cast::{can_cast, cast};
use super::header::shown;
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::{glob_covers, rename_by_glob};

/// What is exported. The default takes everything as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Globs over names (a module means everything below it); empty takes all.
    pub only: Vec<String>,
    /// Globs over names that are left out.
    pub drop: Vec<String>,
    /// A prefix to remove where it is there.
    pub strip_prefix: Option<String>,
    /// `(from, to)` as in a recipe's `model.load.rename`, after the prefix.
    pub rename: Vec<(String, String)>,
    /// Type of the floating-point tensors; integers stay.
    pub dtype: Option<DType>,
}

/// Chooses, renames and converts. A pattern that matches nothing is an error, two tensors of one name too.
pub fn select(tensors: Vec<HostTensor>, selection: &Selection) -> Result<Vec<HostTensor>, WeightsError> {
    for (option, patterns) in [("--only", &selection.only), ("--drop", &selection.drop)] {
        if let Some(pattern) = patterns.iter().find(|p| !tensors.iter().any(|t| glob_covers(p, &t.name))) {
            return Err(WeightsError::NoMatch { option, pattern: pattern.clone() });
        }
    }
    let covered = |patterns: &[String], name: &str| patterns.iter().any(|p| glob_covers(p, name));
    let kept = tensors.into_iter().filter(|t| {
        (selection.only.is_empty() || covered(&selection.only, &t.name)) && !covered(&selection.drop, &t.name)
    });
    let mut kept: Vec<HostTensor> = kept.collect();
    if kept.is_empty() {
        return Err(WeightsError::NothingLeft);
    }
    let originals: Vec<String> = kept.iter().map(|t| t.name.clone()).collect();
    if let Some(prefix) = selection.strip_prefix.as_deref().filter(|p| !p.is_empty()) {
        let mut used = false;
        for tensor in &mut kept {
            if let Some(rest) = tensor.name.strip_prefix(prefix) {
                tensor.name = rest.strip_prefix('.').unwrap_or(rest).to_owned();
                used = true;
            }
        }
        if !used {
            return Err(WeightsError::NoMatch { option: "--strip-prefix", pattern: prefix.to_owned() });
        }
    }
    for (from, to) in &selection.rename {
        let mut used = false;
        for tensor in &mut kept {
            if let Some(name) = rename_by_glob(from, to, &tensor.name) {
                tensor.name = name;
                used = true;
            }
        }
        if !used {
            return Err(WeightsError::NoMatch { option: "--rename", pattern: from.clone() });
        }
    }
    let mut names = HashSet::new();
    if let Some(i) = kept.iter().position(|t| !names.insert(t.name.as_str())) {
        let first = kept.iter().position(|t| t.name == kept[i].name).map_or("", |j| originals[j].as_str());
        let (first, second, name) = (shown(first), shown(&originals[i]), shown(&kept[i].name));
        return Err(WeightsError::Collision { path: None, first, second, name });
    }
    match selection.dtype {
        None => Ok(kept),
        Some(to) => kept.into_iter().map(|t| if can_cast(t.dtype, to) { cast(t, to) } else { Ok(t) }).collect(),
    }
}
