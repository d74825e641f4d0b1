//! `nn.Sequential`, and modules with a forward of their own.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result, script};

struct Sequential(&'static str);

/// `nn.Sequential(...)`; the children's names are theirs.
pub fn sequential(b: &Build, name: impl Into<String>, children: Vec<Node>) -> Node {
    subclass(b, name, "Sequential", children)
}

/// A class derived from `nn.Sequential` that computes what it does.
pub fn subclass(b: &Build, name: impl Into<String>, kind: &'static str, children: Vec<Node>) -> Node {
    b.node(name, Sequential(kind), Vec::new(), children)
}

/// The same nodes under the names `0`, `1`…, as `nn.Sequential(a, b, …)` gives them.
pub fn numbered(nodes: Vec<Node>) -> Vec<Node> {
    nodes.into_iter().enumerate().map(|(i, node)| node.named(i.to_string())).collect()
}

impl Op for Sequential {
    fn kind(&self) -> &'static str {
        self.0
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for child in &node.children {
            y = child.forward(&y, cx)?;
        }
        Ok(y)
    }
    fn script(&self, node: &Node) -> Option<String> {
        Some(script::in_turn(node))
    }
}

type Forward = fn(&Node, &Tensor, &Cx<'_>) -> Result<Tensor>;
type Script = fn(&Node) -> String;

struct Custom {
    kind: &'static str,
    forward: Forward,
    script: Script,
}

/// A module of class `kind` whose forward is a function over its children; `script` writes the same as [`Op::script`] does.
pub fn custom(
    b: &Build,
    name: impl Into<String>,
    kind: &'static str,
    children: Vec<Node>,
    forward: fn(&Node, &Tensor, &Cx<'_>) -> Result<Tensor>,
    script: fn(&Node) -> String,
) -> Node {
    b.node(name, Custom { kind, forward, script }, Vec::new(), children)
}

impl Op for Custom {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        (self.forward)(node, x, cx)
    }
    fn script(&self, node: &Node) -> Option<String> {
        Some((self.script)(node))
    }
}
