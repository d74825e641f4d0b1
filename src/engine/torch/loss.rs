//! Losses and metrics of a batch, as PyTorch's `torch.nn` defines them; always the mean over the batch.

use tch::{Device, Kind, Reduction, Tensor};

use super::tensors::from_f32;
use crate::core::recipe::{LossKind, LossSpec};
use crate::engine::api::{Batch, EngineError, EvalSums, Targets};
use crate::engine::ffi::transfer::{self, Layout};

/// A loss on a device.
pub struct Loss {
    spec: LossSpec,
    class_weights: Option<Tensor>,
    device: Device,
}

type Result<T> = std::result::Result<T, EngineError>;

impl Loss {
    /// Checks the loss against the number of outputs.
    pub fn new(spec: &LossSpec, outputs: usize, device: Device) -> Result<Self> {
        let class_weights = match spec.class_weights.len() {
            0 => None,
            n if n == outputs => {
                let values: Vec<f32> = spec.class_weights.iter().map(|&w| w as f32).collect();
                Some(from_f32(&values, &[n], device, Layout::Plain)?)
            }
            n => {
                return Err(EngineError::Refused(format!("loss.class_weights has {n} values for {outputs} classes")));
            }
        };
        Ok(Self { spec: spec.clone(), class_weights, device })
    }

    /// Targets on the device, as they are.
    pub fn upload(&self, y: &Targets) -> Result<Tensor> {
        match y {
            Targets::Classes(labels) => {
                Ok(transfer::upload(labels, &[labels.len() as i64], self.device, Layout::Plain)?)
            }
            Targets::Values { data, shape } => from_f32(data, shape, self.device, Layout::Plain),
        }
    }

    /// Uploaded targets as the loss wants them, once the output is known. Nothing here waits for a GPU.
    pub fn targets(&self, uploaded: Tensor, y: &Targets, output: &[i64]) -> Result<Tensor> {
        if let Some(words) = self.spec.kind.unfit(matches!(y, Targets::Values { .. })) {
            return Err(EngineError::Refused(words));
        }
        match y {
            // bce on class numbers: one value a sample where the model has one output, else one-hot.
            Targets::Classes(labels) if self.spec.kind == LossKind::Bce => {
                let width = output.get(1).copied().unwrap_or(1);
                if let Some(bad) = labels.iter().find(|l| !(0..width.max(2)).contains(*l)) {
                    return Err(EngineError::Refused(format!("bce: class {bad} does not fit {width} outputs")));
                }
                let column = uploaded.f_view([-1, 1])?;
                let t = match width {
                    1 => column,
                    _ => column.f_eq_tensor(&Tensor::f_arange(width, (Kind::Int64, self.device))?)?,
                };
                Ok(t.f_to_kind(Kind::Float)?)
            }
            Targets::Classes(_) => Ok(uploaded),
            Targets::Values { data, shape } => {
                if uploaded.size() == output {
                    return Ok(uploaded);
                }
                let wanted: i64 = output.iter().product();
                if wanted as usize != data.len() {
                    return Err(EngineError::Refused(format!(
                        "the model gives {output:?} but the targets are {shape:?}; set model.num_classes"
                    )));
                }
                Ok(uploaded.f_view(output)?)
            }
        }
    }

    /// Whether some samples weigh more than others.
    pub fn has_class_weights(&self) -> bool {
        self.class_weights.is_some()
    }

    /// What a batch weighs among others: its mean loss times this is the sum that the mean is taken of.
    pub fn mass(&self, batch: &Batch) -> f64 {
        match &batch.y {
            // A sample that stands in for none.
            _ if batch.is_empty() => 0.0,
            Targets::Classes(labels) if self.class_weights.is_some() => {
                let weight = |l: &i64| usize::try_from(*l).ok().and_then(|l| self.spec.class_weights.get(l));
                labels.iter().filter_map(weight).map(|&w| f64::from(w as f32)).sum()
            }
            _ => batch.len() as f64,
        }
    }

    /// The mean loss, a scalar in float32.
    pub fn mean(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.reduced(output, target, Reduction::Mean)
    }

    /// The sum of what the mean is taken of, which `mass` divides.
    pub fn sum(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.reduced(output, target, Reduction::Sum)
    }

    fn reduced(&self, output: &Tensor, target: &Tensor, how: Reduction) -> Result<Tensor> {
        let output =
            if output.kind() == Kind::Float { output.shallow_clone() } else { output.f_to_kind(Kind::Float)? };
        Ok(match self.spec.kind {
            LossKind::CrossEntropy => output.f_cross_entropy_loss(
                target,
                self.class_weights.as_ref(),
                how,
                -100,
                self.spec.label_smoothing,
            )?,
            LossKind::Mse => output.f_mse_loss(target, how)?,
            LossKind::L1 => output.f_l1_loss(target, how)?,
            LossKind::SmoothL1 => output.f_smooth_l1_loss(target, how, 1.0)?,
            LossKind::Bce => output.f_binary_cross_entropy_with_logits::<Tensor>(target, None, None, how)?,
        })
    }

    /// Loss and hits of a batch in eval mode.
    pub fn sums(&self, output: &Tensor, target: &Tensor, y: &Targets) -> Result<EvalSums> {
        let n = output.size().first().copied().unwrap_or(0);
        let loss = self.mean(output, target)?.f_double_value(&[])?;
        let mut sums = EvalSums { samples: n as u64, loss: loss * n as f64, ..EvalSums::default() };
        let (Targets::Classes(labels), Some(&classes)) = (y, output.size().get(1)) else { return Ok(sums) };
        let guesses: Vec<i64> = if classes == 1 {
            Vec::try_from(output.f_view([-1])?.f_gt(0.0)?.f_to_kind(Kind::Int64)?.f_to_device(Device::Cpu)?)
        } else {
            Vec::try_from(output.f_argmax(1, false)?.f_to_device(Device::Cpu)?)
        }?;
        let width = classes.max(2) as usize;
        sums.per_class = vec![(0, 0); width];
        let mut hits = 0;
        for (&guess, &label) in guesses.iter().zip(labels) {
            let right = guess == label;
            hits += u64::from(right);
            if let Some(entry) = usize::try_from(label).ok().and_then(|l| sums.per_class.get_mut(l)) {
                entry.0 += 1;
                entry.1 += u64::from(right);
            }
        }
        sums.top1 = Some(hits);
        if classes > 5 {
            let five = output.f_topk(5, 1, true, true)?.1.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
            let five: Vec<i64> = Vec::try_from(five)?;
            let hits = five.chunks(5).zip(labels).filter(|(guesses, label)| guesses.contains(label)).count();
            sums.top5 = Some(hits as u64);
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(kind: LossKind, y: &Targets, output: &[i64]) -> Result<(Vec<i64>, Vec<f32>)> {
        let loss = Loss::new(&LossSpec { kind, ..LossSpec::default() }, 3, Device::Cpu)?;
        let t = loss.targets(loss.upload(y)?, y, output)?;
        Ok((t.size(), Vec::try_from(t.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)?))
    }

    #[test]
    fn targets_are_shaped_by_the_output() {
        let classes = Targets::Classes(vec![2, 0]);
        assert_eq!(targets(LossKind::CrossEntropy, &classes, &[2, 3]).unwrap(), (vec![2], vec![2.0, 0.0]));
        let one_hot = (vec![2, 3], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(targets(LossKind::Bce, &classes, &[2, 3]).unwrap(), one_hot);
        let two = Targets::Classes(vec![1, 0]);
        assert_eq!(targets(LossKind::Bce, &two, &[2, 1]).unwrap(), (vec![2, 1], vec![1.0, 0.0]));
        let values = Targets::Values { data: vec![0.5, -0.5], shape: vec![2] };
        assert_eq!(targets(LossKind::Mse, &values, &[2, 1]).unwrap(), (vec![2, 1], vec![0.5, -0.5]));
    }

    #[test]
    fn targets_that_do_not_fit_are_refused_in_words() {
        let words = |kind, y: &Targets, output: &[i64]| targets(kind, y, output).unwrap_err().to_string();
        let classes = Targets::Classes(vec![2, 0]);
        assert_eq!(words(LossKind::Bce, &classes, &[2, 1]), "bce: class 2 does not fit 1 outputs");
        assert!(words(LossKind::Mse, &classes, &[2, 3]).contains("needs values to learn"));
        let values = Targets::Values { data: vec![0.5, -0.5], shape: vec![2] };
        assert!(words(LossKind::CrossEntropy, &values, &[2, 3]).contains("needs classes"));
        assert!(words(LossKind::L1, &values, &[2, 3]).contains("the model gives [2, 3] but the targets are [2]"));
        let short = Targets::Values { data: vec![0.5], shape: vec![2] };
        assert!(words(LossKind::L1, &short, &[2, 1]).contains("1 values do not fit the shape [2]"));
    }
}
