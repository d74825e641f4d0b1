//! Fresh tensors, initialised as PyTorch does by default, from a generator of the run's seed.

use tch::{Device, Kind, Tensor};

use super::{Op, Result, Slot};
use crate::engine::ffi::Generator;
use crate::engine::nn::Node;

/// How a fresh parameter is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// U(-bound, bound).
    Uniform(f64),
    /// N(0, std²). Stands for `trunc_normal_` too, whose bounds of ±2 lie beyond 50 standard deviations in the zoo.
    Normal(f64),
    /// This value everywhere.
    Constant(f64),
}

impl Init {
    /// `nn.Linear`'s and `nn.Conv2d`'s default: `kaiming_uniform_(a=sqrt(5))`, which is U(±1/sqrt(fan_in)).
    pub fn default_for(fan_in: i64) -> Self {
        Self::Uniform(if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 })
    }
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`: std = sqrt(2 / fan_out).
    pub fn kaiming_fan_out(fan_out: i64) -> Self {
        Self::Normal((2.0 / fan_out as f64).sqrt())
    }
    /// `xavier_uniform_`: U(±sqrt(6 / (fan_in + fan_out))).
    pub fn xavier_uniform(fan_in: i64, fan_out: i64) -> Self {
        Self::Uniform((6.0 / (fan_in + fan_out) as f64).sqrt())
    }
}

/// Makes nodes and their tensors, on the CPU, so that the bits do not depend on the device.
pub struct Build {
    generator: Generator,
    /// Tensors keep whatever memory holds.
    blank: bool,
}

impl Build {
    /// A builder whose draws depend on the seed and the order of calls alone.
    pub fn new(seed: u64) -> Result<Self> {
        Ok(Self { generator: Generator::new("cpu", seed)?, blank: false })
    }

    /// A builder of tensors without values, which costs next to nothing: for whoever asks for names and shapes only.
    pub fn blank() -> Result<Self> {
        Ok(Self { generator: Generator::new("cpu", 0)?, blank: true })
    }

    /// A float32 parameter.
    pub fn parameter(&self, name: &'static str, shape: &[i64], init: Init) -> Result<Slot> {
        let tensor = self.filled(shape, init)?;
        let tensor = tensor.f_set_requires_grad(true)?;
        Ok(Slot { name: name.into(), tensor, parameter: true })
    }

    /// A float32 buffer.
    pub fn buffer(&self, name: &'static str, shape: &[i64], init: Init) -> Result<Slot> {
        Ok(Slot { name: name.into(), tensor: self.filled(shape, init)?, parameter: false })
    }

    /// An int64 scalar buffer of 0, as `num_batches_tracked`.
    pub fn counter(&self, name: &'static str) -> Result<Slot> {
        Ok(Slot {
            name: name.into(),
            tensor: Tensor::f_zeros([] as [i64; 0], (Kind::Int64, Device::Cpu))?,
            parameter: false,
        })
    }

    /// A node; paths and numbers come with [`Node::finish`].
    pub fn node(&self, name: impl Into<String>, op: impl Op + 'static, slots: Vec<Slot>, children: Vec<Node>) -> Node {
        Node { name: name.into(), path: String::new(), id: 0, op: Box::new(op), children, slots }
    }

    fn filled(&self, shape: &[i64], init: Init) -> Result<Tensor> {
        let options = (Kind::Float, Device::Cpu);
        if self.blank {
            return Ok(Tensor::f_empty(shape, options)?);
        }
        Ok(match init {
            Init::Zeros => Tensor::f_zeros(shape, options)?,
            Init::Ones => Tensor::f_ones(shape, options)?,
            Init::Constant(value) => Tensor::f_full(shape, value, options)?,
            Init::Uniform(bound) => {
                let t = Tensor::f_empty(shape, options)?;
                self.generator.uniform(&t, -bound, bound)?;
                t
            }
            Init::Normal(std) => {
                let t = Tensor::f_empty(shape, options)?;
                self.generator.normal(&t, 0.0, std)?;
                t
            }
        })
    }
}
