//! The optimizer's tensors of one parameter.

use tch::{Device, Kind, Tensor};

use crate::engine::ffi::precision;
use crate::engine::nn::NnError;

type Result<T> = std::result::Result<T, NnError>;

/// PyTorch's slots; those of the other kinds of optimizer stay empty.
#[derive(Debug, Default)]
pub struct Slots {
    pub step: Option<Tensor>,
    pub exp_avg: Option<Tensor>,
    pub exp_avg_sq: Option<Tensor>,
    pub max_exp_avg_sq: Option<Tensor>,
    pub momentum_buffer: Option<Tensor>,
    /// The momentum buffer has not seen a gradient yet.
    pub fresh: bool,
}

impl Slots {
    /// Updates done so far.
    pub fn step_value(&self) -> Result<u64> {
        Ok(match &self.step {
            Some(t) => t.f_double_value(&[])? as u64,
            None => 0,
        })
    }

    /// Parts from a shared counter.
    pub fn own_step(&mut self) -> Result<()> {
        if let Some(t) = &self.step {
            self.step = Some(tch::no_grad(|| t.f_detach_copy())?);
        }
        Ok(())
    }

    /// The slots in use, by PyTorch's names. A buffer that has not seen a gradient is none, as in PyTorch.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        [
            ("exp_avg", &self.exp_avg),
            ("exp_avg_sq", &self.exp_avg_sq),
            ("max_exp_avg_sq", &self.max_exp_avg_sq),
            ("momentum_buffer", if self.fresh { &None } else { &self.momentum_buffer }),
            ("step", &self.step),
        ]
        .into_iter()
        .filter_map(|(name, t)| t.as_ref().map(|t| (name, t)))
    }

    /// Sets a slot by its name.
    pub fn set(&mut self, slot: &str, tensor: Tensor) -> Result<()> {
        let place = match slot {
            "step" => &mut self.step,
            "exp_avg" => &mut self.exp_avg,
            "exp_avg_sq" => &mut self.exp_avg_sq,
            "max_exp_avg_sq" => &mut self.max_exp_avg_sq,
            "momentum_buffer" => &mut self.momentum_buffer,
            other => return Err(NnError(format!("unknown optimizer slot `{other}`"))),
        };
        *place = Some(tensor);
        Ok(())
    }

    /// Brings all slots to the parameter's device.
    pub fn move_to(&mut self, device: Device) -> Result<()> {
        if let Some(step) = self.step.as_mut().filter(|t| t.device() != device) {
            *step = step.f_to_device(device)?;
        }
        for t in self.like_param().filter(|t| t.device() != device) {
            *t = t.f_to_device(device)?;
        }
        Ok(())
    }

    /// Lays the slots out as the parameter lies in memory: the fused kernels walk through all of them at once.
    pub fn lay_out(&mut self, param: &Tensor) -> Result<()> {
        for t in self.like_param() {
            if t.size() == param.size() && t.stride() != param.stride() {
                *t = precision::laid_out_like(t, param).map_err(|e| NnError(e.0))?;
            }
        }
        Ok(())
    }

    /// The slots of the parameter's shape.
    fn like_param(&mut self) -> impl Iterator<Item = &mut Tensor> {
        [&mut self.exp_avg, &mut self.exp_avg_sq, &mut self.max_exp_avg_sq, &mut self.momentum_buffer]
            .into_iter()
            .flatten()
    }
}

/// Zeros like the parameter.
pub fn empty_like(t: &Tensor) -> Result<Tensor> {
    Ok(tch::no_grad(|| t.f_zeros_like())?)
}

/// A float32 scalar counter, as PyTorch keeps it.
pub fn step_counter(steps: u64, device: Device) -> Result<Tensor> {
    Ok(Tensor::f_full([] as [i64; 0], steps as f64, (Kind::Float, device))?)
}
