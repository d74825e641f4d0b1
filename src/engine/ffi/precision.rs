//! Safe functions over `precision.cpp`: autocast, loss scaling, memory layout.

use std::ffi::CString;

use tch::Tensor;

use super::{Result, ShimError, TensorList, c_text, check, ptr, raw};

/// What a forward computes in where autocast may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// bfloat16.
    Bf16,
    /// float16.
    Fp16,
}

/// Runs `body` under autocast, if any is wanted.
pub fn with_autocast<T>(device: &str, cast: Option<Cast>, body: impl FnOnce() -> T) -> Result<T> {
    let Some(cast) = cast else { return Ok(body()) };
    let half = (cast == Cast::Fp16).into();
    struct Off(CString);
    impl Drop for Off {
        fn drop(&mut self) {
            // SAFETY: a valid string. A failure to switch off has no remedy here and cannot happen for a known device.
            let _ = check(unsafe { raw::fl_autocast(self.0.as_ptr(), 0, 0) });
        }
    }
    let device = c_text(device)?;
    // SAFETY: a valid string.
    check(unsafe { raw::fl_autocast(device.as_ptr(), half, 1) })?;
    let _off = Off(device);
    Ok(body())
}

/// Divides the gradients by the scale; `overflow` becomes 1 where one is not finite, else 0.
pub fn unscale(params: &TensorList, scale: &Tensor, overflow: &Tensor) -> Result<()> {
    // SAFETY: valid tensors; all parameters in the list have gradients (the optimizer keeps it so).
    check(unsafe { raw::fl_scaler_unscale(params.at(), params.len(), ptr(scale), ptr(overflow)) })
}

/// Scalars of a step with loss scaling.
pub struct Judged<'a> {
    /// The step's loss.
    pub loss: &'a Tensor,
    /// The scale in force.
    pub scale: &'a Tensor,
    /// From [`unscale`].
    pub overflow: &'a Tensor,
    /// A 1 that is to stay.
    pub before: Option<&'a Tensor>,
}

/// Takes out of the finite check `found` what the scale explains; `skip` becomes 1 where the update is not to be applied:
/// after an overflow, and with `careful` where `found` is 1.
pub fn judge(of: &Judged<'_>, careful: bool, found: &Tensor, skip: &Tensor) -> Result<()> {
    let before = of.before.map_or(std::ptr::null_mut(), ptr);
    // SAFETY: valid scalars; null means none.
    check(unsafe {
        raw::fl_scaler_judge(
            ptr(of.loss),
            ptr(of.scale),
            ptr(of.overflow),
            before,
            careful.into(),
            ptr(found),
            ptr(skip),
        )
    })
}

/// Scale and growth of the next step; as they are where `hold` is 1.
pub fn next_scale(
    scale: &Tensor,
    growth: &Tensor,
    overflow: &Tensor,
    hold: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let hold = hold.map_or(std::ptr::null_mut(), ptr);
    let (mut next, mut count) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: valid scalars, null means none; both receive a new owned tensor on success.
    check(unsafe { raw::fl_scaler_next(ptr(scale), ptr(growth), ptr(overflow), hold, &raw mut next, &raw mut count) })?;
    // SAFETY: the shim made them with `new`, which is what tch frees.
    Ok(unsafe { (Tensor::from_ptr(next.cast()), Tensor::from_ptr(count.cast())) })
}

/// Lays the 4-d ones of these tensors out as NHWC, in place.
pub fn channels_last(tensors: &TensorList) -> Result<()> {
    // SAFETY: valid pointers and their number.
    check(unsafe { raw::fl_channels_last(tensors.at(), tensors.len()) })
}

/// The values of one tensor in the layout of another of the same shape.
pub fn laid_out_like(values: &Tensor, like: &Tensor) -> Result<Tensor> {
    if values.size() != like.size() {
        return Err(ShimError("tensors of different shapes".to_owned()));
    }
    let mut out = std::ptr::null_mut();
    // SAFETY: `out` receives a new owned tensor on success.
    check(unsafe { raw::fl_laid_out_like(ptr(values), ptr(like), &raw mut out) })?;
    // SAFETY: the shim made it with `new`, which is what tch frees.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}
