//! TorchScript models: an archive as a tree of [`Node`]s that computes with the script's own code and tensors, and models
//! of ours written as TorchScript.
//!
//! The root's operation runs the script's forward; the nodes below it share the script's tensors and say what each module
//! is. So a learner treats a script as any other model: what is train mode, no_grad or frozen for a node is so for the
//! script's module. Called by the learner; the C++ side lies in `ffi`.

mod check;
mod detail;
mod export;
mod facts;
mod node;
mod sample;

use std::path::Path;

pub use export::{compile, resave, tensors};
pub use sample::guess;

use super::api::EngineError;
use super::archive::{Fingerprint, PREFIX};
use super::ffi::ShimError;
use super::ffi::script::Script;
use super::nn::Node;
use facts::Facts;

/// The archive that `model.arch` names, if it names one.
pub fn archive(arch: &str) -> Option<&Path> {
    arch.strip_prefix(PREFIX).map(Path::new)
}

/// A script that is ready to be trained.
pub struct Loaded {
    /// Its modules, finished.
    pub root: Node,
    /// What the user should know of it, in words.
    pub warnings: Vec<String>,
    /// Modules that cannot run by themselves, since the code of another one, the second number, takes their parameters.
    pub taken: Vec<(usize, usize)>,
    /// The archive that it was loaded from.
    pub fingerprint: Fingerprint,
}

/// Loads an archive onto a device; what cannot be trained is refused in words.
pub fn load(path: &Path, device: &str) -> Result<Loaded, EngineError> {
    let fingerprint = Fingerprint::of(path).map_err(EngineError::Refused)?;
    let script = Script::load(path, device).map_err(|e| cannot_load(path, &e))?;
    let facts = read_facts(&script)?;
    check::trainable(&facts).map_err(|words| refused(path, &words))?;
    let warnings = check::warnings(&facts);
    let taken = facts.taken();
    let root = node::tree(script, facts)?;
    Ok(Loaded { root, warnings, taken, fingerprint })
}

/// Channels of the images that a script takes, where its first layer tells; a wrong archive is told of by [`load`].
pub fn channels(path: &Path) -> Option<usize> {
    let script = Script::load_to_save(path).ok()?;
    let facts = read_facts(&script).ok()?;
    let has_weight = |m: &facts::Module| m.parameters.iter().any(|p| p == "weight");
    let first = facts.modules.iter().position(has_weight)?;
    let module = facts.modules.get(first).filter(|m| m.class == "Conv2d")?;
    let detail = detail::Layer::of(module, Some(&script.tensor(first, "weight").ok()?.size())).detail;
    // Nothing else is the number of an image's planes: the layer is not the first that runs.
    inputs(&detail).filter(|n| [1, 3].contains(n))
}

/// A layer's detail begins with its inputs: `3->64 7x7`.
fn inputs(detail: &str) -> Option<usize> {
    detail.split("->").next().and_then(|n| n.parse().ok())
}

fn read_facts(script: &Script) -> Result<Facts, EngineError> {
    serde_json::from_str(&script.describe()?)
        .map_err(|e| EngineError::Failed(format!("the description of a TorchScript model: {e}; this is a bug")))
}

/// A tensor's dotted name.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn refused(path: &Path, words: &str) -> EngineError {
    EngineError::Refused(format!("{}: {words}", path.display()))
}

fn cannot_load(path: &Path, error: &ShimError) -> EngineError {
    let words = error.0.trim_end_matches('.');
    if words.contains("Unknown builtin op") || words.contains("Unknown type name") {
        return refused(
            path,
            &format!(
                "{words}: libtorch 2.11 does not know it; remove it from the model, or script it with PyTorch 2.11"
            ),
        );
    }
    if words.contains("attribute 'value' is undefined") {
        return refused(
            path,
            "its code holds constants of a kind that no archive keeps; torch.jit.optimize_for_inference makes such: save \
             the script without it",
        );
    }
    if words.contains("failed finding central directory") || words.contains("not a ZIP archive") {
        return refused(
            path,
            "no TorchScript archive, or cut off; write it with torch.jit.script(model).save(\"model.pt\")",
        );
    }
    refused(path, words)
}
