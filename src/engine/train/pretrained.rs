//! Pretrained weights: from `model.weights` to the learner.

use std::path::{Path, PathBuf};

use crate::core::hub::{self, Hub, NamedWeights};
use crate::core::recipe::Recipe;
use crate::core::run::RunHome;
use crate::core::tensor::HostTensor;
use crate::core::tree::{Tree, glob_covers};
use crate::core::weights::{self, LoadReport};
use crate::engine::Learner;

use super::TrainError;

/// Loads what `model.weights` names, if it names anything.
pub fn load(home: &RunHome, recipe: &Recipe, learner: &mut dyn Learner) -> Result<Option<LoadReport>, TrainError> {
    let Some(what) = &recipe.model.weights else { return Ok(None) };
    let Read { file, tensors, dropped } = read(home, recipe, what)?;
    let mapped = weights::map_onto(learner.tree(), tensors, &recipe.model.load, &head_prefix(learner.tree()));
    let (tensors, mut report) = mapped.map_err(|e| e.of_file(&file))?;
    report.dropped.extend(dropped);
    learner.restore_weights(&tensors)?;
    Ok(Some(report))
}

/// The head: the last module that owns parameters.
pub fn head_prefix(tree: &Tree) -> String {
    let last = tree.parameters.last().and_then(|p| tree.modules.get(p.module));
    last.map(|m| m.path.clone()).unwrap_or_default()
}

/// A state dict.
struct Read {
    /// The file, or the words that it came from.
    file: PathBuf,
    tensors: Vec<HostTensor>,
    /// What the recipe drops, which was not read.
    dropped: Vec<String>,
}

fn read(home: &RunHome, recipe: &Recipe, what: &str) -> Result<Read, TrainError> {
    if let Some(named) = named(recipe, what)? {
        // The command line has fetched it already, and shown how far it was.
        let path = Hub::from_env().and_then(|hub| hub.fetch(named, &mut |_| {}));
        let path = path.map_err(|e| TrainError::Refused(format!("model.weights = \"{what}\": {e}")))?;
        return read_file(recipe, &path);
    }
    let path = Path::new(what);
    if what.contains('@') && !path.exists() {
        let tensors = home.find_checkpoint(what)?.load()?.weights;
        return Ok(Read { file: path.to_owned(), tensors, dropped: Vec::new() });
    }
    read_file(recipe, path)
}

fn named(recipe: &Recipe, what: &str) -> Result<Option<&'static NamedWeights>, TrainError> {
    if !hub::is_name(what) || Path::new(what).exists() {
        return Ok(None);
    }
    let found = hub::find(&recipe.model.arch, what);
    found.map(Some).map_err(|words| TrainError::Refused(format!("model.weights: {words}")))
}

fn read_file(recipe: &Recipe, path: &Path) -> Result<Read, TrainError> {
    let load = &recipe.model.load;
    let wanted = |name: &str| !load.drop.iter().any(|pattern| glob_covers(pattern, name));
    let state = weights::read_some(path, load.key.as_deref(), &wanted)?;
    let dropped = state.listing.tensors.iter().map(|t| &t.name).filter(|name| !wanted(name)).cloned().collect();
    let mut tensors = state.into_tensors()?;
    for tensor in &mut tensors {
        tensor.name = hub::present_name(&recipe.model.arch, &tensor.name);
    }
    Ok(Read { file: path.to_owned(), tensors, dropped })
}
