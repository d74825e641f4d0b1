//! The layer tree as data: what `frostline tree` prints and what freeze plans are resolved on.
//!
//! Built by the engine from a model, or from a file's names alone ([`Tree::from_tensors`]); pure values, no tensor data.
//! Imports [`super::tensor`] only, and [`super::freeze`]'s states for the sums. Everything above calls it.

mod from_names;
mod glob;
mod order;
mod received;
mod totals;

pub use glob::{glob_covers, glob_match, is_glob, rename_by_glob};
pub use order::{as_registered, by_module};
pub use totals::{Learning, Totals};

use serde::{Deserialize, Serialize};

use super::tensor::DType;

/// A model's modules, parameters and buffers, in PyTorch's registration order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "received::Received")]
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

impl ModuleInfo {
    /// The last segment of the path (`conv1`); empty for the root.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or("")
    }

    /// Whether this is a normalisation layer (`BatchNorm2d`, `LayerNorm`, `RMSNorm`…), by its class name.
    pub fn is_norm(&self) -> bool {
        self.family().ends_with("Norm")
    }

    /// Whether this drops activations at random (`Dropout`, `Dropout2d`, `AlphaDropout`, `StochasticDepth`…), by its class name.
    pub fn is_dropout(&self) -> bool {
        self.family().ends_with("Dropout") || self.kind == "StochasticDepth"
    }

    /// The class name without its dimensions.
    fn family(&self) -> &str {
        ["1d", "2d", "3d"].iter().find_map(|d| self.kind.strip_suffix(d)).unwrap_or(&self.kind)
    }
}

impl Tree {
    /// Index of the module with this path; the empty path is the root.
    pub fn module(&self, path: &str) -> Option<usize> {
        self.modules.iter().position(|m| m.path == path)
    }

    /// Index of the parameter with this name.
    pub fn parameter(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|p| p.name == name)
    }

    /// Indices of a module's direct children, in registration order.
    pub fn children(&self, module: usize) -> Vec<usize> {
        self.modules.iter().enumerate().filter(|(_, m)| m.parent == Some(module)).map(|(i, _)| i).collect()
    }

    /// Indices of the parameters that a module owns itself, not through a child.
    pub fn own_parameters(&self, module: usize) -> Vec<usize> {
        self.parameters.iter().enumerate().filter(|(_, p)| p.module == module).map(|(i, _)| i).collect()
    }

    /// Number of modules above this one; 0 for the root.
    pub fn depth(&self, module: usize) -> usize {
        self.ancestors(module).count()
    }

    /// The modules above this one, from its parent up to the root.
    pub fn ancestors(&self, module: usize) -> impl Iterator<Item = usize> + '_ {
        let parent = |m: usize| self.modules.get(m).and_then(|info| info.parent).filter(|&p| p < m);
        std::iter::successors(parent(module), move |&m| parent(m))
    }

    /// Whether `module` is `ancestor` itself or lies somewhere below it.
    pub fn is_within(&self, module: usize, ancestor: usize) -> bool {
        module == ancestor || self.ancestors(module).any(|a| a == ancestor)
    }

    /// Spreads a mark on modules to everything below them (parents come before children).
    pub(crate) fn spread(&self, marked: &mut [bool]) {
        for (i, m) in self.modules.iter().enumerate() {
            if let Some(parent) = m.parent.filter(|&p| p < i)
                && marked[parent]
            {
                marked[i] = true;
            }
        }
    }

    /// Number of parameter tensors that lie within each module.
    pub(crate) fn parameter_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.modules.len()];
        for p in &self.parameters {
            if let Some(c) = counts.get_mut(p.module) {
                *c += 1;
            }
        }
        for (i, m) in self.modules.iter().enumerate().rev() {
            if let Some(parent) = m.parent.filter(|&p| p < i) {
                counts[parent] += counts[i];
            }
        }
        counts
    }
}

#[cfg(test)]
pub(crate) mod samples;
