//! ResNet-18/34/50/101/152 (He et al. 2015) with the names, shapes and initialisation of torchvision's `resnet.py`
//! (version 1.5: the stride of a bottleneck is in its 3x3 convolution).

use super::Arch;
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Cx, Init, Node, Result, adaptive_avg_pool2d, batch_norm2d, conv2d, custom, linear,
    max_pool2d, relu, script, sequential,
};
use tch::Tensor;

pub const ARCHS: &[Arch] = &[
    arch("resnet18", |b, _, i| resnet(b, i, Block::Basic, [2, 2, 2, 2])),
    arch("resnet34", |b, _, i| resnet(b, i, Block::Basic, [3, 4, 6, 3])),
    arch("resnet50", |b, _, i| resnet(b, i, Block::Bottleneck, [3, 4, 6, 3])),
    arch("resnet101", |b, _, i| resnet(b, i, Block::Bottleneck, [3, 4, 23, 3])),
    arch("resnet152", |b, _, i| resnet(b, i, Block::Bottleneck, [3, 8, 36, 3])),
];

const fn arch(name: &'static str, build: fn(&Build, &ModelSpec, &InputSpec) -> Result<Node>) -> Arch {
    Arch { name, channels: Some(3), images_only: true, build }
}

/// The two residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the width at the end.
    Bottleneck,
}

impl Block {
    /// Output channels over width.
    fn expansion(self) -> i64 {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// A convolution without bias, initialised as torchvision's ResNets are.
pub fn conv(b: &Build, name: &str, inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Result<Node> {
    let mut c = Conv2d::new(inputs, outputs, kernel);
    c.stride = stride;
    c.padding = kernel / 2;
    c.bias = false;
    c.init = Some(Init::kaiming_fan_out(outputs * kernel * kernel));
    conv2d(b, name, c)
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
        Block::Bottleneck => vec![
            conv(b, "conv1", inputs, width, 1, 1)?,
            bn(b, "bn1", width)?,
            conv(b, "conv2", width, width, 3, stride)?,
            bn(b, "bn2", width)?,
            conv(b, "conv3", width, outputs, 1, 1)?,
            bn(b, "bn3", outputs)?,
            relu(b, "relu"),
        ],
    };
    if stride != 1 || inputs != outputs {
        let projection = vec![conv(b, "0", inputs, outputs, 1, stride)?, bn(b, "1", outputs)?];
        children.push(sequential(b, "downsample", projection));
    }
    Ok(match kind {
        Block::Basic => custom(b, name, "BasicBlock", children, basic_forward, block_script),
        Block::Bottleneck => custom(b, name, "Bottleneck", children, bottleneck_forward, block_script),
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

/// A ResNet's forward: the children in their order, flattened before `fc`.
pub fn stages_then_fc(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let mut y = x.shallow_clone();
    for child in &node.children {
        if child.name == "fc" {
            y = y.f_flatten(1, -1)?;
        }
        y = child.forward(&y, cx)?;
    }
    Ok(y)
}

/// The same in TorchScript.
pub fn stages_then_fc_script(node: &Node) -> String {
    let mut body = String::new();
    for child in &node.children {
        if child.name == "fc" {
            body += "x = torch.flatten(x, 1)\n";
        }
        body += &format!("x = {}\n", script::call(&child.name, "x"));
    }
    body + "return x"
}
