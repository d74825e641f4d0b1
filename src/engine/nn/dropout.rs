//! `nn.Dropout`.

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

struct Dropout(f64);

/// `nn.Dropout(p)`; the mask comes from the learner's generator, which is reseeded at each step.
pub fn dropout(b: &Build, name: impl Into<String>, p: f64) -> Node {
    b.node(name, Dropout(p), Vec::new(), Vec::new())
}

impl Op for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }
    fn detail(&self) -> String {
        format!("p={}", self.0)
    }
    fn forward(&self, _: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        if !cx.train || self.0 <= 0.0 {
            return Ok(x.shallow_clone());
        }
        Ok(cx.generator.dropout(x, self.0)?)
    }
}
