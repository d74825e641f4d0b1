//! Pretrained weights: from `model.weights` to the learner.

use std::path::Path;

use crate::core::recipe::Recipe;
use crate::core::run::RunHome;
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;
use crate::core::weights::{self, LoadReport};
use crate::engine::Learner;

use super::TrainError;

/// Loads what `model.weights` names, if it names anything.
pub fn load(home: &RunHome, recipe: &Recipe, learner: &mut dyn Learner) -> Result<Option<LoadReport>, TrainError> {
    let Some(what) = &recipe.model.weights else { return Ok(None) };
    let tensors = read(home, what)?;
    let (tensors, report) =
        weights::map_onto(learner.tree(), tensors, &recipe.model.load, &head_prefix(learner.tree()))?;
    learner.restore_weights(&tensors)?;
    Ok(Some(report))
}

/// The head: the last module that owns parameters.
pub fn head_prefix(tree: &Tree) -> String {
    let last = tree.parameters.last().and_then(|p| tree.modules.get(p.module));
    last.map(|m| m.path.clone()).unwrap_or_default()
}

fn read(home: &RunHome, what: &str) -> Result<Vec<HostTensor>, TrainError> {
    let path = Path::new(what);
    if path.is_dir() || (what.contains('@') && !path.exists()) {
        return Ok(home.find_checkpoint(what)?.load()?.weights);
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "safetensors" => Ok(weights::read_safetensors(path)?),
        "pth" | "pt" | "bin" | "ckpt" => Err(TrainError::Refused(format!(
            "model.weights = \"{what}\": pickled files are not read yet; convert it with safetensors.torch.save_file and \
             name the .safetensors file"
        ))),
        "" if !what.contains(std::path::MAIN_SEPARATOR) => Err(TrainError::Refused(format!(
            "model.weights = \"{what}\": torchvision's named weights are not there yet; name a .safetensors file or RUN@step"
        ))),
        _ => Err(TrainError::Refused(format!(
            "model.weights = \"{what}\": not a kind of file that is known; name a .safetensors file or RUN@step"
        ))),
    }
}
