//! VGG (Simonyan and Zisserman 2014), with and without batch norm, as torchvision's `vgg.py` has it.

use super::forward::{features_then_classifier, features_then_classifier_script};
use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Init, Node, Result, adaptive_avg_pool2d, batch_norm2d, conv2d, custom, dropout,
    linear_with, max_pool2d, numbered, relu, sequential,
};

pub const ARCHS: &[Arch] = &[
    arch("vgg11", |b, s, i| vgg(b, s, i, A, false)),
    arch("vgg13", |b, s, i| vgg(b, s, i, B, false)),
    arch("vgg16", |b, s, i| vgg(b, s, i, D, false)),
    arch("vgg19", |b, s, i| vgg(b, s, i, E, false)),
    arch("vgg11_bn", |b, s, i| vgg(b, s, i, A, true)),
    arch("vgg13_bn", |b, s, i| vgg(b, s, i, B, true)),
    arch("vgg16_bn", |b, s, i| vgg(b, s, i, D, true)),
    arch("vgg19_bn", |b, s, i| vgg(b, s, i, E, true)),
];

/// Convolutions before each of the five poolings, under the paper's names (table 1).
const A: [usize; 5] = [1, 1, 2, 2, 2];
const B: [usize; 5] = [2, 2, 2, 2, 2];
const D: [usize; 5] = [2, 2, 3, 3, 3];
const E: [usize; 5] = [2, 2, 4, 4, 4];
const CHANNELS: [i64; 5] = [64, 128, 256, 512, 512];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).at_least(32).with_dropout()
}

fn vgg(b: &Build, spec: &ModelSpec, input: &InputSpec, convolutions: [usize; 5], norm: bool) -> Result<Node> {
    let mut features = Vec::new();
    let mut from = 3;
    for (channels, n) in CHANNELS.into_iter().zip(convolutions) {
        for _ in 0..n {
            features.push(conv2d(b, "", Conv2d::new(from, channels, 3).padding(1).kaiming_fan_out())?);
            if norm {
                features.push(batch_norm2d(b, "", BatchNorm2d::new(channels))?);
            }
            features.push(relu(b, ""));
            from = channels;
        }
        features.push(max_pool2d(b, "", 2, 2, 0));
    }
    let p = spec.dropout.unwrap_or(0.5);
    let linear = |inputs, outputs| linear_with(b, "", inputs, outputs, Init::Normal(0.01), Init::Zeros);
    let classifier = vec![
        linear(512 * 7 * 7, 4096)?,
        relu(b, ""),
        dropout(b, "", p),
        linear(4096, 4096)?,
        relu(b, ""),
        dropout(b, "", p),
        linear(4096, input.outputs as i64)?,
    ];
    let children = vec![
        sequential(b, "features", numbered(features)),
        adaptive_avg_pool2d(b, "avgpool", 7),
        sequential(b, "classifier", numbered(classifier)),
    ];
    Ok(custom(b, "", "VGG", children, features_then_classifier, features_then_classifier_script))
}
