//! Torchvision's pretrained weights by name, found in torch hub's cache or downloaded into it.
//!
//! `weights = "DEFAULT"` is what `resnet50(weights="DEFAULT")` is in Python, and both share one cache: what Python has fetched
//! is used as it is, and what is fetched here Python finds. Imports the recipe's types; the trainer loads through it, and
//! recipes take their preprocessing from its table.

mod cache;
mod download;
mod preset;
mod table;

use std::path::PathBuf;

pub use cache::Hub;
pub use download::Progress;
pub use preset::fill_in;

use crate::core::recipe::Interpolation;

/// A state dict that torchvision publishes.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedWeights {
    /// The architecture (`resnet50`).
    pub arch: &'static str,
    /// Torchvision's name (`IMAGENET1K_V2`).
    pub name: &'static str,
    /// Whether `DEFAULT` means this one.
    pub default: bool,
    /// Name of the file, which holds the first digits of its SHA-256.
    pub file: &'static str,
    /// The shorter side of an image is brought to this many pixels…
    pub resize_size: usize,
    /// …and the square of this side is cut from the middle.
    pub crop_size: usize,
    /// How it is resized.
    pub interpolation: Interpolation,
}

impl NamedWeights {
    /// The first digits of the file's SHA-256, from its name, as torch.hub reads them.
    pub fn sha256_prefix(&self) -> &'static str {
        let stem = self.file.rsplit_once('.').map_or(self.file, |(stem, _)| stem);
        stem.rsplit_once('-').map_or("", |(_, digits)| digits)
    }

    /// `resnet50 IMAGENET1K_V2`.
    pub fn label(&self) -> String {
        format!("{} {}", self.arch, self.name)
    }
}

/// A name in a weights file to the name in torchvision's model of this architecture: files of DenseNets and vision
/// transformers are older than the present names.
pub fn present_name(arch: &str, name: &str) -> String {
    if arch.starts_with("vit_") {
        // `encoder_layer_0.mlp.linear_1.weight` is `encoder_layer_0.mlp.0.weight` today.
        return name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.");
    }
    if !arch.starts_with("densenet") {
        return name.to_owned();
    }
    // `denselayer1.norm.1.weight` is `denselayer1.norm1.weight` today.
    match name.rsplit_once(".denselayer") {
        Some((before, layer)) => {
            let layer = layer
                .replace(".norm.1.", ".norm1.")
                .replace(".norm.2.", ".norm2.")
                .replace(".conv.1.", ".conv1.")
                .replace(".conv.2.", ".conv2.");
            format!("{before}.denselayer{layer}")
        }
        None => name.to_owned(),
    }
}

/// The architectures that torchvision publishes weights for.
pub fn architectures() -> Vec<&'static str> {
    let mut names: Vec<&str> = table::TABLE.iter().map(|w| w.arch).collect();
    names.dedup();
    names
}

/// Whether a recipe's `model.weights` is meant as a name of torchvision's, as against a file, a folder or `RUN@step`.
pub fn is_name(weights: &str) -> bool {
    let known = bare(weights) == "DEFAULT" || table::TABLE.iter().any(|w| w.name == bare(weights));
    let word = weights.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    known || word
}

/// The weights of an architecture by name: `DEFAULT`, `IMAGENET1K_V1`, or with the class before it as in
/// `ResNet50_Weights.IMAGENET1K_V1`. The error says what there is.
pub fn find(arch: &str, weights: &str) -> Result<&'static NamedWeights, String> {
    let of_arch = || table::TABLE.iter().filter(|w| w.arch == arch);
    let name = bare(weights);
    let found = of_arch().find(|w| if name == "DEFAULT" { w.default } else { w.name == name });
    found.ok_or_else(|| {
        let names: Vec<&str> = of_arch().map(|w| w.name).collect();
        if names.is_empty() {
            return format!(
                "{weights:?} is no file and no RUN@step, and torchvision publishes no weights for {arch:?}; name a file or RUN@step"
            );
        }
        format!(
            "{weights:?} is no file, no RUN@step and no weights of torchvision's for {arch:?}; those are \"DEFAULT\", {}",
            names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")
        )
    })
}

fn bare(weights: &str) -> &str {
    match weights.split_once('.') {
        Some((class, name)) if class.ends_with("_Weights") => name,
        _ => weights,
    }
}

/// Why named weights are not at hand. Each message says what can be done.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no cache folder.
    #[error("torch hub's cache folder is unknown (neither TORCH_HOME nor HOME is set); set TORCH_HOME")]
    NoFolder,
    /// The cache cannot be used.
    #[error("{}: cannot {what}: {source}; TORCH_HOME chooses another folder", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// `write`, `create`…
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// Nothing came, or not all of it.
    #[error("{label} cannot be downloaded from {url} ({problem}); {}", rest(path, *kept))]
    Download {
        /// Which weights.
        label: String,
        /// From where.
        url: String,
        /// The network's words.
        problem: String,
        /// Where the file belongs.
        path: PathBuf,
        /// Bytes that were kept for the next try.
        kept: u64,
    },
    /// The bytes are not those of the name.
    #[error("{}: its SHA-256 begins with {found}, but its name says {expected}: {what_to_do}", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Digits of the name.
        expected: String,
        /// As many of the content's.
        found: String,
        /// In words.
        what_to_do: &'static str,
    },
}

fn rest(path: &std::path::Path, kept: u64) -> String {
    let kept =
        if kept > 0 { format!("; {kept} bytes are kept, and the next try goes on there") } else { String::new() };
    format!("without a network put that file at {}{kept}", path.display())
}

#[cfg(test)]
mod tests;
