//! The module tree: own layers with PyTorch's names, kinds and defaults.
//!
//! A model is a tree of [`Node`]s. What a node computes is its [`Op`], a value of hyper-parameters without tensors; its
//! tensors lie in the node under PyTorch's names. Used by the zoo and the learner.

mod activation;
mod attention;
mod build;
mod container;
mod conv;
mod conv_norm;
mod dropout;
mod linear;
mod norm;
mod pool;
mod reshape;
mod residual;
pub mod script;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

pub use activation::{Activation, activation, relu};
pub use attention::self_attention;
pub use build::{Build, Init};
pub use container::{custom, numbered, sequential, subclass};
pub use conv::{Conv2d, conv2d};
pub use conv_norm::{conv_norm, squeeze_excitation};
pub use dropout::dropout;
pub use linear::{attention_projection, linear, linear_with};
pub use norm::{BatchNorm2d, batch_norm2d, layer_norm, layer_norm2d};
pub use pool::{adaptive_avg_pool2d, avg_pool2d, max_pool2d, max_pool2d_ceil};
pub use reshape::{flatten, permute};
pub use residual::{residual, stochastic_depth};
use tch::Tensor;

use super::ffi::{Generator, ShimError, one_line};

/// What a layer could not do, in libtorch's words (the first line).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NnError(pub String);

impl From<tch::TchError> for NnError {
    fn from(error: tch::TchError) -> Self {
        Self(first_line(&error))
    }
}

impl From<ShimError> for NnError {
    fn from(error: ShimError) -> Self {
        Self(error.0)
    }
}

/// libtorch's message without its C++ stack.
pub fn first_line(error: &tch::TchError) -> String {
    match error {
        tch::TchError::Torch(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// Result of a layer.
pub type Result<T> = std::result::Result<T, NnError>;

/// What a node computes.
pub trait Op: Send + Sync {
    /// PyTorch's class name.
    fn kind(&self) -> &str;
    /// Hyper-parameters in a few characters.
    fn detail(&self) -> String {
        String::new()
    }
    /// The forward pass, calling children through [`Node::forward`].
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor>;
    /// Multiply-adds counted as two for one sample, without children.
    fn flops(&self, _input: &[i64], _output: &[i64]) -> u64 {
        0
    }
    /// TorchScript source of the forward, for a model saved as TorchScript: the body of `def forward(self, x: Tensor) ->
    /// Tensor:`, one statement a line, not indented beyond its own blocks; own tensors are `self.weight`…, children
    /// `self.conv1.forward(x)` or, for names that are numbers, `getattr(self, "0").forward(x)`; train mode is
    /// `self.training`. `None`: cannot be written as TorchScript.
    fn script(&self, _node: &Node) -> Option<String> {
        None
    }
}

/// A named tensor of a node.
#[derive(Debug)]
pub struct Slot {
    /// `weight`, `running_mean`…
    pub name: Cow<'static, str>,
    /// Its values.
    pub tensor: Tensor,
    /// A parameter, as against a buffer.
    pub parameter: bool,
}

/// A module.
pub struct Node {
    /// Name below the parent.
    pub name: String,
    /// Dotted path from the root, empty for the root.
    pub path: String,
    /// Position in the tree, parents before children; the index of all per-module tables.
    pub id: usize,
    /// What it computes.
    pub op: Box<dyn Op>,
    /// Modules below, in registration order.
    pub children: Vec<Node>,
    /// Own parameters and buffers, in registration order.
    pub slots: Vec<Slot>,
}

/// Facts of one forward pass.
pub struct Cx<'a> {
    /// Train mode.
    pub train: bool,
    /// By module: works as in eval mode although in train mode (a frozen norm, a frozen dropout).
    pub eval: &'a [bool],
    /// By module: forward without recording gradients.
    pub no_grad: &'a [bool],
    /// Where dropout's masks come from.
    pub generator: &'a Generator,
    /// Whether the current module records gradients, if its tensors ask for them.
    pub recording: Cell<bool>,
    /// Where shapes are written, when somebody asks.
    pub trace: Option<&'a RefCell<Vec<Traced>>>,
}

impl Cx<'_> {
    /// Whether a module works as in train mode.
    pub fn training(&self, node: &Node) -> bool {
        self.train && !self.eval.get(node.id).copied().unwrap_or(false)
    }
}

/// Shapes that went through a module.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The module.
    pub id: usize,
    /// Input sizes.
    pub input: Vec<i64>,
    /// Output sizes.
    pub output: Vec<i64>,
    /// Multiply-adds counted as two, without children.
    pub flops: u64,
}

impl Node {
    /// Runs the module. Under no_grad nothing is recorded, so nothing upstream learns through it.
    pub fn forward(&self, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let y = if cx.no_grad.get(self.id).copied().unwrap_or(false) {
            let before = cx.recording.replace(false);
            let y = tch::no_grad(|| self.op.forward(self, x, cx));
            cx.recording.set(before);
            y?
        } else {
            self.op.forward(self, x, cx)?
        };
        if let Some(trace) = cx.trace {
            let (input, output) = (x.size(), y.size());
            let flops = self.op.flops(&input, &output);
            trace.borrow_mut().push(Traced { id: self.id, input, output, flops });
        }
        Ok(y)
    }

    /// A child by name.
    pub fn child(&self, name: &str) -> Result<&Node> {
        self.children
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| NnError(format!("module `{}` has no child `{name}`", self.path)))
    }

    /// Whether there is a child of this name.
    pub fn has_child(&self, name: &str) -> bool {
        self.children.iter().any(|c| c.name == name)
    }

    /// An own tensor by name; `None` where the layer was built without it.
    pub fn slot(&self, name: &str) -> Option<&Tensor> {
        self.slots.iter().find(|s| s.name == name).map(|s| &s.tensor)
    }

    /// An own tensor that is always there.
    pub fn need(&self, name: &str) -> Result<&Tensor> {
        self.slot(name).ok_or_else(|| NnError(format!("module `{}` has no tensor `{name}`", self.path)))
    }

    /// This module and all below, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node, Option<usize>)) {
        fn go<'a>(node: &'a Node, parent: Option<usize>, visit: &mut dyn FnMut(&'a Node, Option<usize>)) {
            visit(node, parent);
            for child in &node.children {
                go(child, Some(node.id), visit);
            }
        }
        go(self, None, visit);
    }

    /// Gives every module its path and number; called once on the root.
    pub fn finish(mut self) -> Self {
        fn go(node: &mut Node, path: &str, next: &mut usize) {
            node.id = *next;
            *next += 1;
            node.path = path.to_owned();
            for child in &mut node.children {
                let below = if path.is_empty() { child.name.clone() } else { format!("{path}.{}", child.name) };
                go(child, &below, next);
            }
        }
        let mut next = 0;
        go(&mut self, "", &mut next);
        self
    }

    /// The same node under another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}
