//! Loss scaling for float16, with the numbers of `torch.amp.GradScaler`: the loss is multiplied by a scale so that small
//! gradients are not rounded to 0; where one overflows, the update is left out and the scale halved.
//!
//! All scalars stay on the device, so that a step waits for nothing. With several replicas the gradients are averaged
//! before [`Scaler::unscale`], and with them whatever is not finite: all come to the same verdict.

use tch::{Device, Kind, Tensor};

use super::learner::Result;
use crate::engine::ffi::TensorList;
use crate::engine::ffi::precision::{self, Judged};

/// `GradScaler`'s first scale.
const INIT: f64 = 65536.0;
/// Its key in a checkpoint's `extra`.
pub const KEY: &str = "loss_scale";

/// See the module.
pub struct Scaler {
    /// float32.
    scale: Tensor,
    /// Steps in a row without an overflow, int32.
    growth: Tensor,
    /// 1 where a gradient of this step was not finite.
    overflow: Tensor,
    /// 1 where the update is not to be applied.
    skip: Tensor,
}

/// The scale of the next step.
pub struct Next {
    scale: Tensor,
    growth: Tensor,
}

/// What a checkpoint keeps.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
struct Kept {
    scale: f64,
    growth: i64,
}

impl Scaler {
    /// At the first step.
    pub fn new(device: Device) -> Result<Self> {
        let scalar = |kind| Tensor::f_zeros([] as [i64; 0], (kind, device));
        let mut new = Self {
            scale: scalar(Kind::Float)?,
            growth: scalar(Kind::Int)?,
            overflow: scalar(Kind::Float)?,
            skip: scalar(Kind::Float)?,
        };
        let _ = new.scale.f_fill_(INIT)?;
        Ok(new)
    }

    /// The loss that backward starts from.
    pub fn scaled(&self, loss: &Tensor) -> Result<Tensor> {
        Ok(loss.f_mul(&self.scale)?)
    }

    /// Brings the gradients back to their size, before they are clipped, and looks whether one overflowed.
    pub fn unscale(&self, params: &TensorList) -> Result<()> {
        Ok(precision::unscale(params, &self.scale, &self.overflow)?)
    }

    /// After the finite check of the unscaled gradients (`found`, without what was found `before`): leaves in it what is
    /// the business of `on_nan`, and gives the flag that holds the update back.
    pub fn judge(&self, loss: &Tensor, before: Option<&Tensor>, careful: bool, found: &Tensor) -> Result<&Tensor> {
        let of = Judged { loss, scale: &self.scale, overflow: &self.overflow, before };
        precision::judge(&of, careful, found, &self.skip)?;
        Ok(&self.skip)
    }

    /// What comes after this step. The scale stays as it is where `hold` is 1.
    pub fn next(&self, hold: Option<&Tensor>) -> Result<Next> {
        let (scale, growth) = precision::next_scale(&self.scale, &self.growth, &self.overflow, hold)?;
        Ok(Next { scale, growth })
    }

    /// After the update.
    pub fn go_on(&mut self, next: Next) {
        (self.scale, self.growth) = (next.scale, next.growth);
    }

    /// `[skip, scale]` of the step in progress.
    pub fn numbers(&self) -> [Tensor; 2] {
        [self.skip.shallow_clone(), self.scale.shallow_clone()]
    }

    /// For a checkpoint.
    pub fn kept(&self) -> Result<serde_json::Value> {
        let kept = Kept { scale: self.scale.f_double_value(&[])?, growth: self.growth.f_int64_value(&[])? };
        Ok(serde_json::to_value(kept).unwrap_or_default())
    }

    /// From a checkpoint. What another precision left out, or nonsense, leaves the scale as it is.
    pub fn restore(&mut self, kept: Option<&serde_json::Value>) -> Result<()> {
        let kept = kept.and_then(|v| serde_json::from_value::<Kept>(v.clone()).ok());
        if let Some(kept) = kept.filter(|k| k.scale.is_finite() && k.scale > 0.0 && k.growth >= 0) {
            let _ = self.scale.f_fill_(kept.scale)?;
            let _ = self.growth.f_fill_(kept.growth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::{OnNan, Precision, Recipe};
    use crate::engine::api::{Batch, InputSpec, Learner, StepInput, Targets};
    use crate::engine::torch::TorchLearner;

    fn judged(scale: f64, loss: f64, overflow: f64, before: bool, careful: bool) -> (bool, bool) {
        let scalar = |v: f64| Tensor::from(v).to_kind(Kind::Float);
        let mut scaler = Scaler::new(Device::Cpu).unwrap();
        scaler.restore(Some(&serde_json::json!({"scale": scale, "growth": 0}))).unwrap();
        let _ = scaler.overflow.fill_(overflow);
        let (found, before) = (scalar(overflow), before.then(|| scalar(1.0)));
        let skip = scaler.judge(&scalar(loss), before.as_ref(), careful, &found).unwrap();
        (found.double_value(&[]) != 0.0, skip.double_value(&[]) != 0.0)
    }

    #[test]
    fn what_the_scale_explains_is_skipped_and_the_rest_is_found() {
        assert_eq!(judged(1024.0, 0.5, 0.0, false, true), (false, false));
        assert_eq!(judged(1024.0, 0.5, 1.0, false, true), (false, true), "an overflow");
        assert_eq!(judged(1.0, 0.5, 1.0, false, true), (false, true));
        assert_eq!(judged(0.5, 0.5, 1.0, false, true), (true, true), "no scale would help");
        assert_eq!(judged(1024.0, f64::NAN, 1.0, false, true), (true, true));
        assert_eq!(judged(1024.0, 0.5, 0.0, true, true), (true, true), "found before, and kept");
        assert_eq!(judged(1024.0, f64::NAN, 1.0, false, false), (true, true), "as GradScaler alone");
        assert_eq!(judged(1024.0, f64::NAN, 0.0, false, false), (false, false));
    }

    #[test]
    fn the_scale_grows_after_two_thousand_steps_and_is_held_after_a_bad_one() {
        let mut scaler = Scaler::new(Device::Cpu).unwrap();
        scaler.restore(Some(&serde_json::json!({"scale": 8.0, "growth": 1998}))).unwrap();
        let kept = |s: &Scaler| s.kept().unwrap();
        let update = |s: &mut Scaler, hold: Option<&Tensor>| {
            let (before, next) = (kept(s), s.next(hold).unwrap());
            assert_eq!(kept(s), before, "it is only found out");
            s.go_on(next);
        };
        update(&mut scaler, None);
        assert_eq!(kept(&scaler), serde_json::json!({"scale": 8.0, "growth": 1999}));
        let held = Tensor::from(1.0f32);
        update(&mut scaler, Some(&held));
        assert_eq!(kept(&scaler), serde_json::json!({"scale": 8.0, "growth": 1999}));
        update(&mut scaler, Some(&Tensor::from(0.0f32)));
        assert_eq!(kept(&scaler), serde_json::json!({"scale": 16.0, "growth": 0}));
        let _ = scaler.overflow.fill_(1.0);
        update(&mut scaler, None);
        assert_eq!(kept(&scaler), serde_json::json!({"scale": 8.0, "growth": 0}));
        scaler.restore(Some(&serde_json::json!({"scale": -1.0, "growth": 0}))).unwrap();
        assert_eq!(kept(&scaler)["scale"], 8.0, "nonsense leaves it as it is");
    }

    #[test]
    fn a_step_whose_numbers_cannot_be_sent_has_changed_nothing() {
        let mut recipe = Recipe::default();
        (recipe.model.arch, recipe.model.width) = ("resnet8".to_owned(), 4);
        recipe.train.precision = Precision::Fp16;
        let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 10 };
        let mut learner = TorchLearner::new(&recipe, &input, "cpu").unwrap();
        let x = (0..4 * 64).map(|i| i as f32 / 99.0 - 1.0).collect();
        let batch =
            Batch { x, x_shape: vec![4, 1, 8, 8], y: Targets::Classes(vec![1, 2, 3, 4]), indices: vec![0, 1, 2, 3] };
        let micro = std::slice::from_ref(&batch);
        let step = |learner: &mut TorchLearner, step| {
            let (seed, lr_scale, clip_grad_norm, on_nan) = (1, 1.0, None, OnNan::Stop);
            learner.step(&StepInput { step, seed, micro, lr_scale, clip_grad_norm, on_nan })
        };
        step(&mut learner, 0).unwrap();
        let before = learner.snapshot().unwrap();
        // A number that is not float32 fails the step as late as anything can.
        let swap = |learner: &mut TorchLearner, kind| {
            let scaler = learner.scaler.as_mut().unwrap();
            scaler.scale = scaler.scale.to_kind(kind);
        };
        swap(&mut learner, Kind::Double);
        step(&mut learner, 1).unwrap_err();
        swap(&mut learner, Kind::Float);
        assert!(learner.snapshot().unwrap() == before);
        step(&mut learner, 1).unwrap();
        let told: Vec<u64> = learner.drain(true).unwrap().iter().map(|r| r.step).collect();
        assert_eq!(told, [0, 1], "what failed is not reported");
    }
}
