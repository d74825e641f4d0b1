//! Pretrained weights: from `model.weights` to the learner.

use std::path::{Path, PathBuf};

use crate::core::hub::{self, Hub, NamedWeights};
use crate::core::recipe::Recipe;
use crate::core::run::RunHome;
use crate::core::tree::{Tree, glob_covers};
use crate::core::weights::{self, Found, LoadReport, StateDict};
use crate::engine::Learner;

use super::TrainError;

/// Loads what `model.weights` names, if it names anything.
pub fn load(home: &RunHome, recipe: &Recipe, learner: &mut dyn Learner) -> Result<Option<LoadReport>, TrainError> {
    let Some(what) = &recipe.model.weights else { return Ok(None) };
    let Opened { file, found, dropped } = open(home, recipe, what)?;
    let (load, head) = (&recipe.model.load, head_prefix(learner.tree()));
    let mut report = match found {
        Found::InFile(found) => {
            let (taken, report) = found.map_onto(learner.tree(), load, &head).map_err(|e| e.of_file(&file))?;
            learner.restore_from_files(&taken)?;
            report
        }
        Found::InMemory(state) => {
            let mapped = weights::map_onto(learner.tree(), state.into_tensors()?, load, &head);
            let (tensors, report) = mapped.map_err(|e| e.of_file(&file))?;
            learner.restore_weights(&tensors)?;
            report
        }
    };
    report.dropped.extend(dropped);
    Ok(Some(report))
}

/// The head: the last module that owns parameters.
pub fn head_prefix(tree: &Tree) -> String {
    let last = tree.parameters.last().and_then(|p| tree.modules.get(p.module));
    last.map(|m| m.path.clone()).unwrap_or_default()
}

/// A state dict.
struct Opened {
    /// The file, or the words that it came from.
    file: PathBuf,
    found: Found,
    /// What the recipe drops, which was not read.
    dropped: Vec<String>,
}

fn open(home: &RunHome, recipe: &Recipe, what: &str) -> Result<Opened, TrainError> {
    if let Some(named) = named(recipe, what)? {
        // The command line has fetched it already, and shown how far it was.
        let path = Hub::from_env().and_then(|hub| hub.fetch(named, &mut |_| {}));
        let path = path.map_err(|e| TrainError::Refused(format!("model.weights = \"{what}\": {e}")))?;
        return open_file(recipe, &path);
    }
    let path = Path::new(what);
    if what.contains('@') && !path.exists() {
        let tensors = home.find_checkpoint(what)?.load()?.weights;
        let state = StateDict { path: path.to_owned(), tensors, ..StateDict::default() };
        return Ok(Opened { file: path.to_owned(), found: Found::InMemory(state), dropped: Vec::new() });
    }
    open_file(recipe, path)
}

fn named(recipe: &Recipe, what: &str) -> Result<Option<&'static NamedWeights>, TrainError> {
    if !hub::is_name(what) || Path::new(what).exists() {
        return Ok(None);
    }
    let found = hub::find(&recipe.model.arch, what);
    found.map(Some).map_err(|words| TrainError::Refused(format!("model.weights: {words}")))
}

fn open_file(recipe: &Recipe, path: &Path) -> Result<Opened, TrainError> {
    let load = &recipe.model.load;
    let wanted = |name: &str| !load.drop.iter().any(|pattern| glob_covers(pattern, name));
    let mut found = weights::find_some(path, load.key.as_deref(), &wanted)?;
    let dropped = found.listing().tensors.iter().map(|t| &t.name).filter(|name| !wanted(name)).cloned().collect();
    found.rename(&|name| hub::present_name(&recipe.model.arch, name));
    Ok(Opened { file: path.to_owned(), found, dropped })
}
