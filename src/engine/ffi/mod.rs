//! The only unsafe code: safe functions over `shim.cpp`, which holds what tch lacks, [`precision`] over number formats and
//! layouts, [`transfer`] between host and device, [`kept`] values, [`memory`], [`script`] over TorchScript, [`c10d`] over PyTorch's distributed engine, and [`nccl`], its part for GPUs.
//! layouts, [`flags`], [`memory`], [`script`] over TorchScript, [`c10d`] over PyTorch's distributed engine, and [`nccl`], its part for GPUs.
//!
//! Called by the engine's own folders. Every C++ exception becomes a [`ShimError`] of one line.

#![allow(unsafe_code)]

pub mod c10d;
mod c10d_raw;
pub mod exit;
pub mod flags;
pub mod kept;
pub mod memory;
pub mod nccl;
pub mod precision;
mod raw;
pub mod script;
mod script_raw;
pub mod transfer;

use std::ffi::{CStr, CString, c_char};

use tch::Tensor;

/// A C++ exception in words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ShimError(pub String);

type Result<T> = std::result::Result<T, ShimError>;

fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    Err(ShimError(one_line(&take_text(message))))
}

/// The first line of an exception's message, without the C++ stack below; of NCCL's also the one that names the cause.
pub fn one_line(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or("unknown libtorch error");
    match lines.find(|line| line.starts_with("Cuda failure")) {
        Some(cause) => format!("{first}: {cause}"),
        None => first.to_owned(),
    }
}

/// Takes over a text that the shim made.
fn take_text(text: *mut c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the shim's texts are NUL-terminated, malloc'd and ours.
    unsafe {
        let words = CStr::from_ptr(text).to_string_lossy().into_owned();
        raw::fl_free_text(text);
        words
    }
}

fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| ShimError(format!("a NUL byte in {text:?}")))
}

fn ptr(tensor: &Tensor) -> raw::T {
    tensor.as_ptr().cast_mut().cast()
}

/// Pointers to tensors that the caller keeps alive; built once and reused at each step.
#[derive(Debug, Default)]
pub struct TensorList {
    pointers: Vec<raw::T>,
    // Shallow clones: they own what `pointers` points at.
    _owners: Vec<Tensor>,
}

// SAFETY: the pointers point into `_owners`, which is Send; the list is used by one thread at a time (&mut or & on it).
unsafe impl Send for TensorList {}

impl TensorList {
    /// A list that shares the tensors' storage and autograd state.
    pub fn new<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        // SAFETY: copies the pointer to the same TensorImpl, so that `.grad` is that of the original too.
        let owners: Vec<Tensor> =
            tensors.into_iter().map(|t| unsafe { Tensor::clone_from_ptr(t.as_ptr().cast_mut()) }).collect();
        let pointers = owners.iter().map(ptr).collect();
        Self { pointers, _owners: owners }
    }
    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.pointers.len()
    }
    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }
    fn at(&self) -> *const raw::T {
        self.pointers.as_ptr()
    }
}

/// Which parameters have a gradient.
pub fn has_grad(params: &TensorList) -> Result<Vec<bool>> {
    let mut out = vec![0u8; params.len()];
    // SAFETY: `out` has one byte a parameter.
    check(unsafe { raw::fl_has_grad(params.at(), params.len(), out.as_mut_ptr()) })?;
    Ok(out.into_iter().map(|b| b != 0).collect())
}

/// Drops the gradients, as `zero_grad(set_to_none=True)`.
pub fn zero_grad(params: &TensorList) -> Result<()> {
    // SAFETY: valid pointers and their number.
    check(unsafe { raw::fl_zero_grad(params.at(), params.len()) })
}

/// Global gradient norm into `norm`, finite check into `found_inf`, clipping in place (`clip` 0: none).
/// `sticky` keeps a 1 that is in `found_inf` already. Gives the norm of each gradient.
pub fn check_and_clip(
    params: &TensorList,
    loss: &Tensor,
    clip: f64,
    sticky: bool,
    norm: &Tensor,
    found_inf: &Tensor,
) -> Result<Tensor> {
    let mut each = std::ptr::null_mut();
    let sticky = sticky.into();
    // SAFETY: valid tensors; all parameters in the list have gradients (the optimizer keeps it so). `each` receives a new
    // owned tensor on success.
    check(unsafe {
        let (n, loss, norm, found_inf) = (params.len(), ptr(loss), ptr(norm), ptr(found_inf));
        raw::fl_check_and_clip(params.at(), n, loss, clip, sticky, norm, found_inf, &raw mut each)
    })?;
    // SAFETY: the shim made it with `new`, which is what tch frees.
    Ok(unsafe { Tensor::from_ptr(each.cast()) })
}

/// Adds 1 to each step counter, or nothing where `found_inf` is 1.
pub fn advance_steps(steps: &TensorList, found_inf: Option<&Tensor>) -> Result<()> {
    // SAFETY: valid pointers; null means no check.
    check(unsafe { raw::fl_advance_steps(steps.at(), steps.len(), found_inf.map_or(std::ptr::null_mut(), ptr)) })
}

/// The tensors of one Adam or AdamW parameter group.
pub struct AdamLists<'a> {
    /// Parameters, each with a gradient.
    pub params: &'a TensorList,
    /// `exp_avg`.
    pub exp_avg: &'a TensorList,
    /// `exp_avg_sq`.
    pub exp_avg_sq: &'a TensorList,
    /// `max_exp_avg_sq`; empty without amsgrad.
    pub max_exp_avg_sq: &'a TensorList,
    /// `step`, float32 scalars.
    pub steps: &'a TensorList,
}

/// Numbers of one Adam or AdamW update.
#[derive(Debug, Clone, Copy)]
pub struct AdamNumbers {
    /// AdamW's decoupled weight decay.
    pub decoupled: bool,
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the moments.
    pub betas: (f64, f64),
    /// Weight decay.
    pub weight_decay: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// The AMSGrad variant.
    pub amsgrad: bool,
}

/// One fused update; nothing where `found_inf` is 1.
pub fn adam(lists: &AdamLists<'_>, numbers: AdamNumbers, found_inf: Option<&Tensor>) -> Result<()> {
    let n = lists.params.len();
    let amsgrad = numbers.amsgrad;
    if lists.exp_avg.len() != n
        || lists.exp_avg_sq.len() != n
        || lists.steps.len() != n
        || (amsgrad && lists.max_exp_avg_sq.len() != n)
    {
        return Err(ShimError("lists of different lengths".to_owned()));
    }
    // SAFETY: all lists have `n` valid tensors, checked above.
    check(unsafe {
        raw::fl_adam(
            numbers.decoupled.into(),
            lists.params.at(),
            lists.exp_avg.at(),
            lists.exp_avg_sq.at(),
            lists.max_exp_avg_sq.at(),
            lists.steps.at(),
            n,
            numbers.lr,
            numbers.betas.0,
            numbers.betas.1,
            numbers.weight_decay,
            numbers.eps,
            amsgrad.into(),
            found_inf.map_or(std::ptr::null_mut(), ptr),
        )
    })
}

/// Numbers of one SGD update.
#[derive(Debug, Clone, Copy)]
pub struct SgdNumbers {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum; 0 needs no buffers.
    pub momentum: f64,
    /// Dampening.
    pub dampening: f64,
    /// Nesterov momentum.
    pub nesterov: bool,
    /// The buffers hold nothing yet and are set to the gradient.
    pub first_step: bool,
}

/// One fused update; nothing where `found_inf` is 1.
pub fn sgd(params: &TensorList, buffers: &TensorList, numbers: SgdNumbers, found_inf: Option<&Tensor>) -> Result<()> {
    if numbers.momentum != 0.0 && buffers.len() != params.len() {
        return Err(ShimError("lists of different lengths".to_owned()));
    }
    // SAFETY: both lists are valid and of one length where both are used.
    check(unsafe {
        raw::fl_sgd(
            params.at(),
            buffers.at(),
            params.len(),
            numbers.lr,
            numbers.weight_decay,
            numbers.momentum,
            numbers.dampening,
            numbers.nesterov.into(),
            numbers.first_step.into(),
            found_inf.map_or(std::ptr::null_mut(), ptr),
        )
    })
}

/// A random generator of one learner: other threads' draws do not disturb it.
#[derive(Debug)]
pub struct Generator(raw::G);

// SAFETY: at::Generator is a reference-counted pointer whose state is guarded by its own mutex.
unsafe impl Send for Generator {}
// SAFETY: as above; every use goes through the mutex inside libtorch.
unsafe impl Sync for Generator {}

impl Generator {
    /// A generator on a device (`cpu`, `cuda:0`).
    pub fn new(device: &str, seed: u64) -> Result<Self> {
        let device = c_text(device)?;
        let mut out = std::ptr::null_mut();
        // SAFETY: `out` receives an owned pointer on success.
        check(unsafe { raw::fl_generator_new(device.as_ptr(), seed, &raw mut out) })?;
        Ok(Self(out))
    }
    /// Starts the stream anew.
    pub fn seed(&self, seed: u64) -> Result<()> {
        // SAFETY: a live generator.
        check(unsafe { raw::fl_generator_seed(self.0, seed) })
    }
    /// `x * mask / (1 - p)`, differentiable in x.
    pub fn dropout(&self, x: &Tensor, p: f64) -> Result<Tensor> {
        let mut out = std::ptr::null_mut();
        // SAFETY: `out` receives a new owned tensor on success.
        check(unsafe { raw::fl_dropout(ptr(x), p, self.0, &raw mut out) })?;
        // SAFETY: the shim made it with `new`, which is what tch frees.
        Ok(unsafe { Tensor::from_ptr(out.cast()) })
    }
    /// Fills with U(from, to).
    pub fn uniform(&self, t: &Tensor, from: f64, to: f64) -> Result<()> {
        // SAFETY: live tensor and generator.
        check(unsafe { raw::fl_uniform(ptr(t), from, to, self.0) })
    }
    /// Fills with N(mean, std²).
    pub fn normal(&self, t: &Tensor, mean: f64, std: f64) -> Result<()> {
        // SAFETY: live tensor and generator.
        check(unsafe { raw::fl_normal(ptr(t), mean, std, self.0) })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { raw::fl_generator_free(self.0) }
    }
}

/// Threads of one operator on the CPU.
pub fn set_threads(n: usize) -> Result<()> {
    // SAFETY: plain number.
    check(unsafe { raw::fl_set_threads(n.try_into().unwrap_or(i32::MAX)) })
}

/// Threads of one operator on the CPU, as in force.
pub fn threads() -> usize {
    // SAFETY: no arguments.
    usize::try_from(unsafe { raw::fl_threads() }).unwrap_or(1)
}

/// Folder that libtorch was loaded from.
pub fn libtorch_folder() -> std::path::PathBuf {
    let mut buffer = [0 as c_char; 4096];
    // SAFETY: the shim writes at most the given number of bytes and ends them with NUL.
    let text = unsafe {
        raw::fl_libtorch_folder(buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned()
    };
    text.into()
}

/// Loads a shared library for good.
pub fn load_library(path: &str) -> Result<()> {
    let path = c_text(path)?;
    // SAFETY: a valid string; running the library's initialisers is the purpose.
    check(unsafe { raw::fl_load_library(path.as_ptr()) })
}

/// Usable CUDA devices; 0 where the back end is not loaded.
pub fn cuda_device_count() -> usize {
    // SAFETY: no arguments; the shim catches everything.
    usize::try_from(unsafe { raw::fl_cuda_device_count() }).unwrap_or(0)
}
