//! EfficientNet (Tan and Le 2019) and EfficientNetV2 (Tan and Le 2021), as torchvision's `efficientnet.py` has them.

use super::forward::{features_then_classifier, features_then_classifier_script};
use super::mobilenet::eights;
use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::Activation::{self, Sigmoid, Silu};
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Init, Node, Result, adaptive_avg_pool2d, conv_norm, custom, dropout, linear_with,
    numbered, residual, sequential, squeeze_excitation, stochastic_depth,
};

pub const ARCHS: &[Arch] = &[
    arch("efficientnet_b0", |b, s, i| scaled(b, s, i, 1.0, 1.0, 0.2, USUAL)),
    arch("efficientnet_b1", |b, s, i| scaled(b, s, i, 1.0, 1.1, 0.2, USUAL)),
    arch("efficientnet_b2", |b, s, i| scaled(b, s, i, 1.1, 1.2, 0.3, USUAL)),
    arch("efficientnet_b3", |b, s, i| scaled(b, s, i, 1.2, 1.4, 0.3, USUAL)),
    arch("efficientnet_b4", |b, s, i| scaled(b, s, i, 1.4, 1.8, 0.4, USUAL)),
    arch("efficientnet_b5", |b, s, i| scaled(b, s, i, 1.6, 2.2, 0.4, (1e-3, 0.01))),
    arch("efficientnet_b6", |b, s, i| scaled(b, s, i, 1.8, 2.6, 0.5, (1e-3, 0.01))),
    arch("efficientnet_b7", |b, s, i| scaled(b, s, i, 2.0, 3.1, 0.5, (1e-3, 0.01))),
    arch("efficientnet_v2_s", |b, s, i| efficientnet(b, s, i, V2_S, Some(1280), 0.2, (1e-3, 0.1))).at_least(33),
    arch("efficientnet_v2_m", |b, s, i| efficientnet(b, s, i, V2_M, Some(1280), 0.3, (1e-3, 0.1))).at_least(33),
    arch("efficientnet_v2_l", |b, s, i| efficientnet(b, s, i, V2_L, Some(1280), 0.4, (1e-3, 0.1))).at_least(33),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).with_dropout().with_stochastic_depth()
}

/// The batch norms' eps and momentum.
type Norm = (f64, f64);
const USUAL: Norm = (1e-5, 0.1);

/// Torchvision's rate for the last block, of which the first has none.
const STOCHASTIC_DEPTH: f64 = 0.2;

/// A stage (table 1 of the first paper, table 4 of the second).
#[derive(Clone, Copy)]
struct Stage {
    /// The expanding and the depthwise convolution are one.
    fused: bool,
    expansion: i64,
    kernel: i64,
    stride: i64,
    inputs: i64,
    outputs: i64,
    blocks: usize,
}

const fn mb(expansion: i64, kernel: i64, stride: i64, inputs: i64, outputs: i64, blocks: usize) -> Stage {
    Stage { fused: false, expansion, kernel, stride, inputs, outputs, blocks }
}

const fn fused(expansion: i64, stride: i64, inputs: i64, outputs: i64, blocks: usize) -> Stage {
    Stage { fused: true, expansion, kernel: 3, stride, inputs, outputs, blocks }
}

const V1: [Stage; 7] = [
    mb(1, 3, 1, 32, 16, 1),
    mb(6, 3, 2, 16, 24, 2),
    mb(6, 5, 2, 24, 40, 2),
    mb(6, 3, 2, 40, 80, 3),
    mb(6, 5, 1, 80, 112, 3),
    mb(6, 5, 2, 112, 192, 4),
    mb(6, 3, 1, 192, 320, 1),
];

const V2_S: &[Stage] = &[
    fused(1, 1, 24, 24, 2),
    fused(4, 2, 24, 48, 4),
    fused(4, 2, 48, 64, 4),
    mb(4, 3, 2, 64, 128, 6),
    mb(6, 3, 1, 128, 160, 9),
    mb(6, 3, 2, 160, 256, 15),
];

const V2_M: &[Stage] = &[
    fused(1, 1, 24, 24, 3),
    fused(4, 2, 24, 48, 5),
    fused(4, 2, 48, 80, 5),
    mb(4, 3, 2, 80, 160, 7),
    mb(6, 3, 1, 160, 176, 14),
    mb(6, 3, 2, 176, 304, 18),
    mb(6, 3, 1, 304, 512, 5),
];

const V2_L: &[Stage] = &[
    fused(1, 1, 32, 32, 4),
    fused(4, 2, 32, 64, 7),
    fused(4, 2, 64, 96, 7),
    mb(4, 3, 2, 96, 192, 10),
    mb(6, 3, 1, 192, 224, 19),
    mb(6, 3, 2, 224, 384, 25),
    mb(6, 3, 1, 384, 640, 7),
];

/// The first version at a scale of its widths and depths.
fn scaled(
    b: &Build,
    spec: &ModelSpec,
    input: &InputSpec,
    width: f64,
    depth: f64,
    drop: f64,
    norm: Norm,
) -> Result<Node> {
    let stages = V1.map(|s| Stage {
        inputs: eights(s.inputs as f64 * width),
        outputs: eights(s.outputs as f64 * width),
        blocks: (s.blocks as f64 * depth).ceil() as usize,
        ..s
    });
    efficientnet(b, spec, input, &stages, None, drop, norm)
}

fn efficientnet(
    b: &Build,
    spec: &ModelSpec,
    input: &InputSpec,
    stages: &[Stage],
    last: Option<i64>,
    drop: f64,
    (eps, momentum): Norm,
) -> Result<Node> {
    // The number of features comes from the convolution.
    let conv = |c: Conv2d, act: Option<Activation>| {
        conv_norm(b, "", c.kaiming_fan_out(), BatchNorm2d { features: 0, eps, momentum }, act)
    };
    let mut from = stages.first().map_or(32, |s| s.inputs);
    let mut features = vec![conv(Conv2d::new(3, from, 3).stride(2), Some(Silu))?];
    let blocks: usize = stages.iter().map(|s| s.blocks).sum();
    let rate = spec.stochastic_depth.unwrap_or(STOCHASTIC_DEPTH);
    let mut done = 0;
    for stage in stages {
        let mut children = Vec::new();
        for i in 0..stage.blocks {
            let stride = if i == 0 { stage.stride } else { 1 };
            let inner = eights((from * stage.expansion) as f64);
            let mut block = Vec::new();
            if stage.fused {
                let first = Conv2d::new(from, inner, stage.kernel).stride(stride);
                if inner == from {
                    block.push(conv(Conv2d { outputs: stage.outputs, ..first }, Some(Silu))?);
                } else {
                    block.push(conv(first, Some(Silu))?);
                    block.push(conv(Conv2d::new(inner, stage.outputs, 1), None)?);
                }
            } else {
                if inner != from {
                    block.push(conv(Conv2d::new(from, inner, 1), Some(Silu))?);
                }
                block.push(conv(Conv2d::new(inner, inner, stage.kernel).stride(stride).groups(inner), Some(Silu))?);
                block.push(squeeze_excitation(b, "", inner, (from / 4).max(1), Silu, Sigmoid)?);
                block.push(conv(Conv2d::new(inner, stage.outputs, 1), None)?);
            }
            let parts = vec![
                sequential(b, "block", numbered(block)),
                stochastic_depth(b, "stochastic_depth", rate * done as f64 / blocks as f64),
            ];
            let kind = if stage.fused { "FusedMBConv" } else { "MBConv" };
            let skip = stride == 1 && from == stage.outputs;
            children.push(residual(b, "", kind, skip, Vec::new(), parts));
            from = stage.outputs;
            done += 1;
        }
        features.push(sequential(b, "", numbered(children)));
    }
    let last = last.unwrap_or(4 * from);
    features.push(conv(Conv2d::new(from, last, 1), Some(Silu))?);
    let outputs = input.outputs as i64;
    let bound = 1.0 / (outputs.max(1) as f64).sqrt();
    let classifier = vec![
        dropout(b, "", spec.dropout.unwrap_or(drop)),
        linear_with(b, "", last, outputs, Init::Uniform(bound), Init::Zeros)?,
    ];
    let children = vec![
        sequential(b, "features", numbered(features)),
        adaptive_avg_pool2d(b, "avgpool", 1),
        sequential(b, "classifier", numbered(classifier)),
    ];
    Ok(custom(b, "", "EfficientNet", children, features_then_classifier, features_then_classifier_script))
}
