//! The shim's C functions, as `shim.cpp` declares them.

use std::ffi::{c_char, c_int, c_void};

/// `torch::Tensor*`.
pub type T = *mut c_void;
/// `at::Generator*`.
pub type G = *mut c_void;
/// Kept values.
pub type K = *mut c_void;
/// Numbers on their way.
pub type A = *mut c_void;
/// A meter of memory, freed when it is stopped.
pub type M = *mut c_void;
/// A message to free, or null.
type E = *mut c_char;

unsafe extern "C" {
    pub fn fl_free_text(text: *mut c_char);
    pub fn fl_has_grad(params: *const T, n: usize, out: *mut u8) -> E;
    pub fn fl_zero_grad(params: *const T, n: usize) -> E;
    #[allow(clippy::too_many_arguments)]
    pub fn fl_check_and_clip(
        params: *const T,
        n: usize,
        loss: T,
        clip: f64,
        sticky: c_int,
        norm: T,
        found_inf: T,
        each: *mut T,
    ) -> E;
    pub fn fl_kept_new(tensors: *const T, n: usize, plain: c_int, out: *mut K) -> E;
    pub fn fl_kept_free(kept: K);
    pub fn fl_kept_keep(kept: K) -> E;
    pub fn fl_kept_restore(kept: K, condition: T) -> E;
    #[allow(clippy::too_many_arguments)]
    pub fn fl_upload(
        values: *const c_void,
        bytes: usize,
        sizes: *const i64,
        dims: usize,
        whole: c_int,
        cuda: c_int,
        nhwc: c_int,
        out: *mut T,
    ) -> E;
    pub fn fl_arrival_start(scalars: *const T, n: usize, more: T, direct: c_int, out: *mut A) -> E;
    pub fn fl_arrival_ready(arrival: A, ready: *mut c_int) -> E;
    pub fn fl_arrival_wait(arrival: A, out: *mut f32, n: usize) -> E;
    pub fn fl_arrival_free(arrival: A);
    pub fn fl_advance_steps(steps: *const T, n: usize, found_inf: T) -> E;
    #[allow(clippy::too_many_arguments)]
    pub fn fl_adam(
        decoupled: c_int,
        params: *const T,
        exp_avgs: *const T,
        exp_avg_sqs: *const T,
        max_exp_avg_sqs: *const T,
        steps: *const T,
        n: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        amsgrad: c_int,
        found_inf: T,
    ) -> E;
    #[allow(clippy::too_many_arguments)]
    pub fn fl_sgd(
        params: *const T,
        buffers: *const T,
        n: usize,
        lr: f64,
        weight_decay: f64,
        momentum: f64,
        dampening: f64,
        nesterov: c_int,
        first_step: c_int,
        found_inf: T,
    ) -> E;
    pub fn fl_generator_new(device: *const c_char, seed: u64, out: *mut G) -> E;
    pub fn fl_generator_free(g: G);
    pub fn fl_generator_seed(g: G, seed: u64) -> E;
    pub fn fl_dropout(x: T, p: f64, g: G, out: *mut T) -> E;
    pub fn fl_uniform(t: T, from: f64, to: f64, g: G) -> E;
    pub fn fl_normal(t: T, mean: f64, std: f64, g: G) -> E;
    pub fn fl_set_threads(n: c_int) -> E;
    pub fn fl_threads() -> c_int;
    pub fn fl_autocast(device: *const c_char, half: c_int, on: c_int) -> E;
    pub fn fl_scaler_unscale(params: *const T, n: usize, scale: T, overflow: T) -> E;
    pub fn fl_scaler_judge(loss: T, scale: T, overflow: T, before: T, careful: c_int, found: T, skip: T) -> E;
    pub fn fl_scaler_next(scale: T, growth: T, overflow: T, hold: T, next_scale: *mut T, next_growth: *mut T) -> E;
    pub fn fl_channels_last(tensors: *const T, n: usize) -> E;
    pub fn fl_laid_out_like(values: T, like: T, out: *mut T) -> E;
    pub fn fl_set_flags(deterministic: c_int, benchmark: c_int, allow_tf32: c_int) -> E;
    pub fn fl_flags(deterministic: *mut c_int, benchmark: *mut c_int, allow_tf32: *mut c_int) -> E;
    pub fn fl_meter_start(device: *const c_char, out: *mut M) -> E;
    pub fn fl_meter_stop(meter: M, peak: *mut u64) -> E;
    pub fn fl_empty_cache(device: *const c_char) -> E;
    pub fn fl_libtorch_folder(out: *mut c_char, n: usize);
    pub fn fl_load_library(path: *const c_char) -> E;
    pub fn fl_cuda_device_count() -> c_int;
}
