//! Activations without parameters: `nn.ReLU`, `nn.SiLU`, `nn.GELU`…

use tch::Tensor;

use super::{Build, Cx, Node, Op, Result};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `nn.ReLU`.
    Relu,
    /// `nn.ReLU6`.
    Relu6,
    /// `nn.SiLU`.
    Silu,
    /// `nn.GELU`, exact.
    Gelu,
    /// `nn.Hardswish`.
    Hardswish,
    /// `nn.Hardsigmoid`.
    Hardsigmoid,
    /// `nn.Sigmoid`.
    Sigmoid,
}

/// A module that applies an activation.
pub fn activation(b: &Build, name: impl Into<String>, which: Activation) -> Node {
    b.node(name, which, Vec::new(), Vec::new())
}

/// `nn.ReLU()`.
pub fn relu(b: &Build, name: impl Into<String>) -> Node {
    activation(b, name, Activation::Relu)
}

impl Op for Activation {
    fn kind(&self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Relu6 => "ReLU6",
            Self::Silu => "SiLU",
            Self::Gelu => "GELU",
            Self::Hardswish => "Hardswish",
            Self::Hardsigmoid => "Hardsigmoid",
            Self::Sigmoid => "Sigmoid",
        }
    }
    fn forward(&self, _: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        Ok(match self {
            // In place, as torchvision's models do: what feeds a ReLU is used by nothing else. Not where a no_grad module
            // begins here, since the result would stay part of the graph upstream. The others need their input to learn, so
            // that nothing is saved in place.
            Self::Relu if !x.requires_grad() || cx.recording.get() => x.shallow_clone().f_relu_()?,
            Self::Relu => x.f_relu()?,
            Self::Relu6 => x.f_relu6()?,
            Self::Silu => x.f_silu()?,
            Self::Gelu => x.f_gelu("none")?,
            Self::Hardswish => x.f_hardswish()?,
            Self::Hardsigmoid => x.f_hardsigmoid()?,
            Self::Sigmoid => x.f_sigmoid()?,
        })
    }
    fn script(&self, _: &Node) -> Option<String> {
        let function = match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::Hardswish => "hardswish",
            Self::Hardsigmoid => "hardsigmoid",
            Self::Sigmoid => "sigmoid",
        };
        Some(format!("return torch.{function}(x)"))
    }
}
