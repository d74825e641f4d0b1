//! Small ResNets for 8x8 to 64x64 images: the CIFAR variant of He et al. 2015, section 4.2 (a 3x3 stem without pooling,
//! three stages), with torchvision's parameter names and projection shortcuts.

use super::forward::{stages_then_fc, stages_then_fc_script};
use super::resnet::{Block, conv, stage};
use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{BatchNorm2d, Build, Node, Result, adaptive_avg_pool2d, batch_norm2d, custom, linear, relu};

pub const ARCHS: &[Arch] = &[
    arch("resnet8", |b, s, i| small(b, s, i, 1)),
    arch("resnet14", |b, s, i| small(b, s, i, 2)),
    arch("resnet20", |b, s, i| small(b, s, i, 3)),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch { channels: None, ..Arch::torchvision(name, build) }
}

fn small(b: &Build, spec: &ModelSpec, input: &InputSpec, blocks: usize) -> Result<Node> {
    let width = spec.width as i64;
    let channels = input.sample_shape.first().copied().unwrap_or(1) as i64;
    let mut children = vec![
        conv(b, "conv1", channels, width, 3, 1)?,
        batch_norm2d(b, "bn1", BatchNorm2d::new(width))?,
        relu(b, "relu"),
    ];
    let mut from = width;
    for i in 0..3 {
        let stride = if i == 0 { 1 } else { 2 };
        let (node, outputs) = stage(b, &format!("layer{}", i + 1), Block::Basic, from, width << i, blocks, stride)?;
        children.push(node);
        from = outputs;
    }
    children.push(adaptive_avg_pool2d(b, "avgpool", 1));
    children.push(linear(b, "fc", from, input.outputs as i64)?);
    Ok(custom(b, "", "ResNet", children, stages_then_fc, stages_then_fc_script))
}
