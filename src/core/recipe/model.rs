//! `[model]`: architecture, pretrained weights and how they are mapped.

use serde::{Deserialize, Serialize};

/// The model and where its weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// A zoo name (`mlp`, `resnet8`, `resnet18`…), or `torchscript:<path>`.
    pub arch: String,
    /// Outputs of the head; taken from the data when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<usize>,
    /// Pretrained weights: a file, `RUN@step`, or torchvision's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// How they are mapped onto the model.
    pub load: LoadSpec,
    /// Hidden widths of `mlp`.
    pub hidden: Vec<usize>,
    /// Dropout probability of models that have dropout; the architecture's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Probability with which the last block of models with stochastic depth is left out, falling to 0 at the first; the
    /// architecture's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stochastic_depth: Option<f64>,
    /// Width of the small ResNets' first stage.
    pub width: usize,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            arch: String::new(),
            num_classes: None,
            weights: None,
            load: LoadSpec::default(),
            hidden: vec![64, 64],
            dropout: None,
            stochastic_depth: None,
            width: 16,
        }
    }
}

/// Architectures that read `width`.
const WITH_WIDTH: [&str; 3] = ["resnet8", "resnet14", "resnet20"];

impl ModelSpec {
    /// Values that this model does not read, in words. They are no errors: runs that have them must go on.
    pub fn ignored(&self) -> Vec<String> {
        let (none, arch) = (Self::default(), self.arch.as_str());
        let mut words = Vec::new();
        // A script's keys are refused by who knows the script.
        if !arch.starts_with("torchscript:") {
            let keys = [
                ("hidden", self.hidden != none.hidden, &["mlp"][..]),
                ("width", self.width != none.width, &WITH_WIDTH[..]),
            ];
            for (key, _, archs) in keys.iter().filter(|(_, set, archs)| *set && !archs.contains(&arch)) {
                let belongs = archs.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(", ");
                words.push(format!(
                    "model.{key} has no meaning with model.arch = {arch:?}, only with {belongs}; leave it out"
                ));
            }
        }
        if self.weights.is_none() {
            let (ours, none) = (&self.load, &none.load);
            let keys = [
                ("strict", ours.strict != none.strict),
                ("head", ours.head != none.head),
                ("key", ours.key != none.key),
                ("strip_prefix", ours.strip_prefix != none.strip_prefix),
                ("drop", ours.drop != none.drop),
                ("rename", ours.rename != none.rename),
            ];
            let set = keys.iter().filter(|(_, set)| *set);
            words.extend(
                set.map(|(key, _)| format!("model.load.{key} has no meaning without model.weights; leave it out")),
            );
        }
        words
    }
}

/// How a state dict is mapped onto the model, in PyTorch's `load_state_dict` terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadSpec {
    /// Missing, unexpected or mismatched tensors are errors.
    pub strict: bool,
    /// `new`: the classifier is initialised afresh instead of loaded.
    pub head: Head,
    /// Where in the file the state dict is (`state_dict_ema`), with dots for deeper; found by itself when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A prefix to remove from the file's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// Globs over the file's names: not loaded.
    pub drop: Vec<String>,
    /// `[from, to]` pairs applied to the file's names, in order.
    pub rename: Vec<(String, String)>,
}

impl Default for LoadSpec {
    fn default() -> Self {
        Self { strict: true, head: Head::Keep, key: None, strip_prefix: None, drop: Vec::new(), rename: Vec::new() }
    }
}

/// What happens to the classifier when weights are loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Loaded like everything else.
    #[default]
    Keep,
    /// Initialised afresh.
    New,
}
