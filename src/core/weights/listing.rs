//! What a weights file holds, without its data.

use std::collections::BTreeMap;

use serde::Serialize;

/// The format of an archive that holds a model's code too.
pub const TORCHSCRIPT: &str = "TorchScript";

/// What a weights file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileListing {
    /// In the order of their place in the file, or of the state dict.
    pub tensors: Vec<TensorListing>,
    /// The file's own remarks (safetensors).
    pub metadata: BTreeMap<String, String>,
    /// The file's format in words.
    pub format: String,
    /// Where in the file the state dict was found (`state_dict`); `None` is the top.
    pub key: Option<String>,
    /// Every place in the file where a state dict is, for `model.load.key`.
    pub candidates: Vec<String>,
    /// Classes and functions of the pickle that were kept as placeholders and not called, in order.
    pub placeholders: Vec<String>,
    /// Numbers and short texts at the file's top, as `epoch` (torch.save).
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorListing {
    /// Its name.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// PyTorch's name of the element type (`float32`).
    pub dtype: &'static str,
    /// Size in bytes.
    pub bytes: u64,
}
