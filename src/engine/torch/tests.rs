//! What a learner does to the process that it lives in.

use tch::Device;

use super::TorchLearner;
use super::construct::flags;
use super::memory::tests::GIVEN_BACK;
use crate::core::recipe::{Precision, Recipe};
use crate::core::tensor::HostTensor;
use crate::engine::api::{Batch, InputSpec, Learner, StepInput};
use crate::engine::data::{self, EpochPlan};
use crate::engine::device;
use crate::engine::ffi::flags::Flags;
use crate::engine::ffi::has_grad;

const RECIPE: &str = "
    model = { arch = 'resnet8', width = 4 }
    data = { source = 'digits', classes = [0, 1], workers = 0 }
    train = { steps = 4, batch_size = 8, devices = ['cpu'], threads = 1 }
";

fn recipe() -> Recipe {
    Recipe::parse(RECIPE, "test.toml", std::path::Path::new("."), &[]).unwrap()
}

fn build() -> (TorchLearner, Batch) {
    let recipe = recipe();
    let data = data::open(&recipe.data, None, 0).unwrap();
    let input = InputSpec { sample_shape: data.info().sample_shape.clone(), outputs: data.info().outputs };
    let plan = EpochPlan { seed: 0, epoch: 0, batch_size: 8, shuffle: true, drop_last: false, start_batch: 0 };
    let batch = data.train(plan).next().unwrap().unwrap();
    (TorchLearner::new(&recipe, &input, "cpu").unwrap(), batch)
}

fn step(learner: &mut TorchLearner, step: u64, batch: &Batch) {
    let micro = std::slice::from_ref(batch);
    let (lr_scale, clip_grad_norm, on_nan) = (1.0, None, Default::default());
    learner.step(&StepInput { step, seed: 0, micro, lr_scale, clip_grad_norm, on_nan }).unwrap();
}

fn weights(learner: &mut TorchLearner) -> Vec<HostTensor> {
    learner.snapshot().unwrap().weights
}

/// Runs a test of this file in a process of its own, which no other test disturbs. False in that process.
fn alone(test: &str) -> bool {
    const ALONE: &str = "FROSTLINE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let name = format!("engine::torch::tests::{test}");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let out = command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains("Warning"), "{said}");
    true
}

#[test]
fn the_processs_flags_are_those_of_whoever_computes_and_not_of_whoever_is_built() {
    if alone("the_processs_flags_are_those_of_whoever_computes_and_not_of_whoever_is_built") {
        return;
    }
    let (mut live, batch) = build();
    live.flags = Flags { deterministic: true, benchmark: false, tf32: true };
    step(&mut live, 0, &batch);
    assert_eq!(Flags::in_force().unwrap(), live.flags);
    let (mut other, _) = build();
    assert_eq!(Flags::in_force().unwrap(), live.flags, "another one was built beside it");
    for flags in [Flags::default(), Flags { benchmark: true, ..Flags::default() }] {
        other.flags = flags;
        other.evaluate(&batch).unwrap();
        assert_eq!(Flags::in_force().unwrap(), flags);
        step(&mut live, 1, &batch);
        assert_eq!(Flags::in_force().unwrap(), live.flags);
    }
}

#[test]
fn a_recipe_says_the_flags_and_the_cpu_has_none() {
    let mut recipe = recipe();
    (recipe.train.deterministic, recipe.train.precision) = (true, Precision::Tf32);
    let expected = Flags { deterministic: true, benchmark: false, tf32: true };
    assert_eq!(flags(&recipe, Device::Cuda(1)), expected);
    assert_eq!(flags(&recipe, Device::Cpu), Flags::default());
    (recipe.train.deterministic, recipe.train.cudnn_benchmark) = (false, true);
    for precision in [Precision::Fp32, Precision::Bf16, Precision::Fp16] {
        recipe.train.precision = precision;
        let expected = Flags { deterministic: false, benchmark: true, tf32: false };
        assert_eq!(flags(&recipe, Device::Cuda(0)), expected, "{precision:?}");
    }
}

#[test]
fn cuda_is_looked_for_before_anything_computes_on_the_cpu() {
    if alone("cuda_is_looked_for_before_anything_computes_on_the_cpu") {
        return;
    }
    assert!(!device::asked());
    let _learner = build();
    assert!(device::asked());
}

#[test]
fn the_devices_memory_is_given_back_after_a_learner_and_after_one_that_was_never_whole() {
    let given = || GIVEN_BACK.take().len();
    let (learner, _) = build();
    assert_eq!(given(), 0);
    drop(learner);
    assert_eq!(given(), 1);
    let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 2 };
    let mut other = recipe();
    other.model.arch = "resnet9".to_owned();
    assert!(TorchLearner::new(&other, &input, "cpu").is_err());
    assert_eq!(given(), 1);
    assert!(TorchLearner::new(&recipe(), &input, "cuda:63").is_err(), "there is no such device");
    assert_eq!(given(), 1);
    // Where others may never come to an end of what they are at, nobody waits for it.
    let (mut learner, _) = build();
    learner.abandon();
    drop(learner);
    assert_eq!(given(), 0);
}

#[test]
fn room_is_made_of_gradients_and_changes_no_bit() {
    let ((mut a, batch), (mut b, _)) = (build(), build());
    for n in 0..3 {
        step(&mut a, n, &batch);
        step(&mut b, n, &batch);
        a.make_room().unwrap();
        assert!(has_grad(&a.all).unwrap().iter().all(|has| !has));
    }
    assert!(weights(&mut a) == weights(&mut b));
    assert_eq!(a.snapshot().unwrap().optimizer, b.snapshot().unwrap().optimizer);
}

#[test]
fn a_probe_that_is_measured_twice_finds_the_same_and_leaves_no_trace() {
    let ((mut once, batch), (mut twice, _)) = (build(), build());
    twice.flags.benchmark = true;
    let before = weights(&mut twice);
    assert_eq!(once.probe(&batch).unwrap(), twice.probe(&batch).unwrap());
    assert_eq!(once.probe_peak(), twice.probe_peak());
    assert!(before == weights(&mut twice));
    twice.flags.benchmark = false;
    step(&mut once, 0, &batch);
    step(&mut twice, 0, &batch);
    assert!(weights(&mut once) == weights(&mut twice));
}
