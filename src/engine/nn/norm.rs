//! `nn.BatchNorm2d`, `nn.LayerNorm` and ConvNeXt's `LayerNorm2d`.

use tch::Tensor;

use super::{Build, Cx, Init, Node, Op, Result};

/// Hyper-parameters of `nn.BatchNorm2d`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm2d {
    /// Channels.
    pub features: i64,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the batch in the running statistics.
    pub momentum: f64,
}

impl BatchNorm2d {
    /// PyTorch's defaults: eps 1e-5, momentum 0.1.
    pub fn new(features: i64) -> Self {
        Self { features, eps: 1e-5, momentum: 0.1 }
    }
}

/// `nn.BatchNorm2d` with affine parameters and running statistics: `[N, C, H, W]`.
pub fn batch_norm2d(b: &Build, name: impl Into<String>, n: BatchNorm2d) -> Result<Node> {
    let shape = [n.features];
    let slots = vec![
        b.parameter("weight", &shape, Init::Ones)?,
        b.parameter("bias", &shape, Init::Zeros)?,
        b.buffer("running_mean", &shape, Init::Zeros)?,
        b.buffer("running_var", &shape, Init::Ones)?,
        b.counter("num_batches_tracked")?,
    ];
    Ok(b.node(name, n, slots, Vec::new()))
}

impl Op for BatchNorm2d {
    fn kind(&self) -> &'static str {
        "BatchNorm2d"
    }
    fn detail(&self) -> String {
        self.features.to_string()
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let training = cx.training(node);
        if training && let Some(count) = node.slot("num_batches_tracked") {
            let _ = tch::no_grad(|| count.shallow_clone().f_add_scalar_(1))?;
        }
        Ok(x.f_batch_norm(
            node.slot("weight"),
            node.slot("bias"),
            node.slot("running_mean"),
            node.slot("running_var"),
            training,
            self.momentum,
            self.eps,
            true,
        )?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!(
            "if self.training:\n    self.num_batches_tracked.add_(1)\nreturn torch.batch_norm(x, self.weight, self.bias, \
             self.running_mean, self.running_var, self.training, {:?}, {:?}, True)",
            self.momentum, self.eps
        ))
    }
    fn flops(&self, _: &[i64], output: &[i64]) -> u64 {
        (2 * output.iter().product::<i64>()).unsigned_abs()
    }
}

struct LayerNorm {
    features: i64,
    eps: f64,
    /// Over the channels of `[N, C, H, W]`.
    channels: bool,
}

/// `nn.LayerNorm(features, eps)`: over the last axis.
pub fn layer_norm(b: &Build, name: impl Into<String>, features: i64, eps: f64) -> Result<Node> {
    layer_norm_of(b, name, LayerNorm { features, eps, channels: false })
}

/// Torchvision's `LayerNorm2d`: `nn.LayerNorm` over the channels of `[N, C, H, W]`.
pub fn layer_norm2d(b: &Build, name: impl Into<String>, features: i64, eps: f64) -> Result<Node> {
    layer_norm_of(b, name, LayerNorm { features, eps, channels: true })
}

fn layer_norm_of(b: &Build, name: impl Into<String>, n: LayerNorm) -> Result<Node> {
    let shape = [n.features];
    let slots = vec![b.parameter("weight", &shape, Init::Ones)?, b.parameter("bias", &shape, Init::Zeros)?];
    Ok(b.node(name, n, slots, Vec::new()))
}

impl Op for LayerNorm {
    fn kind(&self) -> &'static str {
        if self.channels { "LayerNorm2d" } else { "LayerNorm" }
    }
    fn detail(&self) -> String {
        self.features.to_string()
    }
    fn forward(&self, node: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        let norm = |x: &Tensor| x.f_layer_norm([self.features], node.slot("weight"), node.slot("bias"), self.eps, true);
        if self.channels {
            return Ok(norm(&x.f_permute([0, 2, 3, 1])?)?.f_permute([0, 3, 1, 2])?);
        }
        Ok(norm(x)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        let Self { features, eps, .. } = self;
        let norm = |x: &str| format!("torch.layer_norm({x}, [{features}], self.weight, self.bias, {eps:?})");
        Some(if self.channels {
            format!("return torch.permute({}, [0, 3, 1, 2])", norm("torch.permute(x, [0, 2, 3, 1])"))
        } else {
            format!("return {}", norm("x"))
        })
    }
    fn flops(&self, _: &[i64], output: &[i64]) -> u64 {
        (2 * output.iter().product::<i64>()).unsigned_abs()
    }
}
