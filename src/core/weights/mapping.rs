//! From a file's state dict to a model's, in the terms of PyTorch's `load_state_dict`.

use std::collections::{HashMap, HashSet};

use super::WeightsError;
use super::cast::{can_cast, cast};
use super::header::shown;
use super::report::{LoadReport, Mismatch};
use crate::core::recipe::{Head, LoadSpec};
use crate::core::tensor::HostTensor;
use crate::core::tree::{ParamInfo, Tree, glob_covers, rename_by_glob};

/// Maps a file's tensors onto a model: drops, strips, renames, casts. `head_prefix` is the module that `head = "new"` initialises afresh.
///
/// Returns the tensors that the model takes, in the model's order, names and types, and the report. With `strict`, anything missing, unexpected or
/// mismatched is an error; without, it is in the report (and nothing at all matching is still an error). Tensors whose shape differs are
/// never loaded.
pub fn map_onto(
    tree: &Tree,
    tensors: Vec<HostTensor>,
    load: &LoadSpec,
    head_prefix: &str,
) -> Result<(Vec<HostTensor>, LoadReport), WeightsError> {
    let new_head = load.head == Head::New;
    if new_head && head_prefix.is_empty() {
        return Err(WeightsError::NoHead);
    }
    let in_head = |name: &str| new_head && glob_covers(head_prefix, name);
    let mut report = LoadReport::default();
    let mut offered = rename_all(tensors, load, &mut report)?;
    let mut loaded = Vec::new();
    let mut unused_head: HashSet<String> = HashSet::new();
    for wanted in tree.parameters.iter().chain(&tree.buffers) {
        if in_head(&wanted.name) {
            report.new_head.push(wanted.name.clone());
            unused_head.extend(offered.remove(&wanted.name).map(|t| t.name));
            continue;
        }
        match offered.remove(&wanted.name) {
            None if wanted.name.ends_with("num_batches_tracked") => report.defaulted.push(wanted.name.clone()),
            None => report.missing.push(wanted.name.clone()),
            Some(found) if !fits(&found, wanted) => report.mismatched.push(mismatch(&found, wanted)),
            Some(found) => {
                if found.dtype != wanted.dtype {
                    report.cast.push(wanted.name.clone());
                }
                report.matched.push(wanted.name.clone());
                loaded.push(HostTensor { name: wanted.name.clone(), ..cast(found, wanted.dtype)? });
            }
        }
    }
    report.unexpected = offered.into_keys().filter(|name| !in_head(name)).collect();
    report.unexpected.sort_unstable();
    report.hints = super::hints::hints(tree, load, head_prefix, &report);
    let nothing = report.matched.is_empty() && !(tree.parameters.is_empty() && tree.buffers.is_empty());
    if nothing || load.strict && !report.is_strict() {
        return Err(WeightsError::DoesNotFit { path: None, report: Box::new(report) });
    }
    Ok((loaded, report))
}

/// The file's tensors under their new names; the tensors keep the file's names for messages.
fn rename_all(
    tensors: Vec<HostTensor>,
    load: &LoadSpec,
    report: &mut LoadReport,
) -> Result<HashMap<String, HostTensor>, WeightsError> {
    let mut offered: HashMap<String, HostTensor> = HashMap::with_capacity(tensors.len());
    for tensor in tensors {
        if load.drop.iter().any(|pattern| glob_covers(pattern, &tensor.name)) {
            report.dropped.push(tensor.name);
            continue;
        }
        let name = new_name(&tensor.name, load);
        if let Some(other) = offered.get(&name) {
            let (first, second) = (shown(&other.name), shown(&tensor.name));
            return Err(WeightsError::Collision { path: None, first, second, name: shown(&name) });
        }
        offered.insert(name, tensor);
    }
    Ok(offered)
}

fn new_name(name: &str, load: &LoadSpec) -> String {
    let mut name = match load.strip_prefix.as_deref().filter(|p| !p.is_empty()).and_then(|p| name.strip_prefix(p)) {
        Some(rest) => rest.strip_prefix('.').unwrap_or(rest).to_owned(),
        None => name.to_owned(),
    };
    for (from, to) in &load.rename {
        if let Some(renamed) = rename_by_glob(from, to, &name) {
            name = renamed;
        }
    }
    name
}

fn fits(found: &HostTensor, wanted: &ParamInfo) -> bool {
    found.shape == wanted.shape && can_cast(found.dtype, wanted.dtype)
}

fn mismatch(found: &HostTensor, wanted: &ParamInfo) -> Mismatch {
    Mismatch {
        name: wanted.name.clone(),
        file_shape: found.shape.clone(),
        model_shape: wanted.shape.clone(),
        file_dtype: found.dtype.to_string(),
        model_dtype: wanted.dtype.to_string(),
    }
}
