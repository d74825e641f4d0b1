//! `nn.Linear`.

use tch::Tensor;

use super::{Build, Cx, Init, Node, Op, Result, script};

struct Linear {
    kind: &'static str,
    inputs: i64,
    outputs: i64,
}

/// `nn.Linear(inputs, outputs)`: `[N, inputs]` to `[N, outputs]`.
pub fn linear(b: &Build, name: impl Into<String>, inputs: i64, outputs: i64) -> Result<Node> {
    let init = Init::default_for(inputs);
    linear_with(b, name, inputs, outputs, init, init)
}

/// The same with other initialisations of weight and bias.
pub fn linear_with(
    b: &Build,
    name: impl Into<String>,
    inputs: i64,
    outputs: i64,
    weight: Init,
    bias: Init,
) -> Result<Node> {
    let slots = vec![b.parameter("weight", &[outputs, inputs], weight)?, b.parameter("bias", &[outputs], bias)?];
    Ok(b.node(name, Linear { kind: "Linear", inputs, outputs }, slots, Vec::new()))
}

/// `nn.MultiheadAttention`'s projection of the result, a class of its own in PyTorch; its bias begins at 0.
pub fn attention_projection(b: &Build, name: impl Into<String>, width: i64) -> Result<Node> {
    let slots = vec![
        b.parameter("weight", &[width, width], Init::default_for(width))?,
        b.parameter("bias", &[width], Init::Zeros)?,
    ];
    let op = Linear { kind: "NonDynamicallyQuantizableLinear", inputs: width, outputs: width };
    Ok(b.node(name, op, slots, Vec::new()))
}

impl Op for Linear {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn detail(&self) -> String {
        format!("{}->{}", self.inputs, self.outputs)
    }
    fn forward(&self, node: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_linear(node.need("weight")?, node.slot("bias"))?)
    }
    fn script(&self, node: &Node) -> Option<String> {
        Some(format!("return torch.linear(x, self.weight, {})", script::own(node, "bias")))
    }
    fn flops(&self, _: &[i64], output: &[i64]) -> u64 {
        let rows: i64 = output.iter().product::<i64>() / self.outputs.max(1);
        (2 * rows * self.inputs * self.outputs).unsigned_abs()
    }
}
