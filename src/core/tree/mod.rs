//! The layer tree as data: what `frostline tree` prints and what freeze plans are resolved on.
//!
//! Built by the engine from a model; pure values, no tensors.

use serde::{Deserialize, Serialize};

use super::tensor::DType;

/// A model's modules, parameters and buffers, in PyTorch's registration order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// All modules, parents before children; index 0 is the root with an empty path.
    pub modules: Vec<ModuleInfo>,
    /// All parameters, in the order of `named_parameters()`.
    pub parameters: Vec<ParamInfo>,
    /// All buffers, in the order of `named_buffers()`.
    pub buffers: Vec<ParamInfo>,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Dotted path (`layer1.0.conv1`); empty for the root.
    pub path: String,
    /// PyTorch's class name (`Conv2d`).
    pub kind: String,
    /// Hyper-parameters in a few characters (`64->128 3x3 s2`); may be empty.
    pub detail: String,
    /// Index of the parent module; `None` for the root.
    pub parent: Option<usize>,
    /// Output shape with the batch dimension first, as -1, where a forward was traced.
    pub output_shape: Option<Vec<i64>>,
    /// Multiply-adds counted as two, for one sample, of this module and what is below it.
    pub flops: Option<u64>,
}

/// One parameter or buffer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamInfo {
    /// Dotted name (`layer1.0.conv1.weight`).
    pub name: String,
    /// Index of the owning module in [`Tree::modules`].
    pub module: usize,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl ParamInfo {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.count() * self.dtype.size()
    }
}
