//! Autocast, loss scaling and memory layout: agreement with Python's PyTorch, and whose business a bad step is.
//!
//! `tests/fixtures/pytorch.json` comes from `scripts/fixtures.py` (`make fixtures`), which says how the values are made.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use frostline::core::recipe::{OnNan, OptimizerKind, OptimizerSpec, Precision, Recipe};
use frostline::core::tensor::HostTensor;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, InputSpec, Learner, LossScale, StepInput, StepReport};
use support::reference::{assert_close, batch, fill, fixture};

const STEPS: u64 = 20;

fn recipe(arch: &str, precision: Precision) -> Recipe {
    let mut r = Recipe::default();
    r.model.arch = arch.to_owned();
    r.model.hidden = vec![32];
    r.model.width = 4;
    r.train.threads = 1;
    r.train.precision = precision;
    r
}

fn learner(r: &Recipe) -> Box<dyn Learner> {
    TorchEngine.learner(r, &InputSpec { sample_shape: vec![1, 8, 8], outputs: 10 }, "cpu").unwrap()
}

fn enlarged(step: u64, factor: f32) -> Batch {
    let mut batch = batch(step);
    batch.x.iter_mut().for_each(|v| *v *= factor);
    batch
}

fn take(l: &mut dyn Learner, n: u64, micro: &[Batch], clip: Option<f64>, on_nan: OnNan) -> StepReport {
    l.step(&StepInput { step: n, seed: 7, micro, lr_scale: 1.0, clip_grad_norm: clip, on_nan }).unwrap();
    l.drain(true).unwrap().pop().unwrap()
}

fn agree(case: &str, r: &Recipe, clip: Option<f64>, factor: f32) {
    let reference = &fixture()["mixed"][case];
    let mut l = learner(r);
    fill(&mut *l);
    let (mut losses, mut norms, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..STEPS {
        let report = take(&mut *l, n, &[enlarged(n, factor)], clip, OnNan::Stop);
        losses.push(report.loss);
        norms.push(report.grad_norm);
        scales.push(report.loss_scale.map_or(1.0, |s| s.scale));
        assert_eq!(report.applied, report.grad_norm.is_finite(), "{case}");
    }
    // Kernels for 16 bits round differently from processor to processor; errors of that size grow with the steps.
    assert_close(&format!("{case} losses"), &losses, &reference["losses"], 2e-2);
    assert_close(&format!("{case} norms"), &norms, &reference["norms"], 5e-2);
    assert_close(&format!("{case} scales"), &scales, &reference["scales"], 0.0);
}

/// Runs a test of this file in a process of its own with kernels that add in 32 bits, as those did which made the fixture:
/// oneDNN's for avx512_fp16 add in 16. False in that process.
fn in_32_bits(test: &str) -> bool {
    const LIMIT: &str = "ONEDNN_MAX_CPU_ISA";
    if std::env::var_os(LIMIT).is_some() {
        return false;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let out = command.args([test, "--exact", "--nocapture"]).env(LIMIT, "AVX512_CORE_BF16").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    true
}

fn nesterov() -> OptimizerSpec {
    let kind = OptimizerKind::Sgd;
    OptimizerSpec {
        kind,
        lr: 0.05,
        momentum: 0.9,
        nesterov: true,
        weight_decay: Some(1e-3),
        ..OptimizerSpec::default()
    }
}

#[test]
fn bf16_autocast_agrees_with_pytorch() {
    agree("mlp-bf16", &recipe("mlp", Precision::Bf16), None, 1.0);
    let mut resnet = recipe("resnet8", Precision::Bf16);
    resnet.optimizer = nesterov();
    agree("resnet8-bf16", &resnet, None, 1.0);
}

#[test]
fn fp16_autocast_and_loss_scaling_agree_with_gradscaler() {
    if in_32_bits("fp16_autocast_and_loss_scaling_agree_with_gradscaler") {
        return;
    }
    agree("mlp-fp16", &recipe("mlp", Precision::Fp16), None, 1.0);
    agree("mlp-fp16-overflow", &recipe("mlp", Precision::Fp16), None, 64.0);
    let mut resnet = recipe("resnet8", Precision::Fp16);
    resnet.optimizer = nesterov();
    agree("resnet8-fp16", &resnet, Some(0.5), 1.0);
}

#[test]
fn channels_last_agrees_with_pytorchs_memory_format() {
    let mut r = recipe("resnet8", Precision::Fp16);
    r.train.channels_last = true;
    agree("resnet8-fp16-channels-last", &r, None, 1.0);
}

#[test]
fn channels_last_changes_neither_the_bytes_of_a_snapshot_nor_more_than_rounding() {
    let mut r = recipe("resnet8", Precision::Fp32);
    let mut plain = learner(&r);
    r.train.channels_last = true;
    let mut nhwc = learner(&r);
    assert_eq!(plain.snapshot().unwrap().weights, nhwc.snapshot().unwrap().weights);
    for n in 0..5 {
        let a = take(&mut *plain, n, &[batch(n)], None, OnNan::Stop);
        let b = take(&mut *nhwc, n, &[batch(n)], None, OnNan::Stop);
        assert!((a.loss - b.loss).abs() < 1e-4, "{} {}", a.loss, b.loss);
    }
    let x = &batch(0).x[..128];
    let (a, b) = (plain.predict(x, &[2, 1, 8, 8]).unwrap(), nhwc.predict(x, &[2, 1, 8, 8]).unwrap());
    let far = a.to_f32().unwrap().iter().zip(b.to_f32().unwrap()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far < 1e-3, "{far}");
}

#[test]
fn channels_last_is_refused_where_it_makes_no_sense() {
    let mut r = recipe("mlp", Precision::Fp32);
    r.train.channels_last = true;
    let refuse = |shape: &[usize]| {
        let input = InputSpec { sample_shape: shape.to_vec(), outputs: 10 };
        TorchEngine.learner(&r, &input, "cpu").err().unwrap().to_string()
    };
    assert!(refuse(&[1, 8, 8]).contains("no convolution"), "{}", refuse(&[1, 8, 8]));
    assert!(refuse(&[64]).contains("is no image"), "{}", refuse(&[64]));
}

#[test]
fn an_overflow_leaves_out_the_update_and_halves_the_scale() {
    let mut l = learner(&recipe("mlp", Precision::Fp16));
    fill(&mut *l);
    let before = l.snapshot().unwrap();
    let report = take(&mut *l, 0, &[enlarged(0, 64.0)], None, OnNan::Stop);
    assert_eq!(report.loss_scale, Some(LossScale { scale: 65536.0, overflow: true }));
    assert!(!report.applied && report.loss.is_finite());
    let after = l.snapshot().unwrap();
    assert_eq!(after.weights, before.weights);
    assert_eq!(after.extra["loss_scale"], serde_json::json!({"scale": 32768.0, "growth": 0}));
    assert!(take(&mut *l, 1, &[batch(1)], None, OnNan::Stop).applied, "the run goes on");
    assert_eq!(l.snapshot().unwrap().extra["loss_scale"]["growth"], 1);
}

#[test]
fn a_loss_that_is_not_finite_is_on_nans_business_and_leaves_the_scale_alone() {
    for (on_nan, again) in [(OnNan::Stop, false), (OnNan::Skip, true)] {
        let mut l = learner(&recipe("resnet8", Precision::Fp16));
        take(&mut *l, 0, &[batch(0)], None, on_nan);
        let before = l.snapshot().unwrap();
        let mut bad = batch(1);
        bad.x[5] = f32::NAN;
        let report = take(&mut *l, 1, &[bad], None, on_nan);
        assert!(!report.applied && !report.loss_scale.unwrap().overflow);
        assert!(!report.non_finite.is_empty());
        let after = l.snapshot().unwrap();
        assert_eq!((after.weights, after.optimizer, after.extra), (before.weights, before.optimizer, before.extra));
        assert_eq!(take(&mut *l, 2, &[batch(2)], None, on_nan).applied, again);
    }
}

#[test]
fn the_probe_measures_gradients_without_their_scale() {
    let norms = |precision| {
        let mut l = learner(&recipe("mlp", precision));
        fill(&mut *l);
        let norms = l.probe(&batch(0)).unwrap();
        norms.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    for (a, b) in norms(Precision::Fp32).iter().zip(norms(Precision::Fp16)) {
        assert!((a - b).abs() < 2e-2 * a.max(1e-3), "{a} {b}");
    }
}

#[test]
fn weights_and_optimizer_state_stay_float32() {
    for precision in [Precision::Bf16, Precision::Fp16] {
        let mut l = learner(&recipe("mlp", precision));
        take(&mut *l, 0, &[batch(0)], None, OnNan::Stop);
        let snapshot = l.snapshot().unwrap();
        let all: Vec<&HostTensor> = snapshot.weights.iter().chain(&snapshot.optimizer).collect();
        assert!(all.iter().all(|t| t.dtype.name() == "float32"));
    }
}
