//! ResNet-18/34/50/101/152 (He et al. 2015), ResNeXt (Xie et al. 2016) and wide ResNets (Zagoruyko and Komodakis 2016), as
//! torchvision's `resnet.py` has them (version 1.5: the stride of a bottleneck is in its 3x3 convolution).

use super::forward::{stages_then_fc, stages_then_fc_script};
use super::{Arch, BuildFn};
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Cx, Node, Result, adaptive_avg_pool2d, batch_norm2d, conv2d, custom, linear,
    max_pool2d, relu, sequential,
};
use tch::Tensor;

const PLAIN: Block = Block::Bottleneck { groups: 1, group_width: 64 };

pub const ARCHS: &[Arch] = &[
    arch("resnet18", |b, _, i| resnet(b, i, Block::Basic, [2, 2, 2, 2])),
    arch("resnet34", |b, _, i| resnet(b, i, Block::Basic, [3, 4, 6, 3])),
    arch("resnet50", |b, _, i| resnet(b, i, PLAIN, [3, 4, 6, 3])),
    arch("resnet101", |b, _, i| resnet(b, i, PLAIN, [3, 4, 23, 3])),
    arch("resnet152", |b, _, i| resnet(b, i, PLAIN, [3, 8, 36, 3])),
    arch("resnext50_32x4d", |b, _, i| resnet(b, i, Block::Bottleneck { groups: 32, group_width: 4 }, [3, 4, 6, 3])),
    arch("resnext101_32x8d", |b, _, i| resnet(b, i, Block::Bottleneck { groups: 32, group_width: 8 }, [3, 4, 23, 3])),
    arch("resnext101_64x4d", |b, _, i| resnet(b, i, Block::Bottleneck { groups: 64, group_width: 4 }, [3, 4, 23, 3])),
    arch("wide_resnet50_2", |b, _, i| resnet(b, i, Block::Bottleneck { groups: 1, group_width: 128 }, [3, 4, 6, 3])),
    arch("wide_resnet101_2", |b, _, i| resnet(b, i, Block::Bottleneck { groups: 1, group_width: 128 }, [3, 4, 23, 3])),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build)
}

/// The two residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the stage's width at the end.
    Bottleneck {
        /// Groups of the 3x3 convolution.
        groups: i64,
        /// Channels of a group in a stage of width 64.
        group_width: i64,
    },
}

impl Block {
    /// Output channels over width.
    fn expansion(self) -> i64 {
        match self {
            Self::Basic => 1,
            Self::Bottleneck { .. } => 4,
        }
    }
}

/// A convolution without bias, initialised as torchvision's ResNets are.
pub fn conv(b: &Build, name: &str, inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Result<Node> {
    grouped(b, name, Conv2d::new(inputs, outputs, kernel).stride(stride))
}

fn grouped(b: &Build, name: &str, c: Conv2d) -> Result<Node> {
    conv2d(b, name, c.padding(c.kernel / 2).no_bias().kaiming_fan_out())
}

fn bn(b: &Build, name: &str, features: i64) -> Result<Node> {
    batch_norm2d(b, name, BatchNorm2d::new(features))
}

fn shortcut(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    if node.has_child("downsample") { node.child("downsample")?.forward(x, cx) } else { Ok(x.shallow_clone()) }
}

fn basic_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let relu = node.child("relu")?;
    let mut y = x.shallow_clone();
    y = node.child("conv1")?.forward(&y, cx)?;
    y = node.child("bn1")?.forward(&y, cx)?;
    y = relu.forward(&y, cx)?;
    y = node.child("conv2")?.forward(&y, cx)?;
    y = node.child("bn2")?.forward(&y, cx)?;
    relu.forward(&y.f_add_(&shortcut(node, x, cx)?)?, cx)
}

fn bottleneck_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let relu = node.child("relu")?;
    let mut y = x.shallow_clone();
    for (conv, bn, last) in [("conv1", "bn1", false), ("conv2", "bn2", false), ("conv3", "bn3", true)] {
        y = node.child(conv)?.forward(&y, cx)?;
        y = node.child(bn)?.forward(&y, cx)?;
        if !last {
            y = relu.forward(&y, cx)?;
        }
    }
    relu.forward(&y.f_add_(&shortcut(node, x, cx)?)?, cx)
}

fn block_script(node: &Node) -> String {
    let layers: &[_] = if node.has_child("conv3") { &["1", "2", "3"] } else { &["1", "2"] };
    let mut body = String::from("y = x\n");
    for (i, n) in layers.iter().enumerate() {
        body += &format!("y = self.bn{n}.forward(self.conv{n}.forward(y))\n");
        if i + 1 < layers.len() {
            body += "y = self.relu.forward(y)\n";
        }
    }
    let shortcut = if node.has_child("downsample") { "self.downsample.forward(x)" } else { "x" };
    body + &format!("return self.relu.forward(y + {shortcut})")
}

/// One residual block named `name`.
pub fn block(b: &Build, name: &str, kind: Block, inputs: i64, width: i64, stride: i64) -> Result<Node> {
    let outputs = width * kind.expansion();
    let mut children = match kind {
        Block::Basic => vec![
            conv(b, "conv1", inputs, width, 3, stride)?,
            bn(b, "bn1", width)?,
            relu(b, "relu"),
            conv(b, "conv2", width, width, 3, 1)?,
            bn(b, "bn2", width)?,
        ],
        Block::Bottleneck { groups, group_width } => {
            let inner = width * group_width / 64 * groups;
            vec![
                conv(b, "conv1", inputs, inner, 1, 1)?,
                bn(b, "bn1", inner)?,
                grouped(b, "conv2", Conv2d::new(inner, inner, 3).stride(stride).groups(groups))?,
                bn(b, "bn2", inner)?,
                conv(b, "conv3", inner, outputs, 1, 1)?,
                bn(b, "bn3", outputs)?,
                relu(b, "relu"),
            ]
        }
    };
    if stride != 1 || inputs != outputs {
        let projection = vec![conv(b, "0", inputs, outputs, 1, stride)?, bn(b, "1", outputs)?];
        children.push(sequential(b, "downsample", projection));
    }
    Ok(match kind {
        Block::Basic => custom(b, name, "BasicBlock", children, basic_forward, block_script),
        Block::Bottleneck { .. } => custom(b, name, "Bottleneck", children, bottleneck_forward, block_script),
    })
}

/// A stage of blocks; returns its output channels too.
pub fn stage(
    b: &Build,
    name: &str,
    kind: Block,
    inputs: i64,
    width: i64,
    blocks: usize,
    stride: i64,
) -> Result<(Node, i64)> {
    let outputs = width * kind.expansion();
    let mut children = Vec::with_capacity(blocks);
    for i in 0..blocks {
        let (from, s) = if i == 0 { (inputs, stride) } else { (outputs, 1) };
        children.push(block(b, &i.to_string(), kind, from, width, s)?);
    }
    Ok((sequential(b, name, children), outputs))
}

fn resnet(b: &Build, input: &InputSpec, kind: Block, blocks: [usize; 4]) -> Result<Node> {
    let mut children =
        vec![conv(b, "conv1", 3, 64, 7, 2)?, bn(b, "bn1", 64)?, relu(b, "relu"), max_pool2d(b, "maxpool", 3, 2, 1)];
    let mut channels = 64;
    for (i, &n) in blocks.iter().enumerate() {
        let (node, outputs) =
            stage(b, &format!("layer{}", i + 1), kind, channels, 64 << i, n, if i == 0 { 1 } else { 2 })?;
        children.push(node);
        channels = outputs;
    }
    children.push(adaptive_avg_pool2d(b, "avgpool", 1));
    children.push(linear(b, "fc", channels, input.outputs as i64)?);
    Ok(custom(b, "", "ResNet", children, stages_then_fc, stages_then_fc_script))
}
