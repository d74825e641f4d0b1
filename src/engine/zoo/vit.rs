//! The vision transformer (Dosovitskiy et al. 2021), as torchvision's `vision_transformer.py` has it.
//!
//! The position embedding has the length that the data's images need, so that weights for another image size do not fit.

use tch::Tensor;

use super::{Arch, BuildFn, Sides};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    Activation, Build, Conv2d, Cx, Init, Node, Result, activation, conv2d, custom, dropout, layer_norm, linear_with,
    self_attention, sequential, subclass,
};

pub const ARCHS: &[Arch] = &[
    arch("vit_b_16", 16, |b, s, i| vit(b, s, i, BASE, 16)),
    arch("vit_b_32", 32, |b, s, i| vit(b, s, i, BASE, 32)),
    arch("vit_l_16", 16, |b, s, i| vit(b, s, i, LARGE, 16)),
    arch("vit_l_32", 32, |b, s, i| vit(b, s, i, LARGE, 32)),
    arch("vit_h_14", 14, |b, s, i| vit(b, s, i, HUGE, 14)),
];

const fn arch(name: &'static str, patch: usize, build: BuildFn) -> Arch {
    Arch::torchvision(name, build).sides(Sides::SquareOf(patch)).with_dropout()
}

/// Table 1 of the paper.
#[derive(Clone, Copy)]
struct Size {
    layers: usize,
    heads: i64,
    width: i64,
}

const BASE: Size = Size { layers: 12, heads: 12, width: 768 };
const LARGE: Size = Size { layers: 24, heads: 16, width: 1024 };
const HUGE: Size = Size { layers: 32, heads: 16, width: 1280 };

const EPS: f64 = 1e-6;

fn vit(b: &Build, spec: &ModelSpec, input: &InputSpec, size: Size, patch: i64) -> Result<Node> {
    let width = size.width;
    let p = spec.dropout.unwrap_or(0.0);
    let side = input.sample_shape.last().copied().unwrap_or(0) as i64 / patch;
    let patches = Conv2d::new(3, width, patch).stride(patch);
    let patches = patches.init(Init::Normal((1.0 / patches.fan_in() as f64).sqrt()));
    let token = b.parameter("class_token", &[1, 1, width], Init::Zeros)?;
    let conv_proj = conv2d(b, "conv_proj", patches)?;

    let positions = b.parameter("pos_embedding", &[1, side * side + 1, width], Init::Normal(0.02))?;
    let blocks = (0..size.layers).map(|i| encoder_block(b, &format!("encoder_layer_{i}"), size, p));
    let encoder = vec![
        dropout(b, "dropout", p),
        sequential(b, "layers", blocks.collect::<Result<Vec<_>>>()?),
        layer_norm(b, "ln", width, EPS)?,
    ];
    let mut encoder = custom(b, "encoder", "Encoder", encoder, encoder_forward, |_| {
        "return self.ln.forward(self.layers.forward(self.dropout.forward(x + self.pos_embedding)))".to_owned()
    });
    encoder.slots.push(positions);

    let head = linear_with(b, "head", width, input.outputs as i64, Init::Zeros, Init::Zeros)?;
    let children = vec![conv_proj, encoder, sequential(b, "heads", vec![head])];
    let mut root = custom(b, "", "VisionTransformer", children, forward, |_| {
        "y = torch.permute(torch.flatten(self.conv_proj.forward(x), 2), [0, 2, 1])\n\
         y = torch.cat([torch.expand(self.class_token, [y.size(0), -1, -1]), y], 1)\n\
         return self.heads.forward(torch.select(self.encoder.forward(y), 1, 0))"
            .to_owned()
    });
    root.slots.push(token);
    Ok(root)
}

fn forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    // [N, width, side, side] to [N, side * side, width].
    let patches = node.child("conv_proj")?.forward(x, cx)?.f_flatten(2, -1)?.f_permute([0, 2, 1])?;
    let samples = patches.size().first().copied().unwrap_or(0);
    let token = node.need("class_token")?.f_expand([samples, -1, -1], false)?;
    let y = node.child("encoder")?.forward(&Tensor::f_cat(&[token, patches], 1)?, cx)?;
    node.child("heads")?.forward(&y.f_select(1, 0)?, cx)
}

fn encoder_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let y = node.child("dropout")?.forward(&x.f_add(node.need("pos_embedding")?)?, cx)?;
    node.child("ln")?.forward(&node.child("layers")?.forward(&y, cx)?, cx)
}

fn encoder_block(b: &Build, name: &str, size: Size, p: f64) -> Result<Node> {
    let width = size.width;
    let linear = |name, inputs, outputs| {
        linear_with(b, name, inputs, outputs, Init::xavier_uniform(inputs, outputs), Init::Normal(1e-6))
    };
    let mlp = vec![
        linear("0", width, 4 * width)?,
        activation(b, "1", Activation::Gelu),
        dropout(b, "2", p),
        linear("3", 4 * width, width)?,
        dropout(b, "4", p),
    ];
    let children = vec![
        layer_norm(b, "ln_1", width, EPS)?,
        self_attention(b, "self_attention", width, size.heads)?,
        dropout(b, "dropout", p),
        layer_norm(b, "ln_2", width, EPS)?,
        subclass(b, "mlp", "MLPBlock", mlp),
    ];
    Ok(custom(b, name, "EncoderBlock", children, block_forward, |_| {
        "y = self.dropout.forward(self.self_attention.forward(self.ln_1.forward(x))) + x\n\
         return y + self.mlp.forward(self.ln_2.forward(y))"
            .to_owned()
    }))
}

fn block_forward(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let mut y = x.shallow_clone();
    for child in ["ln_1", "self_attention", "dropout"] {
        y = node.child(child)?.forward(&y, cx)?;
    }
    let y = y.f_add(x)?;
    let z = node.child("mlp")?.forward(&node.child("ln_2")?.forward(&y, cx)?, cx)?;
    Ok(y.f_add(&z)?)
}
