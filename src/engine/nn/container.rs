//! `nn.Sequential`, and modules with a forward of their own.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

struct Sequential;

/// `nn.Sequential(...)`; the children's names are theirs.
pub fn sequential(b: &Build, name: impl Into<String>, children: Vec<Node>) -> Node {
    b.node(name, Sequential, Vec::new(), children)
}

impl Op for Sequential {
    fn kind(&self) -> &'static str {
        "Sequential"
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for child in &node.children {
            y = child.forward(&y, cx)?;
        }
        Ok(y)
    }
}

type Forward = fn(&Node, &Tensor, &Cx<'_>) -> Result<Tensor>;

struct Custom {
    kind: &'static str,
    forward: Forward,
}

/// A module of class `kind` whose forward is a function over its children.
pub fn custom(
    b: &Build,
    name: impl Into<String>,
    kind: &'static str,
    children: Vec<Node>,
    forward: fn(&Node, &Tensor, &Cx<'_>) -> Result<Tensor>,
) -> Node {
    b.node(name, Custom { kind, forward }, Vec::new(), children)
}

impl Op for Custom {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        (self.forward)(node, x, cx)
    }
}
