//! A multi-layer perceptron: `fc1`, `fc2`… with ReLU and, where asked, dropout between them.

use super::Arch;
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{Build, Node, Result, custom, dropout, flatten, linear, relu, script};

pub const ARCHS: &[Arch] =
    &[Arch { channels: None, images_only: false, ..Arch::torchvision("mlp", build).with_dropout() }];

fn build(b: &Build, spec: &ModelSpec, input: &InputSpec) -> Result<Node> {
    let mut width = input.sample_shape.iter().product::<usize>() as i64;
    let mut children = vec![flatten(b, "flatten")];
    for (i, &hidden) in spec.hidden.iter().enumerate() {
        let n = i + 1;
        children.push(linear(b, format!("fc{n}"), width, hidden as i64)?);
        children.push(relu(b, format!("relu{n}")));
        if let Some(p) = spec.dropout.filter(|p| *p > 0.0) {
            children.push(dropout(b, format!("dropout{n}"), p));
        }
        width = hidden as i64;
    }
    children.push(linear(b, format!("fc{}", spec.hidden.len() + 1), width, input.outputs as i64)?);
    Ok(custom(
        b,
        "",
        "MLP",
        children,
        |node, x, cx| {
            let mut y = x.shallow_clone();
            for child in &node.children {
                y = child.forward(&y, cx)?;
            }
            Ok(y)
        },
        script::in_turn,
    ))
}
