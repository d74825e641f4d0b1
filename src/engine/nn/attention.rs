//! `nn.MultiheadAttention`, as self-attention.

use tch::Tensor;

use super::{Build, Cx, Init, Node, Op, Result, attention_projection};

struct MultiheadAttention {
    width: i64,
    heads: i64,
}

/// `nn.MultiheadAttention(width, heads, batch_first=True)` of a sequence with itself, without dropout: `[N, S, width]` to
/// the same.
pub fn self_attention(b: &Build, name: impl Into<String>, width: i64, heads: i64) -> Result<Node> {
    let slots = vec![
        b.parameter("in_proj_weight", &[3 * width, width], Init::xavier_uniform(width, 3 * width))?,
        b.parameter("in_proj_bias", &[3 * width], Init::Zeros)?,
    ];
    let children = vec![attention_projection(b, "out_proj", width)?];
    Ok(b.node(name, MultiheadAttention { width, heads }, slots, children))
}

impl Op for MultiheadAttention {
    fn kind(&self) -> &'static str {
        "MultiheadAttention"
    }
    fn detail(&self) -> String {
        format!("{} h{}", self.width, self.heads)
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let projected = x.f_linear(node.need("in_proj_weight")?, node.slot("in_proj_bias"))?;
        // [N, S, 3 * width] to [3, N, heads, S, width / heads].
        let parts = projected.f_unflatten(-1, [3, self.heads, self.width / self.heads])?.f_permute([2, 0, 3, 1, 4])?;
        let part = |i: i64| parts.f_select(0, i)?.f_contiguous();
        let y = Tensor::f_scaled_dot_product_attention(
            &part(0)?,
            &part(1)?,
            &part(2)?,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        node.child("out_proj")?.forward(&y.f_transpose(1, 2)?.f_flatten(2, -1)?, cx)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!(
            "y = torch.linear(x, self.in_proj_weight, self.in_proj_bias)\ny = torch.permute(torch.unflatten(y, -1, [3, {}, \
             {}]), [2, 0, 3, 1, 4])\nq = torch.contiguous(torch.select(y, 0, 0))\nk = torch.contiguous(torch.select(y, 0, \
             1))\nv = torch.contiguous(torch.select(y, 0, 2))\ny = torch.scaled_dot_product_attention(q, k, v)\nreturn \
             self.out_proj.forward(torch.flatten(torch.transpose(y, 1, 2), 2))",
            self.heads,
            self.width / self.heads
        ))
    }
    fn flops(&self, input: &[i64], output: &[i64]) -> u64 {
        let length = input.get(1).copied().unwrap_or(1);
        // Three projections; scores and their weighted sum.
        let per_value = 6 * self.width + 4 * length;
        (output.iter().product::<i64>() * per_value).unsigned_abs()
    }
}
