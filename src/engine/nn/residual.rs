//! Blocks whose input is added to their result, and the stochastic depth that leaves them out at random.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result, Slot, script};

struct StochasticDepth(f64);

/// `torchvision.ops.StochasticDepth(p, "row")` (Huang et al. 2016): each sample passes, multiplied by 1 / (1 - p), or is 0.
/// What is drawn comes from the learner's generator, as dropout's masks do.
pub fn stochastic_depth(b: &Build, name: impl Into<String>, p: f64) -> Node {
    b.node(name, StochasticDepth(p), Vec::new(), Vec::new())
}

impl Op for StochasticDepth {
    fn kind(&self) -> &'static str {
        "StochasticDepth"
    }
    fn detail(&self) -> String {
        format!("p={:.4}", self.0)
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        if !cx.training(node) || self.0 <= 0.0 {
            return Ok(x.shallow_clone());
        }
        let mut size = vec![1; x.dim()];
        if let (Some(rows), Some(&n)) = (size.first_mut(), x.size().first()) {
            *rows = n;
        }
        let kept = cx.generator.dropout(&Tensor::f_ones(size, (x.kind(), x.device()))?, self.0)?;
        Ok(x.f_mul(&kept)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!(
            "if not self.training:\n    return x\nkept = torch.ones([x.size(0)] + [1] * (x.dim() - 1), dtype=x.dtype, \
             device=x.device)\nreturn x * torch.dropout(kept, {:?}, True)",
            self.0
        ))
    }
}

struct Residual {
    kind: &'static str,
    /// Whether the input is added.
    skip: bool,
}

/// The first child, scaled by an own `layer_scale` where there is one; with `skip` the input is added, after the child
/// `stochastic_depth` where there is one.
pub fn residual(
    b: &Build,
    name: impl Into<String>,
    kind: &'static str,
    skip: bool,
    slots: Vec<Slot>,
    children: Vec<Node>,
) -> Node {
    b.node(name, Residual { kind, skip }, slots, children)
}

impl Op for Residual {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let mut y = match node.children.first() {
            Some(block) => block.forward(x, cx)?,
            None => x.shallow_clone(),
        };
        if let Some(scale) = node.slot("layer_scale") {
            y = scale.f_mul(&y)?;
        }
        if !self.skip {
            return Ok(y);
        }
        if node.has_child("stochastic_depth") {
            y = node.child("stochastic_depth")?.forward(&y, cx)?;
        }
        Ok(y.f_add(x)?)
    }
    fn script(&self, node: &Node) -> Option<String> {
        let mut y = node.children.first().map_or_else(|| "x".to_owned(), |block| script::call(&block.name, "x"));
        if node.slot("layer_scale").is_some() {
            y = format!("self.layer_scale * {y}");
        }
        if self.skip {
            if node.has_child("stochastic_depth") {
                y = script::call("stochastic_depth", &y);
            }
            y += " + x";
        }
        Some(format!("return {y}"))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tch::{Device, Kind};

    use super::*;
    use crate::engine::ffi::Generator;

    #[test]
    fn whole_samples_are_left_out_and_the_others_scaled() {
        let b = Build::new(0).unwrap();
        let net = stochastic_depth(&b, "", 0.25).finish();
        let generator = Generator::new("cpu", 1).unwrap();
        let x = Tensor::ones([4000, 2, 3, 3], (Kind::Float, Device::Cpu));
        let run = |train: bool, off: bool| {
            let (eval, recording) = ([off], Cell::new(true));
            let cx = Cx { train, eval: &eval, no_grad: &[], generator: &generator, recording, trace: None };
            net.forward(&x, &cx).unwrap()
        };
        let rows = run(true, false).flatten(1, -1);
        let first = rows.select(1, 0);
        assert!(rows == first.unsqueeze(1).expand_as(&rows), "a sample as a whole");
        let values: Vec<f32> = Vec::try_from(&first).unwrap();
        assert!(values.iter().all(|v| *v == 0.0 || (v - 1.0 / 0.75).abs() < 1e-6));
        let kept = values.iter().filter(|v| **v != 0.0).count();
        assert!((2900..3100).contains(&kept), "{kept} of 4000 kept");
        assert!(run(true, true) == x, "off where it is frozen");
        assert!(run(false, false) == x, "off in eval mode");
    }
}
