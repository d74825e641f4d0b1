//! From what a user types (a zoo name, a recipe, a checkpoint, a file) to a layer tree.

use std::path::Path;

use super::context::{Context, is_recipe};
use super::error::CliError;
use crate::core::checkpoint::STATE;
use crate::core::freeze::Plan;
use crate::core::recipe::Recipe;
use crate::core::tensor::DType;
use crate::core::tree::Tree;
use crate::core::weights::{self, FileListing};
use crate::engine::{Engine, InputSpec, archive};
use crate::session;

/// A tree and the freeze rules that come with it.
pub struct Subject {
    /// The layers.
    pub tree: Tree,
    /// The recipe's or the checkpoint's rules.
    pub rules: Vec<String>,
}

/// Finds out what is meant and builds its tree. `input` and `classes` are for a zoo name, which says neither.
pub fn subject(
    what: &str,
    sets: &[String],
    input: Option<&[usize]>,
    classes: usize,
    cx: &mut Context<'_>,
) -> Result<Subject, CliError> {
    if is_recipe(what) {
        let recipe = Recipe::load(Path::new(what), sets)?;
        let tree = session::layers(&*cx.engine()?, &recipe)?;
        return Ok(Subject { tree, rules: recipe.freeze.starting_rules() });
    }
    if !sets.is_empty() {
        return Err(CliError::Usage("--set changes a recipe; give one".into()));
    }
    if let Some(file) = what.strip_prefix(archive::PREFIX) {
        return Ok(Subject { tree: tree_of_script(Path::new(file), input, cx)?, rules: Vec::new() });
    }
    let file = Path::new(what);
    if is_weights_file(file) {
        return Ok(Subject { tree: tree_of_weights(file, input, cx)?, rules: Vec::new() });
    }
    let is_file_alone = file.is_file() && cx.home().find_checkpoint(what).is_err();
    if what.contains(['@', '/']) && !is_file_alone {
        return of_checkpoint(what, cx);
    }
    let engine = cx.engine()?;
    if engine.architectures().iter().any(|a| a == what) {
        let mut recipe = Recipe::default();
        what.clone_into(&mut recipe.model.arch);
        let sample_shape = match input {
            Some(shape) => shape.to_vec(),
            None => default_input(engine.as_ref(), what),
        };
        let input = InputSpec { sample_shape, outputs: classes };
        let tree = session::layers_for(&*engine, &recipe, &input)?;
        return Ok(Subject { tree, rules: Vec::new() });
    }
    if is_file_alone {
        return Ok(Subject { tree: tree_of_weights(file, input, cx)?, rules: Vec::new() });
    }
    of_checkpoint(what, cx).map_err(|e| {
        let hint = near_architectures(&engine.architectures(), what);
        CliError::Refused(format!("`{what}` is no architecture ({hint}), no recipe and no checkpoint ({e})"))
    })
}

/// The names of the zoo that are like a word; where none is, the first ones and how many there are.
fn near_architectures(zoo: &[String], what: &str) -> String {
    /// Names that are given.
    const FEW: usize = 3;
    let mut near: Vec<(f64, &String)> =
        zoo.iter().map(|a| (strsim::jaro_winkler(a, what), a)).filter(|n| n.0 > 0.8).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let quoted: Vec<String> = near.iter().take(FEW).map(|n| format!("`{}`", n.1)).collect();
    match (quoted.is_empty(), zoo.len().saturating_sub(FEW)) {
        (false, _) => format!("did you mean {}?", quoted.join(" or ")),
        (true, 0) => format!("the zoo has {}", zoo.join(", ")),
        (true, more) => format!("the zoo has {} and {more} more, see docs/models.md", zoo[..FEW].join(", ")),
    }
}

/// Whether a weights file is meant: by its ending, as the folder of a sharded one, or because it is there. A mere word is a
/// model's or a run's name first, whatever lies in the folder.
pub fn is_weights_file(path: &Path) -> bool {
    let known = ["safetensors", "pth", "pt", "bin", "ckpt", "json"];
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let is_word = path.components().count() == 1 && path.extension().is_none();
    ending.is_some_and(|e| known.contains(&e.as_str()))
        || (path.is_dir() && !path.join(STATE).exists())
        || (!is_word && path.is_file())
}

/// The sample that a zoo name is traced with when nobody says another.
fn default_input(engine: &dyn Engine, arch: &str) -> Vec<usize> {
    match (engine.input_channels(arch), arch) {
        (_, "mlp") => vec![784],
        (Some(channels), _) => vec![channels, 224, 224],
        (None, _) => vec![3, 32, 32],
    }
}

/// The tree of a TorchScript model. Its data is known from `input` alone; without it likely samples are tried.
fn tree_of_script(file: &Path, input: Option<&[usize]>, cx: &mut Context<'_>) -> Result<Tree, CliError> {
    let mut recipe = Recipe::default();
    recipe.model.arch = format!("{}{}", archive::PREFIX, file.display());
    let input = InputSpec { sample_shape: input.unwrap_or_default().to_vec(), outputs: 0 };
    Ok(session::layers_for(&*cx.engine()?, &recipe, &input)?)
}

/// A TorchScript file's model if there is an engine that takes it, else what the names in a file say.
fn tree_of_weights(file: &Path, input: Option<&[usize]>, cx: &mut Context<'_>) -> Result<Tree, CliError> {
    let listing = weights::inspect(file)?;
    if listing.format == weights::TORCHSCRIPT {
        match tree_of_script(file, input, cx) {
            Ok(tree) => return Ok(tree),
            Err(why) => cx.io.say(&format!("warning: kinds and output shapes are unknown: {why}")),
        }
    }
    tree_of_listing(file, &listing)
}

/// A checkpoint's model if there is an engine to build it, else what its tensors' names say.
fn of_checkpoint(what: &str, cx: &mut Context<'_>) -> Result<Subject, CliError> {
    let checkpoint = cx.home().find_checkpoint(what)?;
    let state = checkpoint.load()?.state;
    let mut rules = state.freeze_rules.clone();
    let input = InputSpec { sample_shape: state.data.sample_shape.clone(), outputs: state.data.outputs };
    let built = cx.engine().and_then(|engine| Ok(session::layers_for(&*engine, &state.recipe, &input)?));
    let tree = match built {
        Ok(tree) => tree,
        Err(why) => {
            cx.io.say(&format!("warning: kinds and output shapes are unknown: {why}"));
            let tree = tree_of_file(&checkpoint.path.join(crate::core::checkpoint::WEIGHTS))?;
            // Rules over kinds cannot be read off names.
            if let Err(why) = Plan::parse(&rules).and_then(|plan| plan.resolve(&tree)) {
                cx.io.say(&format!("warning: what learned is not shown: {why}"));
                rules.clear();
            }
            tree
        }
    };
    Ok(Subject { tree, rules })
}

/// What the names in a weights file say.
pub fn tree_of_file(path: &Path) -> Result<Tree, CliError> {
    tree_of_listing(path, &weights::inspect(path)?)
}

fn tree_of_listing(path: &Path, listing: &FileListing) -> Result<Tree, CliError> {
    let mut tensors = Vec::with_capacity(listing.tensors.len());
    for t in &listing.tensors {
        let Some(dtype) = DType::of_name(t.dtype) else {
            return Err(CliError::Refused(format!(
                "{}: tensor `{}` is {}, which no model here has; `frostline inspect` lists the file",
                path.display(),
                t.name,
                t.dtype
            )));
        };
        tensors.push((t.name.as_str(), t.shape.as_slice(), dtype));
    }
    Ok(Tree::from_tensors(tensors))
}
