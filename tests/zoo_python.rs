//! The zoo against Python's torchvision (`scripts/zoo_reference.py`): state dicts load strictly, and outputs, losses and the
//! values after a step of SGD agree. `FROSTLINE_ZOO=all` takes every architecture, which takes long.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/python.rs"]
mod python;

use std::collections::BTreeMap;
use std::path::Path;

use frostline::core::recipe::{LoadSpec, OnNan, OptimizerKind, Recipe};
use frostline::core::tensor::{DType, HostTensor};
use frostline::core::weights;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, InputSpec, Learner, StepInput, Targets};
use serde_json::Value;

/// A small member of each family.
const SMALL: &[&str] = &[
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "squeezenet1_1",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_32",
];

/// Values of a tensor that are compared after a step, and those that its distribution is judged by.
const SAMPLE: usize = 512;
const DRAWS: usize = 65_536;

type Told = BTreeMap<String, Vec<f32>>;

fn told(path: &Path) -> Told {
    let tensors = weights::read(path, None).unwrap().into_tensors().unwrap();
    tensors.into_iter().filter(|t| t.name != "y").map(|t| (t.name.clone(), t.to_f32().unwrap())).collect()
}

/// The largest distance, over the largest value of the reference.
fn distance(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let far = ours.iter().zip(theirs).map(|(a, b)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() });
    far.fold(0.0, f32::max) / scale
}

/// At most so many values of a tensor, evenly taken, as the script takes them. Read from the bytes, since whole tensors take
/// long in a build for tests.
fn sample(t: &HostTensor, most: usize) -> Vec<f32> {
    let step = t.shape.iter().product::<usize>().div_ceil(most).max(1);
    match t.dtype {
        DType::Float32 => {
            t.data.chunks_exact(4).step_by(step).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        }
        _ => t.data.chunks_exact(8).step_by(step).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
    }
}

fn spread(t: &HostTensor) -> [f64; 3] {
    let values = sample(t, DRAWS);
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    [mean, variance.sqrt(), values.iter().copied().reduce(f32::max).map_or(0.0, f64::from)]
}

/// Fresh values have torchvision's distributions: the same spread, and the same reach where it has an end.
fn same_distributions(arch: &str, fresh: &[HostTensor], told: &Told) {
    for t in fresh.iter().filter(|t| !t.name.ends_with("num_batches_tracked")) {
        let theirs: Vec<f64> = told[&format!("init.{}", t.name)].iter().map(|v| f64::from(*v)).collect();
        let ours = spread(t);
        let n = t.shape.iter().product::<usize>().min(DRAWS) as f64;
        // Five deviations of what n draws give.
        let slack = (5.0 / n.sqrt()).max(1e-3);
        let what = || format!("{arch}: {}: {ours:?} here, {theirs:?} in torchvision", t.name);
        assert!((ours[1] - theirs[1]).abs() <= slack * theirs[1] + 1e-9, "{}", what());
        assert!((ours[0] - theirs[0]).abs() <= 2.0 * slack * theirs[1] + 1e-9, "{}", what());
        if n >= 4096.0 && theirs[1] > 0.0 {
            // A uniform distribution ends at sqrt(3) deviations, a normal one far beyond.
            let uniform = |s: &[f64]| s[2] < 1.8 * s[1];
            assert_eq!(uniform(&ours), uniform(&theirs), "{}", what());
        }
    }
}

struct Found {
    logits: f32,
    loss: f32,
    after: f32,
    worst: String,
    trained: f32,
}

fn agrees(fact: &Value, folder: &Path) -> Found {
    let arch = fact["arch"].as_str().unwrap();
    let number = |key: &str| usize::try_from(fact[key].as_u64().unwrap()).unwrap();
    let (side, classes) = (number("side"), number("classes"));
    let told = told(&folder.join(format!("{arch}.told.safetensors")));

    let mut r = Recipe::default();
    r.model.arch = arch.to_owned();
    r.model.stochastic_depth = Some(0.0);
    r.model.dropout = Some(0.0);
    r.optimizer.kind = OptimizerKind::Sgd;
    r.optimizer.lr = fact["lr"].as_f64().unwrap();
    r.train.threads = 1;
    let input = InputSpec { sample_shape: vec![3, side, side], outputs: classes };
    let mut l = TorchEngine.learner(&r, &input, "cpu").unwrap();
    assert_eq!(number("parameters"), l.tree().parameters.iter().map(|p| p.count()).sum::<usize>(), "{arch}");
    same_distributions(arch, &l.snapshot().unwrap().weights, &told);

    let file = folder.join(format!("{arch}.safetensors"));
    let weights::Found::InFile(state) = weights::find_some(&file, None, &|_| true).unwrap() else { panic!("{arch}") };
    let strict = LoadSpec::default();
    assert!(strict.strict);
    let (state, report) = state.map_onto(l.tree(), &strict, "").unwrap();
    assert_eq!(report.defaulted, Vec::<String>::new(), "{arch}");
    l.restore_from_files(&state).unwrap();

    let x_shape = vec![told["x"].len() / (3 * side * side), 3, side, side];
    let predict = |l: &mut dyn Learner| l.predict(&told["x"], &x_shape).unwrap().to_f32().unwrap();
    // Outputs that say something: those of different images differ.
    assert!(distance(&told["logits"][..classes], &told["logits"][classes..2 * classes]) > 0.01, "{arch}");
    let logits = distance(&predict(&mut *l), &told["logits"]);
    let micro = [Batch {
        x: told["x"].clone(),
        x_shape: x_shape.clone(),
        y: Targets::Classes((0..x_shape[0]).map(|i| (i % classes) as i64).collect()),
        indices: (0..x_shape[0] as u64).collect(),
    }];
    l.step(&StepInput { step: 0, seed: 7, micro: &micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop })
        .unwrap();
    let loss = l.drain(true).unwrap().pop().unwrap().loss as f32;
    let (mut after, mut worst) = (0.0, String::new());
    for t in l.snapshot().unwrap().weights {
        // Against how far the values moved: against themselves nearly everything would agree after one step. What rounding
        // alone can do to them is let pass.
        let (theirs, before) = (&told[&format!("after.{}", t.name)], &told[&format!("before.{}", t.name)]);
        let moved = theirs.iter().zip(before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let size = theirs.iter().map(|v| v.abs()).fold(0.0, f32::max);
        for (a, b) in sample(&t, SAMPLE).iter().zip(theirs) {
            let off = ((a - b).abs() - 1e-6 * size.max(0.01)).max(0.0) / moved.max(f32::MIN_POSITIVE);
            if off > after || off.is_nan() {
                after = off;
                worst = format!("{}: {a} here, {b} in torchvision, moved by {moved}", t.name);
            }
        }
    }
    let trained = distance(&predict(&mut *l), &told["logits_after"]);
    Found { logits, loss: (loss - told["loss"][0]).abs() / told["loss"][0], after, worst, trained }
}

#[test]
fn models_compute_and_learn_as_torchvisions_do() {
    let Some(python) = python::python() else { return };
    let all = std::env::var("FROSTLINE_ZOO").is_ok_and(|v| v == "all");
    let every: Value = serde_json::from_str(include_str!("fixtures/zoo.json")).unwrap();
    let asked: Vec<String> = match std::env::var("FROSTLINE_ZOO") {
        Ok(names) if !all => names.split(',').map(ToOwned::to_owned).collect(),
        _ if all => every.as_object().unwrap().keys().cloned().collect(),
        _ => SMALL.iter().map(|s| (*s).to_owned()).collect(),
    };
    // A state dict has up to 2.5 GB: a few at a time.
    for some in asked.chunks(if all { 1 } else { 4 }) {
        let folder = tempfile::tempdir().unwrap();
        let mut args = vec!["write", folder.path().to_str().unwrap()];
        args.extend(some.iter().map(String::as_str));
        for line in python::run_script(&python, "zoo_reference.py", &args).lines() {
            let fact: Value = serde_json::from_str(line).unwrap();
            let arch = fact["arch"].as_str().unwrap();
            let f = agrees(&fact, folder.path());
            println!(
                "{arch}: logits {:.1e}, loss {:.1e}, step {:.1e}, logits after it {:.1e}",
                f.logits, f.loss, f.after, f.trained
            );
            assert!(f.logits <= 1e-4, "{arch}: logits {}", f.logits);
            assert!(f.loss <= 1e-4, "{arch}: loss {}", f.loss);
            assert!(f.after <= 1e-3, "{arch}: {}: {}", f.after, f.worst);
            assert!(f.trained <= 1e-3, "{arch}: logits after a step {}", f.trained);
        }
    }
}

#[test]
fn dropout_and_stochastic_depth_come_from_the_seed_and_the_step() {
    let mut r = Recipe::default();
    r.model.arch = "efficientnet_b0".to_owned();
    r.train.threads = 1;
    let input = InputSpec { sample_shape: vec![3, 32, 32], outputs: 3 };
    let learner = |r: &Recipe| TorchEngine.learner(r, &input, "cpu").unwrap();
    let micro = [Batch {
        x: (0..4 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect(),
        x_shape: vec![4, 3, 32, 32],
        y: Targets::Classes(vec![0, 1, 2, 0]),
        indices: (0..4).collect(),
    }];
    let loss = |l: &mut dyn Learner, step: u64| {
        l.step(&StepInput { step, seed: 7, micro: &micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop })
            .unwrap();
        l.drain(true).unwrap().pop().unwrap().loss
    };
    let mut first = learner(&r);
    let begun = loss(&mut *first, 0);
    let saved = first.snapshot().unwrap();
    let mut second = learner(&r);
    second.restore_weights(&saved.weights).unwrap();
    second.restore_optimizer(&saved.optimizer, &saved.extra).unwrap();
    for step in 1..3 {
        assert_eq!(loss(&mut *first, step).to_bits(), loss(&mut *second, step).to_bits(), "step {step}");
    }
    assert_eq!(first.snapshot().unwrap().weights, second.snapshot().unwrap().weights);
    // The rates do something.
    r.model.dropout = Some(0.0);
    let without = loss(&mut *learner(&r), 0);
    r.model.stochastic_depth = Some(0.0);
    let still = loss(&mut *learner(&r), 0);
    assert!(begun.to_bits() != without.to_bits() && without.to_bits() != still.to_bits(), "{begun} {without} {still}");
}
