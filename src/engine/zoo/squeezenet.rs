//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016), as torchvision's `squeezenet.py` has them.

use tch::Tensor;

use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    Build, Conv2d, Cx, Init, Node, Result, adaptive_avg_pool2d, conv2d, custom, dropout, max_pool2d_ceil, numbered,
    relu, sequential,
};

pub const ARCHS: &[Arch] = &[
    arch("squeezenet1_0", |b, s, i| squeezenet(b, s, i, (96, 7), [3, 4, 1])).at_least(21),
    arch("squeezenet1_1", |b, s, i| squeezenet(b, s, i, (64, 3), [2, 2, 4])).at_least(17),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).with_dropout()
}

/// Widths of the Fire modules, squeezed and expanded (each of both halves).
const FIRE: [(i64, i64); 8] = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

/// The stem's width and kernel; how many Fire modules follow each of the three poolings.
fn squeezenet(b: &Build, spec: &ModelSpec, input: &InputSpec, stem: (i64, i64), fires: [usize; 3]) -> Result<Node> {
    let (mut from, kernel) = stem;
    let mut features = vec![he(b, "", Conv2d::new(3, from, kernel).stride(2))?, relu(b, "")];
    let mut widths = FIRE.into_iter();
    for n in fires {
        features.push(max_pool2d_ceil(b, "", 3, 2));
        for (squeezed, expanded) in widths.by_ref().take(n) {
            features.push(fire(b, from, squeezed, expanded)?);
            from = 2 * expanded;
        }
    }
    let head = Conv2d::new(from, input.outputs as i64, 1).init(Init::Normal(0.01));
    let classifier = vec![
        dropout(b, "", spec.dropout.unwrap_or(0.5)),
        conv2d(b, "", head)?,
        relu(b, ""),
        adaptive_avg_pool2d(b, "", 1),
    ];
    let children =
        vec![sequential(b, "features", numbered(features)), sequential(b, "classifier", numbered(classifier))];
    let script = |_: &Node| "return torch.flatten(self.classifier.forward(self.features.forward(x)), 1)".to_owned();
    Ok(custom(b, "", "SqueezeNet", children, forward, script))
}

/// `kaiming_uniform_`, the bias 0.
fn he(b: &Build, name: &str, c: Conv2d) -> Result<Node> {
    conv2d(b, name, c.init(Init::Uniform((6.0 / c.fan_in() as f64).sqrt())))
}

fn forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let features = node.child("features")?.forward(x, cx)?;
    Ok(node.child("classifier")?.forward(&features, cx)?.f_flatten(1, -1)?)
}

fn fire(b: &Build, from: i64, squeezed: i64, expanded: i64) -> Result<Node> {
    let children = vec![
        he(b, "squeeze", Conv2d::new(from, squeezed, 1))?,
        relu(b, "squeeze_activation"),
        he(b, "expand1x1", Conv2d::new(squeezed, expanded, 1))?,
        relu(b, "expand1x1_activation"),
        he(b, "expand3x3", Conv2d::new(squeezed, expanded, 3).padding(1))?,
        relu(b, "expand3x3_activation"),
    ];
    let script = |_: &Node| {
        "x = self.squeeze_activation.forward(self.squeeze.forward(x))\n\
         a = self.expand1x1_activation.forward(self.expand1x1.forward(x))\n\
         b = self.expand3x3_activation.forward(self.expand3x3.forward(x))\n\
         return torch.cat([a, b], 1)"
            .to_owned()
    };
    Ok(custom(b, "", "Fire", children, fire_forward, script))
}

fn fire_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let part = |name: &str, x: &Tensor| {
        let y = node.child(name)?.forward(x, cx)?;
        node.child(&format!("{name}_activation"))?.forward(&y, cx)
    };
    let squeezed = part("squeeze", x)?;
    Ok(Tensor::f_cat(&[part("expand1x1", &squeezed)?, part("expand3x3", &squeezed)?], 1)?)
}
