//! `nn.MaxPool2d` and `nn.AdaptiveAvgPool2d`.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

struct MaxPool2d {
    kernel: i64,
    stride: i64,
    padding: i64,
}

/// `nn.MaxPool2d(kernel, stride, padding)`.
pub fn max_pool2d(b: &Build, name: impl Into<String>, kernel: i64, stride: i64, padding: i64) -> Node {
    b.node(name, MaxPool2d { kernel, stride, padding }, Vec::new(), Vec::new())
}

impl Op for MaxPool2d {
    fn kind(&self) -> &'static str {
        "MaxPool2d"
    }
    fn detail(&self) -> String {
        format!("{k}x{k} s{}", self.stride, k = self.kernel)
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_max_pool2d([self.kernel; 2], [self.stride; 2], [self.padding; 2], [1, 1], false)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        let Self { kernel: k, stride: s, padding: p } = self;
        Some(format!("return torch.max_pool2d(x, [{k}, {k}], [{s}, {s}], [{p}, {p}], [1, 1], False)"))
    }
}

struct AdaptiveAvgPool2d(i64);

/// `nn.AdaptiveAvgPool2d(size)`: `[N, C, H, W]` to `[N, C, size, size]`.
pub fn adaptive_avg_pool2d(b: &Build, name: impl Into<String>, size: i64) -> Node {
    b.node(name, AdaptiveAvgPool2d(size), Vec::new(), Vec::new())
}

impl Op for AdaptiveAvgPool2d {
    fn kind(&self) -> &'static str {
        "AdaptiveAvgPool2d"
    }
    fn detail(&self) -> String {
        self.0.to_string()
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_adaptive_avg_pool2d([self.0; 2])?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!("return torch.adaptive_avg_pool2d(x, [{n}, {n}])", n = self.0))
    }
}
