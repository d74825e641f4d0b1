//! `nn.ReLU` and `nn.Flatten`.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

struct Relu;

/// `nn.ReLU()`.
pub fn relu(b: &Build, name: impl Into<String>) -> Node {
    b.node(name, Relu, Vec::new(), Vec::new())
}

impl Op for Relu {
    fn kind(&self) -> &'static str {
        "ReLU"
    }
    fn forward(&self, _: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        // In place, as torchvision's models do: what feeds a ReLU is used by nothing else. Not where a no_grad module
        // begins here, since the result would stay part of the graph upstream.
        if x.requires_grad() && !cx.recording.get() { Ok(x.f_relu()?) } else { Ok(x.shallow_clone().f_relu_()?) }
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some("return torch.relu(x)".to_owned())
    }
}

struct Flatten;

/// `nn.Flatten(1)`: `[N, …]` to `[N, F]`.
pub fn flatten(b: &Build, name: impl Into<String>) -> Node {
    b.node(name, Flatten, Vec::new(), Vec::new())
}

impl Op for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_flatten(1, -1)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some("return torch.flatten(x, 1)".to_owned())
    }
}
