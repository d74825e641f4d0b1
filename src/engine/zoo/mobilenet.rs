//! MobileNetV2 (Sandler et al. 2018) and MobileNetV3 (Howard et al. 2019), as torchvision's `mobilenetv2.py` and
//! `mobilenetv3.py` have them.

use tch::Tensor;

use super::Arch;
use super::forward::{features_then_classifier, features_then_classifier_script};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::Activation::{self, Hardsigmoid, Hardswish, Relu, Relu6};
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Cx, Init, Node, Result, activation, adaptive_avg_pool2d, batch_norm2d, conv_norm,
    conv2d, custom, dropout, linear_with, numbered, residual, sequential, squeeze_excitation,
};

pub const ARCHS: &[Arch] = &[
    Arch::torchvision("mobilenet_v2", v2).with_dropout(),
    Arch::torchvision("mobilenet_v3_small", |b, s, i| v3(b, s, i, SMALL, 1024)).with_dropout(),
    Arch::torchvision("mobilenet_v3_large", |b, s, i| v3(b, s, i, LARGE, 1280)).with_dropout(),
];

/// Torchvision's `_make_divisible(v, 8)`: the nearest multiple of 8, not less than 90 % of it.
pub fn eights(v: f64) -> i64 {
    let near = ((v + 4.0) as i64 / 8 * 8).max(8);
    if (near as f64) < 0.9 * v { near + 8 } else { near }
}

/// Stages of MobileNetV2 (table 2 of its paper): expansion, channels, blocks, stride of the first.
const V2: [(i64, i64, usize, i64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn v2(b: &Build, spec: &ModelSpec, input: &InputSpec) -> Result<Node> {
    // The number of features comes from the convolution.
    let norm = BatchNorm2d::new(0);
    let conv = |c: Conv2d| conv_norm(b, "", c.kaiming_fan_out(), norm, Some(Relu6));
    let mut features = vec![conv(Conv2d::new(3, 32, 3).stride(2))?];
    let mut from = 32;
    for (expansion, channels, blocks, first) in V2 {
        for i in 0..blocks {
            let stride = if i == 0 { first } else { 1 };
            let inner = from * expansion;
            let mut block = Vec::new();
            if expansion != 1 {
                block.push(conv(Conv2d::new(from, inner, 1))?);
            }
            block.push(conv(Conv2d::new(inner, inner, 3).stride(stride).groups(inner))?);
            block.push(conv2d(b, "", Conv2d::new(inner, channels, 1).no_bias().kaiming_fan_out())?);
            block.push(batch_norm2d(b, "", BatchNorm2d::new(channels))?);
            let skip = stride == 1 && from == channels;
            let children = vec![sequential(b, "conv", numbered(block))];
            features.push(residual(b, "", "InvertedResidual", skip, Vec::new(), children));
            from = channels;
        }
    }
    features.push(conv(Conv2d::new(from, 1280, 1))?);
    let classifier = vec![
        dropout(b, "", spec.dropout.unwrap_or(0.2)),
        linear_with(b, "", 1280, input.outputs as i64, Init::Normal(0.01), Init::Zeros)?,
    ];
    let children =
        vec![sequential(b, "features", numbered(features)), sequential(b, "classifier", numbered(classifier))];
    let script = |_: &Node| {
        "x = torch.adaptive_avg_pool2d(self.features.forward(x), [1, 1])\n\
         return self.classifier.forward(torch.flatten(x, 1))"
            .to_owned()
    };
    Ok(custom(b, "", "MobileNetV2", children, v2_forward, script))
}

fn v2_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let features = node.child("features")?.forward(x, cx)?;
    node.child("classifier")?.forward(&features.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?, cx)
}

/// A block of MobileNetV3 (tables 1 and 2 of its paper).
struct V3 {
    kernel: i64,
    expanded: i64,
    channels: i64,
    squeeze: bool,
    activation: Activation,
    stride: i64,
}

const fn v3_block(kernel: i64, expanded: i64, channels: i64, squeeze: bool, activation: Activation, stride: i64) -> V3 {
    V3 { kernel, expanded, channels, squeeze, activation, stride }
}

const SMALL: &[V3] = &[
    v3_block(3, 16, 16, true, Relu, 2),
    v3_block(3, 72, 24, false, Relu, 2),
    v3_block(3, 88, 24, false, Relu, 1),
    v3_block(5, 96, 40, true, Hardswish, 2),
    v3_block(5, 240, 40, true, Hardswish, 1),
    v3_block(5, 240, 40, true, Hardswish, 1),
    v3_block(5, 120, 48, true, Hardswish, 1),
    v3_block(5, 144, 48, true, Hardswish, 1),
    v3_block(5, 288, 96, true, Hardswish, 2),
    v3_block(5, 576, 96, true, Hardswish, 1),
    v3_block(5, 576, 96, true, Hardswish, 1),
];

const LARGE: &[V3] = &[
    v3_block(3, 16, 16, false, Relu, 1),
    v3_block(3, 64, 24, false, Relu, 2),
    v3_block(3, 72, 24, false, Relu, 1),
    v3_block(5, 72, 40, true, Relu, 2),
    v3_block(5, 120, 40, true, Relu, 1),
    v3_block(5, 120, 40, true, Relu, 1),
    v3_block(3, 240, 80, false, Hardswish, 2),
    v3_block(3, 200, 80, false, Hardswish, 1),
    v3_block(3, 184, 80, false, Hardswish, 1),
    v3_block(3, 184, 80, false, Hardswish, 1),
    v3_block(3, 480, 112, true, Hardswish, 1),
    v3_block(3, 672, 112, true, Hardswish, 1),
    v3_block(5, 672, 160, true, Hardswish, 2),
    v3_block(5, 960, 160, true, Hardswish, 1),
    v3_block(5, 960, 160, true, Hardswish, 1),
];

fn v3(b: &Build, spec: &ModelSpec, input: &InputSpec, blocks: &[V3], hidden: i64) -> Result<Node> {
    let norm = BatchNorm2d { features: 0, eps: 1e-3, momentum: 0.01 };
    let conv = |c: Conv2d, act: Option<Activation>| conv_norm(b, "", c.kaiming_fan_out(), norm, act);
    let mut from = 16;
    let mut features = vec![conv(Conv2d::new(3, from, 3).stride(2), Some(Hardswish))?];
    for v in blocks {
        let (inner, act) = (v.expanded, Some(v.activation));
        let mut block = Vec::new();
        if inner != from {
            block.push(conv(Conv2d::new(from, inner, 1), act)?);
        }
        block.push(conv(Conv2d::new(inner, inner, v.kernel).stride(v.stride).groups(inner), act)?);
        if v.squeeze {
            block.push(squeeze_excitation(b, "", inner, eights((inner / 4) as f64), Relu, Hardsigmoid)?);
        }
        block.push(conv(Conv2d::new(inner, v.channels, 1), None)?);
        let skip = v.stride == 1 && from == v.channels;
        let children = vec![sequential(b, "block", numbered(block))];
        features.push(residual(b, "", "InvertedResidual", skip, Vec::new(), children));
        from = v.channels;
    }
    let last = 6 * from;
    features.push(conv(Conv2d::new(from, last, 1), Some(Hardswish))?);
    let linear = |inputs, outputs| linear_with(b, "", inputs, outputs, Init::Normal(0.01), Init::Zeros);
    let classifier = vec![
        linear(last, hidden)?,
        activation(b, "", Hardswish),
        dropout(b, "", spec.dropout.unwrap_or(0.2)),
        linear(hidden, input.outputs as i64)?,
    ];
    let children = vec![
        sequential(b, "features", numbered(features)),
        adaptive_avg_pool2d(b, "avgpool", 1),
        sequential(b, "classifier", numbered(classifier)),
    ];
    Ok(custom(b, "", "MobileNetV3", children, features_then_classifier, features_then_classifier_script))
}
