//! Forwards that several families share.

use tch::Tensor;

use crate::engine::nn::{Cx, Node, Result, script};

/// The children in their order, flattened to `[N, F]` before the head, which is the child of that name.
fn flattened_before(node: &Node, x: &Tensor, cx: &Cx<'_>, head: &str) -> Result<Tensor> {
    let mut y = x.shallow_clone();
    for child in &node.children {
        if child.name == head {
            y = y.f_flatten(1, -1)?;
        }
        y = child.forward(&y, cx)?;
    }
    Ok(y)
}

fn flattened_before_script(node: &Node, head: &str) -> String {
    let mut body = String::new();
    for child in &node.children {
        if child.name == head {
            body += "x = torch.flatten(x, 1)\n";
        }
        body += &format!("x = {}\n", script::call(&child.name, "x"));
    }
    body + "return x"
}

/// A ResNet's forward: the children in their order, flattened before `fc`.
pub fn stages_then_fc(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    flattened_before(node, x, cx, "fc")
}

/// The same in TorchScript.
pub fn stages_then_fc_script(node: &Node) -> String {
    flattened_before_script(node, "fc")
}

/// `features`, `avgpool`, flattened, `classifier`.
pub fn features_then_classifier(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    flattened_before(node, x, cx, "classifier")
}

/// The same in TorchScript.
pub fn features_then_classifier_script(node: &Node) -> String {
    flattened_before_script(node, "classifier")
}
