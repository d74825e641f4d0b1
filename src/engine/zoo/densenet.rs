//! DenseNet (Huang et al. 2017), as torchvision's `densenet.py` has it.

use tch::Tensor;

use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    BatchNorm2d, Build, Conv2d, Cx, Init, Node, Result, avg_pool2d, batch_norm2d, conv2d, custom, dropout, linear_with,
    max_pool2d, relu, script, sequential, subclass,
};

pub const ARCHS: &[Arch] = &[
    arch("densenet121", |b, s, i| densenet(b, s, i, 64, 32, [6, 12, 24, 16])),
    arch("densenet161", |b, s, i| densenet(b, s, i, 96, 48, [6, 12, 36, 24])),
    arch("densenet169", |b, s, i| densenet(b, s, i, 64, 32, [6, 12, 32, 32])),
    arch("densenet201", |b, s, i| densenet(b, s, i, 64, 32, [6, 12, 48, 32])),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).at_least(29).with_dropout()
}

/// Width of a layer's bottleneck, in growths.
const BOTTLENECK: i64 = 4;

/// A convolution without bias, `kaiming_normal_` over its inputs.
fn conv(b: &Build, name: &str, c: Conv2d) -> Result<Node> {
    conv2d(b, name, c.no_bias().init(Init::Normal((2.0 / c.fan_in() as f64).sqrt())))
}

fn norm(b: &Build, name: &str, features: i64) -> Result<Node> {
    batch_norm2d(b, name, BatchNorm2d::new(features))
}

fn densenet(b: &Build, spec: &ModelSpec, input: &InputSpec, stem: i64, growth: i64, layers: [i64; 4]) -> Result<Node> {
    let mut features = vec![
        conv(b, "conv0", Conv2d::new(3, stem, 7).stride(2).padding(3))?,
        norm(b, "norm0", stem)?,
        relu(b, "relu0"),
        max_pool2d(b, "pool0", 3, 2, 1),
    ];
    let mut width = stem;
    for (i, n) in (1..).zip(layers) {
        let block = (0..n).map(|k| dense_layer(b, k + 1, width + k * growth, growth, spec.dropout));
        let children = block.collect::<Result<Vec<_>>>()?;
        features.push(custom(b, format!("denseblock{i}"), "_DenseBlock", children, dense, dense_script));
        width += n * growth;
        if i < layers.len() {
            let children = vec![
                norm(b, "norm", width)?,
                relu(b, "relu"),
                conv(b, "conv", Conv2d::new(width, width / 2, 1))?,
                avg_pool2d(b, "pool", 2),
            ];
            features.push(subclass(b, format!("transition{i}"), "_Transition", children));
            width /= 2;
        }
    }
    features.push(norm(b, "norm5", width)?);
    let outputs = input.outputs as i64;
    let children = vec![
        sequential(b, "features", features),
        linear_with(b, "classifier", width, outputs, Init::default_for(width), Init::Zeros)?,
    ];
    let script = |_: &Node| {
        "x = torch.relu(self.features.forward(x))\n\
         return self.classifier.forward(torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1))"
            .to_owned()
    };
    Ok(custom(b, "", "DenseNet", children, forward, script))
}

fn forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let features = node.child("features")?.forward(x, cx)?.f_relu()?;
    node.child("classifier")?.forward(&features.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?, cx)
}

/// Each layer adds `growth` channels to all that were there before it.
fn dense_layer(b: &Build, n: i64, width: i64, growth: i64, p: Option<f64>) -> Result<Node> {
    let mut children = vec![
        norm(b, "norm1", width)?,
        relu(b, "relu1"),
        conv(b, "conv1", Conv2d::new(width, BOTTLENECK * growth, 1))?,
        norm(b, "norm2", BOTTLENECK * growth)?,
        relu(b, "relu2"),
        conv(b, "conv2", Conv2d::new(BOTTLENECK * growth, growth, 3).padding(1))?,
    ];
    // A function in torchvision, and off there unless asked for; a module here, so that it is seen and can be switched.
    if let Some(p) = p.filter(|p| *p > 0.0) {
        children.push(dropout(b, "dropout", p));
    }
    Ok(subclass(b, format!("denselayer{n}"), "_DenseLayer", children))
}

fn dense(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let mut parts = vec![x.shallow_clone()];
    for layer in &node.children {
        let y = layer.forward(&Tensor::f_cat(&parts, 1)?, cx)?;
        parts.push(y);
    }
    Ok(Tensor::f_cat(&parts, 1)?)
}

fn dense_script(node: &Node) -> String {
    let mut body = String::new();
    let mut parts = String::from("x");
    for (i, layer) in node.children.iter().enumerate() {
        body += &format!("y{i} = {}\n", script::call(&layer.name, &format!("torch.cat([{parts}], 1)")));
        parts += &format!(", y{i}");
    }
    body + &format!("return torch.cat([{parts}], 1)")
}
