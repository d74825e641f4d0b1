//! `nn.MaxPool2d`, `nn.AvgPool2d` and `nn.AdaptiveAvgPool2d`.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result, script};

struct MaxPool2d {
    kernel: i64,
    stride: i64,
    padding: i64,
    ceil: bool,
}

/// `nn.MaxPool2d(kernel, stride, padding)`.
pub fn max_pool2d(b: &Build, name: impl Into<String>, kernel: i64, stride: i64, padding: i64) -> Node {
    b.node(name, MaxPool2d { kernel, stride, padding, ceil: false }, Vec::new(), Vec::new())
}

/// `nn.MaxPool2d(kernel, stride, ceil_mode=True)`: a window that hangs over the edge counts.
pub fn max_pool2d_ceil(b: &Build, name: impl Into<String>, kernel: i64, stride: i64) -> Node {
    b.node(name, MaxPool2d { kernel, stride, padding: 0, ceil: true }, Vec::new(), Vec::new())
}

impl Op for MaxPool2d {
    fn kind(&self) -> &'static str {
        "MaxPool2d"
    }
    fn detail(&self) -> String {
        format!("{k}x{k} s{}", self.stride, k = self.kernel)
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_max_pool2d([self.kernel; 2], [self.stride; 2], [self.padding; 2], [1, 1], self.ceil)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        let Self { kernel: k, stride: s, padding: p, ceil } = self;
        let ceil = script::boolean(*ceil);
        Some(format!("return torch.max_pool2d(x, [{k}, {k}], [{s}, {s}], [{p}, {p}], [1, 1], {ceil})"))
    }
}

struct AvgPool2d(i64);

/// `nn.AvgPool2d(kernel, stride=kernel)`.
pub fn avg_pool2d(b: &Build, name: impl Into<String>, kernel: i64) -> Node {
    b.node(name, AvgPool2d(kernel), Vec::new(), Vec::new())
}

impl Op for AvgPool2d {
    fn kind(&self) -> &'static str {
        "AvgPool2d"
    }
    fn detail(&self) -> String {
        format!("{k}x{k} s{k}", k = self.0)
    }
    fn forward(&self, _: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_avg_pool2d([self.0; 2], [self.0; 2], [0, 0], false, true, None)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!("return torch.avg_pool2d(x, [{k}, {k}], [{k}, {k}], [0, 0], False, True, None)", k = self.0))
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
        // Windows of one value each (VGG and AlexNet at 224x224): a sum from 0, with the pool's bits, since it makes 0 of -0 too. On a
        // GPU the pool's backward has no deterministic way. To 1x1 it is a mean, which has one.
        if self.0 > 1 && x.size().ends_with(&[self.0; 2]) {
            return Ok(x.f_add_scalar(0.0)?);
        }
        Ok(x.f_adaptive_avg_pool2d([self.0; 2])?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!("return torch.adaptive_avg_pool2d(x, [{n}, {n}])", n = self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ffi::Generator;

    fn bits(t: &Tensor) -> Vec<u32> {
        Vec::<f32>::try_from(t.contiguous().view([-1])).unwrap().into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn an_adaptive_pool_to_the_size_that_there_is_gives_the_pools_bits_without_it() {
        let b = Build::new(0).unwrap();
        let node = adaptive_avg_pool2d(&b, "pool", 7).finish();
        let generator = Generator::new("cpu", 0).unwrap();
        let cx = Cx {
            train: true,
            eval: &[],
            no_grad: &[],
            generator: &generator,
            recording: std::cell::Cell::new(true),
            trace: None,
        };
        for nhwc in [false, true] {
            let values = Tensor::randn([2, 3, 7, 7], tch::kind::FLOAT_CPU);
            let weights = values.copy() * 0.37;
            let _ = values.get(0).get(0).get(0).fill_(-0.0);
            let values = if nhwc { values.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { values };
            let ways: Vec<_> = [true, false]
                .into_iter()
                .map(|ours| {
                    let x = values.copy().set_requires_grad(true);
                    let y = if ours { node.forward(&x, &cx).unwrap() } else { x.adaptive_avg_pool2d([7, 7]) };
                    (&y * &weights).sum(tch::Kind::Float).backward();
                    (bits(&y), bits(&x.grad()), y.stride())
                })
                .collect();
            assert!(ways[0] == ways[1], "nhwc {nhwc}: {ways:?}");
        }
    }
}
