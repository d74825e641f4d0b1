//! `nn.Linear`.

use tch::Tensor;

use super::{Build, Cx, Init, Node, Op, Result, script};

struct Linear {
    inputs: i64,
    outputs: i64,
}

/// `nn.Linear(inputs, outputs)`: `[N, inputs]` to `[N, outputs]`.
pub fn linear(b: &Build, name: impl Into<String>, inputs: i64, outputs: i64) -> Result<Node> {
    let init = Init::default_for(inputs);
    let slots = vec![b.parameter("weight", &[outputs, inputs], init)?, b.parameter("bias", &[outputs], init)?];
    Ok(b.node(name, Linear { inputs, outputs }, slots, Vec::new()))
}

impl Op for Linear {
    fn kind(&self) -> &'static str {
        "Linear"
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
