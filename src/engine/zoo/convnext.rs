//! ConvNeXt (Liu et al. 2022), as torchvision's `convnext.py` has it.

use super::{Arch, BuildFn};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    Activation, Build, Conv2d, Cx, Init, Node, Result, activation, adaptive_avg_pool2d, conv2d, custom, flatten,
    layer_norm, layer_norm2d, linear_with, numbered, permute, residual, script, sequential, stochastic_depth, subclass,
};
use tch::Tensor;

pub const ARCHS: &[Arch] = &[
    arch("convnext_tiny", |b, s, i| convnext(b, s, i, 96, [3, 3, 9, 3], 0.1)),
    arch("convnext_small", |b, s, i| convnext(b, s, i, 96, [3, 3, 27, 3], 0.4)),
    arch("convnext_base", |b, s, i| convnext(b, s, i, 128, [3, 3, 27, 3], 0.5)),
    arch("convnext_large", |b, s, i| convnext(b, s, i, 192, [3, 3, 27, 3], 0.5)),
];

const fn arch(name: &'static str, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).at_least(32).with_stochastic_depth()
}

const EPS: f64 = 1e-6;
const LAYER_SCALE: f64 = 1e-6;
const WEIGHT: Init = Init::Normal(0.02);

/// `rate` is torchvision's rate of stochastic depth for the last block; the first has none.
fn convnext(
    b: &Build,
    spec: &ModelSpec,
    input: &InputSpec,
    mut width: i64,
    blocks: [usize; 4],
    rate: f64,
) -> Result<Node> {
    let rate = spec.stochastic_depth.unwrap_or(rate);
    let stem =
        vec![conv2d(b, "0", Conv2d::new(3, width, 4).stride(4).init(WEIGHT))?, layer_norm2d(b, "1", width, EPS)?];
    let mut features = vec![subclass(b, "", "Conv2dNormActivation", stem)];
    let last = blocks.iter().sum::<usize>().saturating_sub(1) as f64;
    let mut done = 0u32;
    for (stage, n) in blocks.into_iter().enumerate() {
        if stage > 0 {
            let down = conv2d(b, "1", Conv2d::new(width, 2 * width, 2).stride(2).init(WEIGHT))?;
            features.push(sequential(b, "", vec![layer_norm2d(b, "0", width, EPS)?, down]));
            width *= 2;
        }
        let mut children = Vec::with_capacity(n);
        for _ in 0..n {
            children.push(block(b, width, rate * f64::from(done) / last)?);
            done += 1;
        }
        features.push(sequential(b, "", numbered(children)));
    }
    let classifier = vec![
        layer_norm2d(b, "", width, EPS)?,
        flatten(b, ""),
        linear_with(b, "", width, input.outputs as i64, WEIGHT, Init::Zeros)?,
    ];
    let children = vec![
        sequential(b, "features", numbered(features)),
        adaptive_avg_pool2d(b, "avgpool", 1),
        sequential(b, "classifier", numbered(classifier)),
    ];
    Ok(custom(b, "", "ConvNeXt", children, forward, script::in_turn))
}

fn forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let mut y = x.shallow_clone();
    for child in &node.children {
        y = child.forward(&y, cx)?;
    }
    Ok(y)
}

fn block(b: &Build, width: i64, p: f64) -> Result<Node> {
    let layers = vec![
        conv2d(b, "", Conv2d::new(width, width, 7).padding(3).groups(width).init(WEIGHT))?,
        permute(b, "", &[0, 2, 3, 1]),
        layer_norm(b, "", width, EPS)?,
        linear_with(b, "", width, 4 * width, WEIGHT, Init::Zeros)?,
        activation(b, "", Activation::Gelu),
        linear_with(b, "", 4 * width, width, WEIGHT, Init::Zeros)?,
        permute(b, "", &[0, 3, 1, 2]),
    ];
    let scale = b.parameter("layer_scale", &[width, 1, 1], Init::Constant(LAYER_SCALE))?;
    let children = vec![sequential(b, "block", numbered(layers)), stochastic_depth(b, "stochastic_depth", p)];
    Ok(residual(b, "", "CNBlock", true, vec![scale], children))
}
