//! From a file's state dict to a model's, in the terms of PyTorch's `load_state_dict`.

use std::collections::HashMap;

use super::WeightsError;
use super::cast::{can_cast, cast};
use super::header::shown;
use super::hints::FileNames;
use super::report::{LoadReport, Mismatch};
use crate::core::recipe::{Head, LoadSpec};
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::{ParamInfo, Tree, glob_covers, rename_by_glob};

/// A tensor of a file, as far as a mapping looks at it.
pub(super) struct Offer<'a> {
    pub name: &'a str,
    pub dtype: DType,
    pub shape: &'a [usize],
}

/// A tensor that the model takes: the number of its offer, and what it is in the model.
pub(super) struct Taken<'a> {
    pub offer: usize,
    pub wanted: &'a ParamInfo,
}

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
    let offers = tensors.iter().map(|t| Offer { name: &t.name, dtype: t.dtype, shape: &t.shape });
    let (taken, report) = plan(tree, offers, load, head_prefix)?;
    let mut tensors: Vec<Option<HostTensor>> = tensors.into_iter().map(Some).collect();
    let mut loaded = Vec::with_capacity(taken.len());
    for Taken { offer, wanted } in taken {
        if let Some(found) = tensors.get_mut(offer).and_then(Option::take) {
            loaded.push(HostTensor { name: wanted.name.clone(), ..cast(found, wanted.dtype)? });
        }
    }
    Ok((loaded, report))
}

/// What [`map_onto`] does, without the values: which offer each tensor of the model takes, in the model's order, each offer at most once.
pub(super) fn plan<'t, 'o>(
    tree: &'t Tree,
    offers: impl Iterator<Item = Offer<'o>>,
    load: &LoadSpec,
    head_prefix: &str,
) -> Result<(Vec<Taken<'t>>, LoadReport), WeightsError> {
    let new_head = load.head == Head::New;
    if new_head && head_prefix.is_empty() {
        return Err(WeightsError::NoHead);
    }
    let in_head = |name: &str| new_head && glob_covers(head_prefix, name);
    let mut report = LoadReport::default();
    let mut offered = rename_all(offers, load, &mut report)?;
    let (mut taken, mut used) = (Vec::new(), Vec::new());
    for wanted in tree.parameters.iter().chain(&tree.buffers) {
        if in_head(&wanted.name) {
            report.new_head.push(wanted.name.clone());
            offered.remove(&wanted.name);
            continue;
        }
        match offered.remove(&wanted.name) {
            None if wanted.name.ends_with("num_batches_tracked") => report.defaulted.push(wanted.name.clone()),
            None => report.missing.push(wanted.name.clone()),
            Some((_, found)) if !fits(&found, wanted) => report.mismatched.push(mismatch(&found, wanted)),
            Some((offer, found)) => {
                if found.dtype != wanted.dtype {
                    report.cast.push(wanted.name.clone());
                    report.cast_from.insert(found.dtype.to_string());
                }
                report.matched.push(wanted.name.clone());
                taken.push(Taken { offer, wanted });
                used.push(found.name);
            }
        }
    }
    let mut left: Vec<(String, &str)> = offered.into_iter().map(|(name, (_, offer))| (name, offer.name)).collect();
    left.retain(|(name, _)| !in_head(name));
    left.sort_unstable();
    let (unexpected, unused): (Vec<_>, Vec<_>) = left.into_iter().unzip();
    report.unexpected = unexpected;
    report.hints = super::hints::hints(tree, load, head_prefix, &report, &FileNames { used, unused });
    let nothing = report.matched.is_empty() && !(tree.parameters.is_empty() && tree.buffers.is_empty());
    if nothing || load.strict && !report.is_strict() {
        return Err(WeightsError::DoesNotFit { path: None, report: Box::new(report) });
    }
    Ok((taken, report))
}

/// Offers with their numbers, under the names that they have in the end.
type Offered<'o> = HashMap<String, (usize, Offer<'o>)>;

/// The file's tensors under their new names; the offers keep the file's names for messages.
fn rename_all<'o>(
    offers: impl Iterator<Item = Offer<'o>>,
    load: &LoadSpec,
    report: &mut LoadReport,
) -> Result<Offered<'o>, WeightsError> {
    let mut offered = Offered::with_capacity(offers.size_hint().0);
    for (number, offer) in offers.enumerate() {
        if load.drop.iter().any(|pattern| glob_covers(pattern, offer.name)) {
            report.dropped.push(offer.name.to_owned());
            continue;
        }
        let name = new_name(offer.name, load);
        if let Some((_, other)) = offered.get(&name) {
            let (first, second) = (shown(other.name), shown(offer.name));
            return Err(WeightsError::Collision { path: None, first, second, name: shown(&name) });
        }
        offered.insert(name, (number, offer));
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

fn fits(found: &Offer<'_>, wanted: &ParamInfo) -> bool {
    found.shape == wanted.shape && can_cast(found.dtype, wanted.dtype)
}

fn mismatch(found: &Offer<'_>, wanted: &ParamInfo) -> Mismatch {
    Mismatch {
        name: wanted.name.clone(),
        file_shape: found.shape.to_vec(),
        model_shape: wanted.shape.clone(),
        file_dtype: found.dtype.to_string(),
        model_dtype: wanted.dtype.to_string(),
    }
}
