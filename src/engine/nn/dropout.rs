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
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        if !cx.training(node) || self.0 <= 0.0 {
            return Ok(x.shallow_clone());
        }
        Ok(cx.generator.dropout(x, self.0)?)
    }
    fn script(&self, _: &Node) -> Option<String> {
        Some(format!("return torch.dropout(x, {:?}, self.training)", self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tch::{Device, Kind};

    use super::*;
    use crate::engine::ffi::Generator;
    use crate::engine::nn::sequential;

    #[test]
    fn a_dropout_that_is_off_lets_everything_pass_in_train_mode() {
        let b = Build::new(0).unwrap();
        let net = sequential(&b, "", vec![dropout(&b, "a", 0.5), dropout(&b, "b", 0.5)]).finish();
        let generator = Generator::new("cpu", 1).unwrap();
        let x = Tensor::ones([200], (Kind::Float, Device::Cpu));
        let passes = |module: usize, off: [bool; 3]| {
            let cx = Cx {
                train: true,
                eval: &off,
                no_grad: &[],
                generator: &generator,
                recording: Cell::new(true),
                trace: None,
            };
            net.children[module].forward(&x, &cx).unwrap() == x
        };
        assert!(passes(0, [false, true, false]));
        assert!(!passes(1, [false, true, false]), "its neighbour drops as ever");
    }
}
