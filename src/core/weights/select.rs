//! What of a state dict is exported, and under which names: a pure filter.

use std::collections::HashMap;

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

impl Selection {
    /// The option that is in use, if one is.
    pub fn first_option(&self) -> Option<&'static str> {
        let options = [
            ("--only", !self.only.is_empty()),
            ("--drop", !self.drop.is_empty()),
            ("--rename", !self.rename.is_empty()),
            ("--strip-prefix", self.strip_prefix.as_ref().is_some_and(|p| !p.is_empty())),
            ("--dtype", self.dtype.is_some()),
        ];
        options.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// What of tensors with these names is taken, by place, and what it is called. A pattern that matches nothing is an error, two tensors of
    /// one name too.
    pub fn plan(&self, names: &[&str]) -> Result<Vec<(usize, String)>, WeightsError> {
        for (option, patterns) in [("--only", &self.only), ("--drop", &self.drop)] {
            if let Some(pattern) = patterns.iter().find(|p| !names.iter().any(|name| glob_covers(p, name))) {
                return Err(WeightsError::NoMatch { option, pattern: pattern.clone() });
            }
        }
        let covered = |patterns: &[String], name: &str| patterns.iter().any(|p| glob_covers(p, name));
        let is_kept = |name: &str| (self.only.is_empty() || covered(&self.only, name)) && !covered(&self.drop, name);
        let kept = names.iter().enumerate().filter(|(_, name)| is_kept(name));
        let mut kept: Vec<(usize, String)> = kept.map(|(i, name)| (i, (*name).to_owned())).collect();
        if kept.is_empty() {
            return Err(WeightsError::NothingLeft);
        }
        if let Some(prefix) = self.strip_prefix.as_deref().filter(|p| !p.is_empty()) {
            let mut used = false;
            for (_, name) in &mut kept {
                if let Some(rest) = name.strip_prefix(prefix) {
                    *name = rest.strip_prefix('.').unwrap_or(rest).to_owned();
                    used = true;
                }
            }
            if !used {
                return Err(WeightsError::NoMatch { option: "--strip-prefix", pattern: prefix.to_owned() });
            }
        }
        for (from, to) in &self.rename {
            let mut used = false;
            for (_, name) in &mut kept {
                if let Some(new) = rename_by_glob(from, to, name) {
                    *name = new;
                    used = true;
                }
            }
            if !used {
                return Err(WeightsError::NoMatch { option: "--rename", pattern: from.clone() });
            }
        }
        let mut seen = HashMap::new();
        for (i, name) in &kept {
            if let Some(first) = seen.insert(name.as_str(), *i) {
                let of = |i: usize| shown(names.get(i).copied().unwrap_or_default());
                let (first, second, name) = (of(first), of(*i), shown(name));
                return Err(WeightsError::Collision { path: None, first, second, name });
            }
        }
        Ok(kept)
    }
}

/// Chooses, renames and converts, as [`Selection::plan`] says.
pub fn select(tensors: Vec<HostTensor>, selection: &Selection) -> Result<Vec<HostTensor>, WeightsError> {
    let names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    let mut plan: HashMap<usize, String> = selection.plan(&names)?.into_iter().collect();
    let taken = tensors.into_iter().enumerate().filter_map(|(i, tensor)| {
        let name = plan.remove(&i)?;
        Some(HostTensor { name, ..tensor })
    });
    match selection.dtype {
        None => Ok(taken.collect()),
        Some(to) => taken.map(|t| if can_cast(t.dtype, to) { cast(t, to) } else { Ok(t) }).collect(),
    }
}
