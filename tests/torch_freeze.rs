//! Random freeze plans on small libtorch models: what does not learn keeps its bits, what learns moves.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use frostline::core::freeze::{ParamState, Plan};
use frostline::core::recipe::{OnNan, Recipe};
use frostline::core::tree::Tree;
use frostline::engine::data::EpochPlan;
use frostline::engine::torch::TorchEngine;
use frostline::engine::train::{self, Built, Position, TrainError};
use frostline::engine::{Batch, StepInput};
use proptest::prelude::*;

/// Gradients below this may be lost in the rounding of an update.
const TINY: f64 = 1e-6;

fn built(arch: &str) -> Built {
    // No weight decay: then a gradient alone moves a parameter.
    let text = format!(
        "[model]\narch = '{arch}'\nwidth = 4\nhidden = [8, 8]\n[data]\nworkers = 0\n\
         [optimizer]\nweight_decay = 0.0\n[train]\nbatch_size = 16\ndevices = ['cpu']\nthreads = 1\n"
    );
    train::model(&TorchEngine, &Recipe::parse(&text, "test.toml", Path::new("/"), &[]).unwrap()).unwrap()
}

fn batches() -> &'static Vec<Batch> {
    static BATCHES: OnceLock<Vec<Batch>> = OnceLock::new();
    BATCHES.get_or_init(|| {
        let epoch = EpochPlan { seed: 0, epoch: 0, batch_size: 16, shuffle: true, drop_last: true, start_batch: 0 };
        built("mlp").data.train(epoch).take(3).map(Result::unwrap).collect()
    })
}

/// Modules and parameters by name, for rules.
fn names(tree: &Tree) -> Vec<String> {
    let modules = tree.modules.iter().map(|m| m.path.clone()).filter(|path| !path.is_empty());
    modules.chain(tree.parameters.iter().map(|p| p.name.clone())).collect()
}

/// `(action, name's number)`: a third of the plans begin with everything frozen.
fn rules() -> impl Strategy<Value = Vec<(&'static str, prop::sample::Index)>> {
    let action = prop::sample::select(vec!["freeze", "freeze", "train", "train", "no_grad"]);
    prop::collection::vec((action, any::<prop::sample::Index>()), 1..5)
}

fn check(arch: &str, all_frozen: bool, rules: &[(&str, prop::sample::Index)]) -> Result<(), TestCaseError> {
    let mut b = built(arch);
    let tree = b.learner.tree().clone();
    let names = names(&tree);
    let mut plan = Plan::parse(if all_frozen { &["freeze **"][..] } else { &[] }).unwrap();
    for (action, index) in rules {
        let mut longer = plan.rules();
        longer.push(format!("{action} {}", index.get(&names)));
        // A freeze of modules without parameters is refused: such a rule is left out.
        let tried = Plan::parse(&longer).unwrap();
        if tried.resolve(&tree).is_ok() {
            plan = tried;
        }
    }
    let said = format!("{arch} {:?}", plan.rules());

    match b.put(plan, &Position::default()) {
        Ok(()) => {}
        Err(TrainError::Refused(_)) => return Ok(()), // nothing would learn: such a run does not start
        Err(e) => panic!("{said}: {e}"),
    }
    let resolution = b.resolution.clone();
    let norms = b.learner.probe(&batches()[0]).unwrap();
    for ((p, state), norm) in tree.parameters.iter().zip(resolution.states()).zip(&norms) {
        prop_assert_eq!(norm.is_some(), state == ParamState::Trainable, "{}: {}", &said, &p.name);
    }

    let learned_norms: HashSet<usize> = {
        let frozen: HashSet<usize> = resolution.frozen_norms(&tree).into_iter().collect();
        (0..tree.modules.len()).filter(|m| tree.modules[*m].is_norm() && !frozen.contains(m)).collect()
    };
    let before = b.learner.snapshot().unwrap().weights;
    for (n, batch) in batches().iter().enumerate() {
        let micro = std::slice::from_ref(batch);
        let input =
            StepInput { step: n as u64, seed: 0, micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop };
        b.learner.step(&input).unwrap();
    }
    prop_assert!(b.learner.drain(true).unwrap().iter().all(|r| r.applied));
    let after = b.learner.snapshot().unwrap();
    let moved: HashSet<&str> =
        before.iter().zip(&after.weights).filter(|(a, b)| a != b).map(|(a, _)| a.name.as_str()).collect();

    for (i, p) in tree.parameters.iter().enumerate() {
        let learns = resolution.state(i) == Some(ParamState::Trainable);
        prop_assert!(learns || !moved.contains(p.name.as_str()), "{}: {} moved", &said, &p.name);
        let must = norms[i].is_some_and(|n| n > TINY);
        prop_assert!(!must || moved.contains(p.name.as_str()), "{}: {} did not move", &said, &p.name);
        let has_state = after.optimizer.iter().any(|t| t.name.starts_with(&format!("{}/", p.name)));
        prop_assert_eq!(has_state, learns, "{}: optimizer state of {}", &said, &p.name);
    }
    for buffer in &tree.buffers {
        let moved = moved.contains(buffer.name.as_str());
        prop_assert_eq!(moved, learned_norms.contains(&buffer.module), "{}: {}", &said, &buffer.name);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn under_any_plan_only_what_learns_changes(all_frozen in prop::bool::weighted(0.3), rules in rules()) {
        check("mlp", all_frozen, &rules)?;
        check("resnet8", all_frozen, &rules)?;
    }
}
