//! Pretrained weights: from `model.weights` to the learner.

use std::path::{Path, PathBuf};

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    if !report.new_head.is_empty() {
        draw_again(recipe.train.seed, &report.new_head, learner)?;
    }
    Ok(Some(report))
}

/// Puts a new head's initial values in an order of their own, which is as good as drawing others: in each tensor they are
/// independent and alike. The order follows from the seed and the weights that were loaded. With the seed alone, the head would
/// begin just as that of the run which the weights come from, and their features were trained to that one.
fn draw_again(seed: u64, head: &[String], learner: &mut dyn Learner) -> Result<(), TrainError> {
    let (mut anew, loaded): (Vec<_>, Vec<_>) =
        learner.snapshot()?.weights.into_iter().partition(|t| head.contains(&t.name));
    let mut origin = blake3::Hasher::new();
    for tensor in &loaded {
        origin.update(tensor.name.as_bytes()).update(&tensor.data);
    }
    let origin = origin.finalize();
    for tensor in &mut anew {
        let mut key = blake3::Hasher::new_derive_key("frostline head");
        key.update(&seed.to_le_bytes()).update(origin.as_bytes()).update(tensor.name.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(*key.finalize().as_bytes());
        let size = tensor.dtype.size();
        for last in (1..tensor.data.len() / size).rev() {
            let other = ((u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64) as usize;
            (0..size).for_each(|byte| tensor.data.swap(last * size + byte, other * size + byte));
        }
    }
    Ok(learner.restore_weights(&anew)?)
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
