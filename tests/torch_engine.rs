//! The libtorch learner: agreement with Python's PyTorch, freezing, the NaN policy, snapshots.
//!
//! `tests/fixtures/pytorch.json` comes from `scripts/fixtures.py` (`make fixtures`), which says how the values are made.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use frostline::core::freeze::{ParamState, Resolution, ResolvedParam};
use frostline::core::recipe::{
    BatchNormMode, GroupSpec, LossSpec, OnNan, OptimizerKind, OptimizerSpec, Precision, Recipe,
};
use frostline::core::tensor::HostTensor;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, EngineError, InputSpec, Learner, StepInput, StepReport, Targets};
use support::reference::{assert_close, batch, fill, fixture, scatter};

const STEPS: u64 = 50;

fn recipe(arch: &str) -> Recipe {
    let mut r = Recipe::default();
    r.model.arch = arch.to_owned();
    r.model.hidden = vec![32];
    r.model.width = 4;
    r.train.threads = 1;
    r
}

fn learner(r: &Recipe) -> Box<dyn Learner> {
    TorchEngine.learner(r, &InputSpec { sample_shape: vec![1, 8, 8], outputs: 10 }, "cpu").unwrap()
}

fn input(step: u64, micro: &[Batch]) -> StepInput<'_> {
    StepInput { step, seed: 7, micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop }
}

fn step(l: &mut dyn Learner, n: u64) -> StepReport {
    l.step(&input(n, &[batch(n)])).unwrap();
    l.drain(true).unwrap().pop().unwrap()
}

fn plan(l: &dyn Learner, learns: impl Fn(&str) -> bool) -> Resolution {
    let state = |name: &str| if learns(name) { ParamState::Trainable } else { ParamState::Frozen };
    Resolution {
        params: l
            .tree()
            .parameters
            .iter()
            .map(|p| ResolvedParam { state: state(&p.name), reason: "".into() })
            .collect(),
        no_grad_modules: Vec::new(),
    }
}

fn changed(before: &[HostTensor], after: &[HostTensor]) -> Vec<String> {
    before.iter().zip(after).filter(|(a, b)| a != b).map(|(a, _)| a.name.clone()).collect()
}

fn optimizer(name: &str) -> OptimizerSpec {
    let sgd = OptimizerSpec { kind: OptimizerKind::Sgd, lr: 0.05, ..OptimizerSpec::default() };
    let adamw = OptimizerSpec { lr: 1e-3, ..OptimizerSpec::default() };
    match name {
        "sgd" => sgd,
        "sgd-nesterov" => OptimizerSpec { momentum: 0.9, nesterov: true, weight_decay: Some(1e-3), ..sgd },
        "sgd-dampening" => OptimizerSpec { momentum: 0.9, dampening: 0.3, ..sgd },
        "adam" => OptimizerSpec { kind: OptimizerKind::Adam, weight_decay: Some(1e-2), ..adamw },
        "adamw" => adamw,
        "groups" => OptimizerSpec {
            lr: 1e-2,
            weight_decay: Some(0.1),
            no_decay_norm_bias: true,
            layer_decay: 0.8,
            groups: vec![GroupSpec { pattern: "layer2".into(), lr: Some(2e-2), weight_decay: Some(0.5) }],
            ..adamw
        },
        "adamw-amsgrad" => OptimizerSpec { betas: (0.8, 0.99), eps: 1e-7, amsgrad: true, ..adamw },
        other => panic!("{other}"),
    }
}

fn agree(arch: &str, case: &str, spec: &str, clip: Option<f64>, loss: LossSpec) {
    let reference = &fixture()[arch][case];
    let mut r = recipe(arch);
    r.optimizer = optimizer(spec);
    r.loss = loss;
    let mut l = learner(&r);
    fill(&mut *l);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for n in 0..STEPS {
        l.step(&StepInput { clip_grad_norm: clip, ..input(n, &[batch(n)]) }).unwrap();
        let report = l.drain(true).unwrap().pop().unwrap();
        losses.push(report.loss);
        norms.push(report.grad_norm);
    }
    assert_close(&format!("{arch} {case} losses"), &losses, &reference["losses"], 1e-4);
    assert_close(&format!("{arch} {case} norms"), &norms, &reference["norms"], 1e-3);
    let two = batch(0);
    let logits = l.predict(&two.x[..128], &[2, 1, 8, 8]).unwrap().to_f32().unwrap();
    let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
    assert_close(&format!("{arch} {case} logits"), &logits, &reference["logits"], 1e-3);
}

#[test]
fn fifty_steps_of_every_optimizer_agree_with_pytorch() {
    for case in ["sgd", "sgd-nesterov", "sgd-dampening", "adam", "adamw", "adamw-amsgrad"] {
        agree("mlp", case, case, None, LossSpec::default());
    }
}

#[test]
fn clipping_agrees_with_clip_grad_norm() {
    agree("mlp", "sgd-nesterov-clip", "sgd-nesterov", Some(0.5), LossSpec::default());
}

#[test]
fn smoothed_and_weighted_cross_entropy_agrees() {
    let class_weights = (0..10).map(|c| 1.0 + 0.1 * f64::from(c)).collect();
    agree(
        "mlp",
        "adamw-smoothed",
        "adamw",
        None,
        LossSpec { label_smoothing: 0.1, class_weights, ..LossSpec::default() },
    );
}

#[test]
fn convolutions_and_batch_norm_agree_with_pytorch() {
    for case in ["sgd-nesterov", "adamw"] {
        agree("resnet8", case, case, None, LossSpec::default());
    }
}

#[test]
fn groups_layer_decay_and_no_decay_agree_with_pytorchs_parameter_groups() {
    agree("resnet8", "groups", "groups", None, LossSpec::default());
}

#[test]
fn a_group_that_matches_nothing_is_refused() {
    let mut r = recipe("mlp");
    r.optimizer.groups = vec![GroupSpec { pattern: "fx1".into(), lr: None, weight_decay: None }];
    let Err(e) = TorchEngine.learner(&r, &InputSpec { sample_shape: vec![64], outputs: 10 }, "cpu") else {
        panic!("taken");
    };
    assert!(matches!(&e, EngineError::Refused(words) if words.contains("did you mean `fc1`")), "{e}");
}

#[test]
fn torchvision_resnets_have_its_names_counts_and_logits() {
    for arch in ["resnet18", "resnet50"] {
        let reference = &fixture()["zoo"][arch];
        let r = recipe(arch);
        let mut l = TorchEngine.learner(&r, &InputSpec { sample_shape: vec![3, 64, 64], outputs: 10 }, "cpu").unwrap();
        scatter(&mut *l);
        let weights = l.snapshot().unwrap().weights;
        let count: usize = l.tree().parameters.iter().map(|p| p.count()).sum();
        assert_eq!(count as u64, reference["parameters"].as_u64().unwrap());
        assert_eq!(weights.len() as u64, reference["tensors"].as_u64().unwrap());
        let names: Vec<&str> = weights.iter().map(|t| t.name.as_str()).collect();
        let ends: Vec<&str> = names[..12].iter().chain(&names[names.len() - 8..]).copied().collect();
        assert_eq!(
            ends,
            reference["names"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>()
        );
        let x: Vec<f32> = (0..3 * 64 * 64).map(|i| (0.01 * f64::from(i)).sin() as f32).collect();
        let logits = l.predict(&x, &[1, 3, 64, 64]).unwrap().to_f32().unwrap();
        let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
        assert_close(arch, &logits, &reference["logits"], 1e-4);
    }
}

#[test]
fn accumulated_batches_give_the_mean_gradient() {
    let mut r = recipe("mlp");
    r.optimizer = optimizer("sgd");
    let (mut whole, mut parts) = (learner(&r), learner(&r));
    let b = batch(0);
    let half = |k: usize| Batch {
        x: b.x[k * 512..(k + 1) * 512].to_vec(),
        x_shape: vec![8, 1, 8, 8],
        y: match &b.y {
            Targets::Classes(y) => Targets::Classes(y[k * 8..(k + 1) * 8].to_vec()),
            Targets::Values { .. } => unreachable!(),
        },
        indices: b.indices[k * 8..(k + 1) * 8].to_vec(),
    };
    whole.step(&input(0, std::slice::from_ref(&b))).unwrap();
    parts.step(&input(0, &[half(0), half(1)])).unwrap();
    let (w, p) = (whole.drain(true).unwrap(), parts.drain(true).unwrap());
    assert!((w[0].loss - p[0].loss).abs() < 1e-6);
    assert!((w[0].grad_norm - p[0].grad_norm).abs() < 1e-6);
}

#[test]
fn frozen_tensors_and_their_batch_norm_statistics_keep_their_bits() {
    let mut l = learner(&recipe("resnet8"));
    let plan = plan(&*l, |n| n.starts_with("layer3") || n.starts_with("fc"));
    l.apply_freeze(&plan).unwrap();
    let before = l.snapshot().unwrap().weights;
    for n in 0..3 {
        step(&mut *l, n);
    }
    let moved = changed(&before, &l.snapshot().unwrap().weights);
    assert!(!moved.is_empty());
    assert!(moved.iter().all(|n| n.starts_with("layer3") || n.starts_with("fc")), "{moved:?}");
    for wanted in ["fc.weight", "layer3.0.bn1.running_mean", "layer3.0.bn1.num_batches_tracked"] {
        assert!(moved.iter().any(|n| n == wanted), "{wanted} did not move");
    }
}

#[test]
fn pytorch_mode_moves_the_statistics_of_frozen_norms() {
    let mut r = recipe("resnet8");
    r.freeze.batch_norm = BatchNormMode::Pytorch;
    let mut l = learner(&r);
    let plan = plan(&*l, |n| n.starts_with("fc"));
    l.apply_freeze(&plan).unwrap();
    let before = l.snapshot().unwrap().weights;
    step(&mut *l, 0);
    let moved = changed(&before, &l.snapshot().unwrap().weights);
    assert!(moved.contains(&"bn1.running_mean".to_owned()));
    assert!(!moved.contains(&"bn1.weight".to_owned()));
}

#[test]
fn a_frozen_middle_block_lets_gradients_through_and_no_grad_stops_them() {
    let mut l = learner(&recipe("resnet8"));
    let mut frozen = plan(&*l, |n| !n.starts_with("layer2"));
    l.apply_freeze(&frozen).unwrap();
    let before = l.snapshot().unwrap().weights;
    step(&mut *l, 0);
    let moved = changed(&before, &l.snapshot().unwrap().weights);
    assert!(moved.contains(&"conv1.weight".to_owned()) && moved.contains(&"layer3.0.conv1.weight".to_owned()));
    assert!(!moved.iter().any(|n| n.starts_with("layer2")));

    frozen.no_grad_modules = vec![l.tree().modules.iter().position(|m| m.path == "layer2").unwrap()];
    l.apply_freeze(&frozen).unwrap();
    let before = l.snapshot().unwrap().weights;
    step(&mut *l, 1);
    let moved = changed(&before, &l.snapshot().unwrap().weights);
    assert!(!moved.contains(&"conv1.weight".to_owned()), "{moved:?}");
    assert!(moved.contains(&"layer3.0.conv1.weight".to_owned()));
}

#[test]
fn no_gradient_anywhere_is_refused_in_words() {
    let mut l = learner(&recipe("mlp"));
    let nothing = plan(&*l, |_| false);
    l.apply_freeze(&nothing).unwrap();
    let e = l.step(&input(0, &[batch(0)])).unwrap_err();
    assert!(matches!(e, EngineError::Refused(_)), "{e}");
}

fn poisoned() -> Batch {
    let mut b = batch(1);
    b.x[5] = f32::NAN;
    b
}

#[test]
fn a_step_with_nan_is_not_applied_and_the_parameters_are_named() {
    for (arch, spec) in [("mlp", "adamw"), ("mlp", "sgd-nesterov"), ("mlp", "sgd-dampening"), ("resnet8", "adamw")] {
        let mut r = recipe(arch);
        r.optimizer = optimizer(spec);
        let mut l = learner(&r);
        // Batch norm's running statistics are part of it: the forward of the bad step must leave no trace either.
        let params = |l: &mut dyn Learner| {
            let s = l.snapshot().unwrap();
            (s.weights, s.optimizer)
        };
        step(&mut *l, 0);
        let before = params(&mut *l);
        l.step(&StepInput { clip_grad_norm: Some(1.0), ..input(1, &[poisoned()]) }).unwrap();
        let report = l.drain(true).unwrap().pop().unwrap();
        assert!(!report.applied && report.non_finite.contains(&l.tree().parameters[0].name));
        // Under `stop` nothing after it is applied either, however late the report is read.
        l.step(&input(2, &[batch(2)])).unwrap();
        assert!(!l.drain(true).unwrap()[0].applied);
        assert!(params(&mut *l) == before, "{arch} {spec}: state changed");
    }
}

#[test]
fn the_parameters_that_are_named_are_those_of_the_reported_step() {
    // A large model and a small one: their norms are taken in different ways.
    for arch in ["mlp", "resnet8"] {
        let mut r = recipe(arch);
        r.model.width = 32;
        let mut l = learner(&r);
        for (n, b) in [batch(0), poisoned(), batch(2)].into_iter().enumerate() {
            l.step(&StepInput { on_nan: OnNan::Skip, ..input(n as u64, &[b]) }).unwrap();
        }
        // The gradients at hand are the last step's by now.
        let reports = l.drain(true).unwrap();
        let named: Vec<usize> = reports.iter().map(|r| r.non_finite.len()).collect();
        assert_eq!(named, [0, l.tree().parameters.len(), 0], "{arch}");
        let names: Vec<&String> = l.tree().parameters.iter().map(|p| &p.name).collect();
        assert!(reports[1].non_finite.iter().eq(names));
    }
}

#[test]
fn skip_goes_on_after_nan_and_ignore_applies_it() {
    let mut l = learner(&recipe("mlp"));
    let run = |l: &mut dyn Learner, n, b, on_nan| {
        l.step(&StepInput { on_nan, ..input(n, &[b]) }).unwrap();
        l.drain(true).unwrap().pop().unwrap()
    };
    assert!(!run(&mut *l, 0, poisoned(), OnNan::Skip).applied);
    let next = run(&mut *l, 1, batch(1), OnNan::Skip);
    assert!(next.applied && next.loss.is_finite());
    assert!(run(&mut *l, 2, poisoned(), OnNan::Ignore).applied);
    assert!(run(&mut *l, 3, batch(3), OnNan::Ignore).loss.is_nan());
}

#[test]
fn a_restored_learner_goes_on_with_the_same_bits() {
    for spec in ["adamw", "adamw-amsgrad", "sgd-nesterov", "sgd-dampening"] {
        let mut r = recipe("mlp");
        r.optimizer = optimizer(spec);
        r.model.dropout = Some(0.3);
        let mut a = learner(&r);
        for n in 0..3 {
            step(&mut *a, n);
        }
        let s = a.snapshot().unwrap();
        r.train.seed = 99; // other initial weights: all must come from the snapshot
        let mut b = learner(&r);
        b.restore_weights(&s.weights).unwrap();
        b.restore_optimizer(&s.optimizer, &s.extra).unwrap();
        let mut weights_only = learner(&r);
        weights_only.restore_weights(&s.weights).unwrap();
        for n in 3..6 {
            assert_eq!(step(&mut *a, n), step(&mut *b, n), "{spec}");
            step(&mut *weights_only, n);
        }
        let (a, b) = (a.snapshot().unwrap(), b.snapshot().unwrap());
        assert!(a.weights == b.weights && a.optimizer == b.optimizer, "{spec}");
        assert!(
            weights_only.snapshot().unwrap().weights != a.weights,
            "{spec}: the optimizer state made no difference"
        );
    }
}

#[test]
fn a_probe_says_what_gradients_reach_and_changes_nothing() {
    let mut r = recipe("resnet8");
    r.optimizer = optimizer("adamw");
    let mut l = learner(&r);
    let mut behind = plan(&*l, |n| !n.starts_with("layer3.0.bn2"));
    behind.no_grad_modules = vec![l.tree().modules.iter().position(|m| m.path == "layer2").unwrap()];
    l.apply_freeze(&behind).unwrap();
    let before = l.snapshot().unwrap();
    let norms = l.probe(&batch(0)).unwrap();
    assert_eq!(l.snapshot().unwrap(), before);
    for (p, norm) in l.tree().parameters.iter().zip(&norms) {
        let reached = p.name.starts_with("layer3") && !p.name.starts_with("layer3.0.bn2") || p.name.starts_with("fc");
        assert_eq!(norm.is_some_and(|n| n > 0.0), reached, "{} {norm:?}", p.name);
    }
    // The step after it is the one that there would have been.
    let mut other = learner(&r);
    other.apply_freeze(&behind).unwrap();
    assert_eq!(step(&mut *l, 0), step(&mut *other, 0));
    assert_eq!(l.snapshot().unwrap(), other.snapshot().unwrap());
}

#[test]
fn gradient_norms_are_those_of_the_last_step_and_of_what_learns() {
    let mut l = learner(&recipe("resnet8"));
    assert_eq!(l.gradient_norms().unwrap(), [], "there was no step yet");
    let global = |norms: &[Option<f64>]| norms.iter().flatten().map(|n| n * n).sum::<f64>().sqrt();
    let report = step(&mut *l, 0);
    let norms = l.gradient_norms().unwrap();
    assert!(norms.iter().all(Option::is_some), "{norms:?}");
    assert!((global(&norms) / report.grad_norm - 1.0).abs() < 1e-5, "{norms:?} {report:?}");
    // Clipped ones are what the optimizer takes.
    let clip = report.grad_norm / 10.0;
    l.step(&StepInput { clip_grad_norm: Some(clip), ..input(1, &[batch(1)]) }).unwrap();
    assert!((global(&l.gradient_norms().unwrap()) / clip - 1.0).abs() < 1e-3);
    let head = plan(&*l, |n| n.starts_with("fc"));
    l.apply_freeze(&head).unwrap();
    assert_eq!(l.gradient_norms().unwrap(), [], "those of another plan");
    step(&mut *l, 2);
    let norms = l.gradient_norms().unwrap();
    for (p, norm) in l.tree().parameters.iter().zip(&norms) {
        assert_eq!(norm.is_some(), p.name.starts_with("fc"), "{}", p.name);
    }
}

#[test]
fn a_resumed_run_keeps_its_number_of_threads() {
    let mut r = recipe("mlp");
    r.train.threads = 3;
    let first = learner(&r).snapshot().unwrap();
    assert_eq!(first.extra["threads"], 3);
    r.train.threads = 0;
    let mut other = learner(&r);
    other.restore_optimizer(&first.optimizer, &first.extra).unwrap();
    assert_eq!(other.snapshot().unwrap().extra["threads"], 3);
    // On whatever thread it computes.
    std::thread::spawn(move || {
        step(&mut *other, 0);
        assert_eq!(frostline::engine::ffi::threads(), 3);
    })
    .join()
    .unwrap();
}

#[test]
fn freezing_and_thawing_keeps_the_optimizer_state() {
    let mut l = learner(&recipe("mlp"));
    step(&mut *l, 0);
    step(&mut *l, 1);
    let slot = |l: &mut dyn Learner, name: &str| {
        l.snapshot().unwrap().optimizer.into_iter().find(|t| t.name == name).map(|t| t.to_f32().unwrap())
    };
    let before = slot(&mut *l, "fc1.weight/exp_avg").unwrap();
    let head_only = plan(&*l, |n| n.starts_with("fc2"));
    l.apply_freeze(&head_only).unwrap();
    step(&mut *l, 2);
    assert_eq!(slot(&mut *l, "fc1.weight/exp_avg").unwrap(), before);
    assert_eq!(slot(&mut *l, "fc1.weight/step").unwrap(), [2.0]);
    assert_eq!(slot(&mut *l, "fc2.weight/step").unwrap(), [3.0]);
    let all = plan(&*l, |_| true);
    l.apply_freeze(&all).unwrap();
    step(&mut *l, 3);
    assert_eq!(slot(&mut *l, "fc1.weight/step").unwrap(), [3.0]);
    assert_eq!(slot(&mut *l, "fc2.weight/step").unwrap(), [4.0]);
}

#[test]
fn optimizer_state_is_dropped_where_the_recipe_asks_for_it() {
    let mut r = recipe("mlp");
    r.freeze.optimizer_state = frostline::core::recipe::OptimizerState::Drop;
    let mut l = learner(&r);
    step(&mut *l, 0);
    let head_only = plan(&*l, |n| n.starts_with("fc2"));
    l.apply_freeze(&head_only).unwrap();
    step(&mut *l, 1);
    let steps = |l: &mut dyn Learner| -> Vec<(String, f32)> {
        let slots = l.snapshot().unwrap().optimizer.into_iter().filter(|t| t.name.ends_with("weight/step"));
        slots.map(|t| (t.name.clone(), t.to_f32().unwrap()[0])).collect()
    };
    assert_eq!(steps(&mut *l), [("fc2.weight/step".to_owned(), 2.0)]);
    let all = plan(&*l, |_| true);
    l.apply_freeze(&all).unwrap();
    step(&mut *l, 2);
    assert_eq!(steps(&mut *l), [("fc1.weight/step".to_owned(), 1.0), ("fc2.weight/step".to_owned(), 3.0)]);
}

#[test]
fn what_never_learns_has_no_optimizer_state() {
    let mut r = recipe("mlp");
    r.optimizer = optimizer("sgd-nesterov");
    let mut l = learner(&r);
    let head_only = plan(&*l, |n| n.starts_with("fc2"));
    l.apply_freeze(&head_only).unwrap();
    step(&mut *l, 0);
    let names: Vec<String> = l.snapshot().unwrap().optimizer.into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["fc2.bias/momentum_buffer", "fc2.weight/momentum_buffer"]);
}

#[test]
fn evaluation_changes_nothing_and_counts_hits() {
    let r = recipe("resnet8");
    let mut l = learner(&r);
    step(&mut *l, 0);
    let before = l.snapshot().unwrap();
    let sums = l.evaluate(&batch(1)).unwrap();
    assert_eq!(l.evaluate(&batch(1)).unwrap(), sums);
    assert_eq!(l.snapshot().unwrap(), before);
    assert_eq!(sums.samples, 16);
    assert_eq!(sums.per_class.iter().map(|c| c.0).sum::<u64>(), 16);
    assert_eq!(sums.per_class.iter().map(|c| c.1).sum::<u64>(), sums.top1.unwrap());
    assert!(sums.top5.unwrap() >= sums.top1.unwrap());
}

#[test]
fn dropout_draws_from_seed_and_step_alone() {
    let mut r = recipe("mlp");
    r.model.dropout = Some(0.5);
    let losses = |seed: u64| {
        let mut l = learner(&r);
        l.step(&StepInput { seed, ..input(0, &[batch(0)]) }).unwrap();
        l.drain(true).unwrap()[0].loss
    };
    assert_eq!(losses(1).to_bits(), losses(1).to_bits());
    assert_ne!(losses(1).to_bits(), losses(2).to_bits());
}

#[test]
fn initial_weights_depend_on_the_seed_alone() {
    let mut r = recipe("resnet8");
    let weights = |r: &Recipe| learner(r).snapshot().unwrap().weights;
    let first = weights(&r);
    assert_eq!(first, weights(&r));
    r.train.seed = 1;
    assert_ne!(first, weights(&r));
}

#[test]
fn regression_learns_values() {
    let mut r = recipe("mlp");
    r.loss.kind = frostline::core::recipe::LossKind::Mse;
    r.optimizer = OptimizerSpec { lr: 1e-2, ..OptimizerSpec::default() };
    let mut l = TorchEngine.learner(&r, &InputSpec { sample_shape: vec![4], outputs: 1 }, "cpu").unwrap();
    let x: Vec<f32> = (0..64).map(|i| ((i * 37 % 17) as f32 - 8.0) / 8.0).collect();
    let y: Vec<f32> = x.chunks(4).map(|r| r[0] - 2.0 * r[1] + 0.5 * r[3]).collect();
    let b =
        Batch { x, x_shape: vec![16, 4], y: Targets::Values { data: y, shape: vec![16] }, indices: (0..16).collect() };
    let first = l.evaluate(&b).unwrap().loss;
    for n in 0..200 {
        l.step(&input(n, std::slice::from_ref(&b))).unwrap();
    }
    let last = l.evaluate(&b).unwrap();
    assert!(last.loss < 0.05 * first, "{} of {first}", last.loss);
    assert_eq!(last.top1, None);
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let refuse = |r: &Recipe, shape: &[usize]| {
        let Err(e) = TorchEngine.learner(r, &InputSpec { sample_shape: shape.to_vec(), outputs: 10 }, "cpu") else {
            panic!("taken");
        };
        assert!(matches!(e, EngineError::Refused(_)), "{e}");
        e.to_string()
    };
    assert!(refuse(&recipe("resnit8"), &[1, 8, 8]).contains("did you mean `resnet8`"));
    assert!(refuse(&recipe("resnet18"), &[1, 8, 8]).contains("3 channels"));
    assert!(refuse(&recipe("resnet8"), &[64]).contains("takes images"));
    let mut r = recipe("mlp");
    r.loss.class_weights = vec![1.0; 3];
    assert!(refuse(&r, &[64]).contains("3 values for 10 classes"));
    let mut r = recipe("mlp");
    r.train.precision = frostline::core::recipe::Precision::Tf32;
    assert!(refuse(&r, &[64]).contains("tf32"));
}

#[test]
fn bf16_autocast_trains_and_keeps_float32_weights() {
    let mut r = recipe("mlp");
    r.train.precision = frostline::core::recipe::Precision::Bf16;
    let mut l = learner(&r);
    let first = step(&mut *l, 0);
    assert!(first.applied && first.loss.is_finite());
    let exact = step(&mut *learner(&recipe("mlp")), 0);
    assert_ne!(first.loss.to_bits(), exact.loss.to_bits());
    assert!((first.loss - exact.loss).abs() < 0.05);
    assert!(l.snapshot().unwrap().weights.iter().all(|t| t.dtype.name() == "float32"));
}

#[test]
fn the_tree_has_kinds_shapes_and_operations() {
    let l = learner(&recipe("resnet8"));
    let tree = l.tree();
    let conv = tree.modules.iter().find(|m| m.path == "layer2.0.conv1").unwrap();
    assert_eq!((conv.kind.as_str(), conv.detail.as_str()), ("Conv2d", "4->8 3x3 s2"));
    assert_eq!(conv.output_shape, Some(vec![-1, 8, 4, 4]));
    assert_eq!(conv.flops, Some(2 * 4 * 9 * 8 * 16));
    assert_eq!(tree.modules[0].output_shape, Some(vec![-1, 10]));
    let below: u64 = tree.modules.iter().filter(|m| m.parent == Some(0)).filter_map(|m| m.flops).sum();
    assert_eq!(tree.modules[0].flops, Some(below));
}

#[test]
fn the_layers_of_a_recipe_for_a_gpu_are_known_without_one() {
    let mut r = recipe("resnet8");
    let expected = learner(&r).tree().clone();
    (r.train.precision, r.train.deterministic, r.train.channels_last) = (Precision::Tf32, true, true);
    r.train.devices = vec!["cuda:7".to_owned()];
    let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 10 };
    assert_eq!(frostline::session::layers_for(&TorchEngine, &r, &input).unwrap(), expected);
    assert_eq!(frostline::session::layers(&TorchEngine, &r).unwrap(), expected);
}
