use super::*;
use crate::core::freeze::{ParamState, Resolution, ResolvedParam};
use crate::core::recipe::{OnNan, OptimizerKind};
use crate::engine::{Batch, StepInput, Targets};

fn learner(quirk: impl Fn(FakeEngine) -> FakeEngine) -> Box<dyn Learner> {
    let mut recipe = Recipe::default();
    recipe.model.arch = "mlp".to_owned();
    recipe.model.dropout = Some(0.2);
    recipe.optimizer.kind = OptimizerKind::Sgd;
    recipe.optimizer.lr = 0.1;
    recipe.optimizer.momentum = 0.9;
    let input = InputSpec { sample_shape: vec![1, 2, 2], outputs: 3 };
    quirk(FakeEngine::new(1)).learner(&recipe, &input, "cpu").unwrap()
}

fn batch() -> Batch {
    let x = (0..48).map(|i| (i as f32 * 0.7).sin()).collect();
    let y = (0..12).map(|i| i % 3).collect();
    Batch { x, x_shape: vec![12, 1, 2, 2], y: Targets::Classes(y), indices: (0..12).collect() }
}

fn train(learner: &mut dyn Learner, steps: std::ops::Range<u64>, on_nan: OnNan) {
    let micro = [batch()];
    for step in steps {
        let input = StepInput { step, seed: 3, micro: &micro, lr_scale: 1.0, clip_grad_norm: None, on_nan };
        learner.step(&input).unwrap();
    }
}

fn freeze(learner: &dyn Learner, frozen: &str) -> Resolution {
    let state = |name: &str| if name.starts_with(frozen) { ParamState::Frozen } else { ParamState::Trainable };
    let params = learner.tree().parameters.iter();
    let params = params.map(|p| ResolvedParam { state: state(&p.name), reason: "".into() }).collect();
    Resolution { params, no_grad_modules: Vec::new() }
}

#[test]
fn it_learns_and_is_the_same_bits_twice() {
    let (mut a, mut b) = (learner(|e| e), learner(|e| e));
    let before = a.evaluate(&batch()).unwrap().loss;
    train(&mut *a, 0..60, OnNan::Stop);
    train(&mut *b, 0..60, OnNan::Stop);
    assert!(a.evaluate(&batch()).unwrap().loss < before / 2.0);
    assert_eq!(a.snapshot().unwrap(), b.snapshot().unwrap());
}

#[test]
fn a_restored_learner_goes_on_with_the_same_bits_and_weights_alone_are_not_enough() {
    let mut a = learner(|e| e);
    train(&mut *a, 0..5, OnNan::Stop);
    let middle = a.snapshot().unwrap();
    train(&mut *a, 5..9, OnNan::Stop);
    let mut b = learner(|e| e);
    b.restore_weights(&middle.weights).unwrap();
    b.restore_optimizer(&middle.optimizer, &middle.extra).unwrap();
    train(&mut *b, 5..9, OnNan::Stop);
    assert_eq!(a.snapshot().unwrap(), b.snapshot().unwrap());
    let mut c = learner(|e| e);
    c.restore_weights(&middle.weights).unwrap();
    train(&mut *c, 5..9, OnNan::Stop);
    assert_ne!(a.snapshot().unwrap(), c.snapshot().unwrap());
}

#[test]
fn a_frozen_block_stays_while_its_neighbours_move() {
    let mut learner = learner(|e| e);
    let plan = freeze(&*learner, "layer1");
    learner.apply_freeze(&plan).unwrap();
    let before = learner.snapshot().unwrap().weights;
    train(&mut *learner, 0..3, OnNan::Stop);
    for (a, b) in before.iter().zip(&learner.snapshot().unwrap().weights) {
        assert_eq!(a == b, a.name.starts_with("layer1"), "{}", a.name);
    }
}

#[test]
fn no_grad_stops_what_is_before_it() {
    let mut learner = learner(|e| e);
    let mut plan = freeze(&*learner, "layer1");
    let path = |path: &str| learner.tree().modules.iter().position(|m| m.path == path).unwrap();
    plan.no_grad_modules = vec![path("layer1")];
    learner.apply_freeze(&plan).unwrap();
    let before = learner.snapshot().unwrap().weights;
    train(&mut *learner, 0..3, OnNan::Stop);
    let after = learner.snapshot().unwrap().weights;
    let moved = |name: &str| before.iter().zip(&after).any(|(a, b)| a.name == name && a != b);
    assert!(!moved("conv1.weight"));
    assert!(moved("layer2.0.conv1.weight"));
}

#[test]
fn a_bad_step_is_not_applied_and_nothing_after_it_under_stop() {
    let mut learner = learner(|e| e.with_nan_at(2).with_lag(4));
    train(&mut *learner, 0..2, OnNan::Stop);
    let before = learner.snapshot().unwrap();
    train(&mut *learner, 2..5, OnNan::Stop);
    assert_eq!(learner.snapshot().unwrap(), before);
    assert_eq!(learner.drain(false).unwrap().len(), 1);
    let reports = learner.drain(true).unwrap();
    assert_eq!(reports.iter().map(|r| r.applied).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(reports.iter().map(|r| r.non_finite.concat()).collect::<Vec<_>>(), ["", "fc.weight", "", ""]);
}

#[test]
fn the_backward_pass_agrees_with_finite_differences() {
    let input = InputSpec { sample_shape: vec![1, 2, 2], outputs: 3 };
    let mut net = net::Net::new(5, &input, 4, 0.0);
    let batch = batch();
    let kind = crate::core::recipe::LossKind::CrossEntropy;
    net.train(&batch, kind, 1.0, 0);
    let grads: Vec<Vec<f32>> = net.params_mut().into_iter().map(|p| p.grad.clone()).collect();
    for (index, grads) in grads.iter().enumerate() {
        for (i, grad) in grads.iter().enumerate().take(3) {
            let at = |delta: f32| {
                let mut moved = net.clone();
                moved.params_mut()[index].value[i] += delta;
                moved.train(&batch, kind, 1.0, 0)
            };
            let numeric = (at(1e-3) - at(-1e-3)) / 2e-3;
            assert!((numeric - grad).abs() < 2e-2 * grad.abs().max(0.3), "parameter {index}[{i}]: {numeric} {grad}");
        }
    }
}
