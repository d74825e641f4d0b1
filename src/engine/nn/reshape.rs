//! Modules that only lay values out anew: `nn.Flatten` and torchvision's `Permute`.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

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

struct Permute(&'static [i64]);

/// `torchvision.ops.Permute(dims)`.
pub fn permute(b: &Build, name: impl Into<String>, dims: &'static [i64]) -> Node {
    b.node(name, Permute(dims), Vec::new(), Vec::new())
}

impl Op for Permute {
    fn kind(&self) -> &'static str {
        "Permute"
    }
    fn detail(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_permute(self.0)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!("return torch.permute(x, {:?})", self.0))
    }
}
