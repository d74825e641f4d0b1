//! The audit: what really changed since step 0, tensor by tensor and bit by bit, against what was meant to. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::core::event::Event;
use crate::core::freeze::{ParamState, Resolution};
use crate::core::recipe::BatchNormMode;
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;

use super::words::some_of;

/// BLAKE3 of each tensor, by name.
pub fn hashes(tensors: &[HostTensor]) -> BTreeMap<String, String> {
    tensors.iter().map(|t| (t.name.clone(), blake3::hash(&t.data).to_hex().to_string())).collect()
}

/// Which parameters learned, and which did not, at any time of the run: live edits put a parameter in both.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Learned {
    ever: BTreeSet<String>,
    paused: BTreeSet<String>,
    /// Those whose rate is 0 throughout. Kept, since who reads the checkpoint has no layer tree to match the groups' patterns with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    at_rest: BTreeSet<String>,
}

impl Learned {
    /// Takes in a plan that was in force for at least a step.
    pub fn note(&mut self, tree: &Tree, plan: &Resolution) {
        for (param, resolved) in tree.parameters.iter().zip(&plan.params) {
            let set = if resolved.state == ParamState::Trainable { &mut self.ever } else { &mut self.paused };
            if !set.contains(&param.name) {
                set.insert(param.name.clone());
            }
        }
    }

    /// Takes in which parameters have a rate of 0.
    pub fn note_at_rest(&mut self, names: BTreeSet<String>) {
        self.at_rest = names;
    }

    /// Whether its rate is 0, which excuses standing still.
    pub fn is_at_rest(&self, name: &str) -> bool {
        self.at_rest.contains(name)
    }

    fn never(&self, name: &str) -> bool {
        !self.ever.contains(name)
    }

    fn always(&self, name: &str) -> bool {
        self.ever.contains(name) && !self.paused.contains(name)
    }
}

/// Compares.
///
/// A parameter that never learned (starved ones included) must not have moved, one that always did must have, unless
/// `may_stand_still`. Buffers of a norm layer none of
/// whose parameters ever learned must not have moved, unless the recipe asks for PyTorch's way; other buffers may do as
/// they like.
pub fn judge(
    tree: &Tree,
    learned: &Learned,
    norms: BatchNormMode,
    before: &BTreeMap<String, String>,
    after: &[HostTensor],
    may_stand_still: impl Fn(&str) -> bool,
) -> Verdict {
    let mut verdict = Verdict::default();
    let params: HashSet<&str> = tree.parameters.iter().map(|p| p.name.as_str()).collect();
    let frozen = match norms {
        BatchNormMode::EvalWhenFrozen => buffers_of_frozen_modules(tree, learned),
        BatchNormMode::Pytorch => HashSet::new(),
    };
    for tensor in after {
        let hash = blake3::hash(&tensor.data).to_hex();
        let stands = before.get(&tensor.name).is_some_and(|was| was.as_str() == hash.as_str());
        let name = tensor.name.as_str();
        let wrong = match (params.contains(name), stands) {
            (true, true) => learned.always(name) && !may_stand_still(name),
            (true, false) => learned.never(name),
            (false, true) => false,
            (false, false) => frozen.contains(name),
        };
        if wrong {
            if stands { &mut verdict.lazy } else { &mut verdict.leaked }.push(name.to_owned());
            verdict.mismatched.push(name.to_owned());
        }
        if stands { &mut verdict.unmoved } else { &mut verdict.moved }.push(name.to_owned());
    }
    verdict
}

/// What an audit found.
#[derive(Debug, Default)]
pub struct Verdict {
    moved: Vec<String>,
    unmoved: Vec<String>,
    /// All that is not as it was meant, in the model's order: `leaked` and `lazy` together.
    mismatched: Vec<String>,
    leaked: Vec<String>,
    lazy: Vec<String>,
}

impl Verdict {
    /// For the log.
    pub fn event(self) -> Event {
        Event::Audit { moved: self.moved, unmoved: self.unmoved, mismatched: self.mismatched }
    }

    /// The warning, if there is one to give.
    pub fn words(&self) -> Option<String> {
        let some = |names: &[String]| some_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let leaked = (!self.leaked.is_empty()).then(|| {
            format!("{} moved though the freeze plan says that it must not; do not trust this run", some(&self.leaked))
        });
        let lazy = (!self.lazy.is_empty()).then(|| {
            format!("{} learned in every step and is bit-equal to step 0: its gradients were zero, or its rate too small to change a bit", some(&self.lazy))
        });
        let all: Vec<String> = leaked.into_iter().chain(lazy).collect();
        (!all.is_empty()).then(|| format!("audit: {}", all.join("; ")))
    }
}

/// Buffers of modules that have parameters none of which ever learned.
fn buffers_of_frozen_modules<'t>(tree: &'t Tree, learned: &Learned) -> HashSet<&'t str> {
    let mut modules: HashMap<usize, bool> = HashMap::new();
    for param in &tree.parameters {
        *modules.entry(param.module).or_insert(true) &= learned.never(&param.name);
    }
    let frozen = |module: &usize| modules.get(module).copied().unwrap_or(false);
    tree.buffers.iter().filter(|b| frozen(&b.module)).map(|b| b.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::freeze::Plan;
    use crate::engine::fake::FakeEngine;
    use crate::engine::{Engine, InputSpec};

    fn audit(rules: &[&str], moves: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut recipe = crate::core::recipe::Recipe::default();
        recipe.model.arch = "mlp".to_owned();
        let input = InputSpec { sample_shape: vec![1, 2, 2], outputs: 2 };
        let mut learner = FakeEngine::new(0).learner(&recipe, &input, "cpu").unwrap();
        let mut weights = learner.snapshot().unwrap().weights;
        let before = hashes(&weights);
        let mut learned = Learned::default();
        let rules: Vec<String> = rules.iter().map(|r| (*r).to_owned()).collect();
        learned.note(learner.tree(), &Plan::parse(&rules).unwrap().resolve(learner.tree()).unwrap());
        for t in weights.iter_mut().filter(|t| moves.iter().any(|m| t.name.starts_with(m))) {
            t.data[0] ^= 1;
        }
        let norms = BatchNormMode::EvalWhenFrozen;
        match judge(learner.tree(), &learned, norms, &before, &weights, |name| name == "layer2.0.bn1.bias").event() {
            Event::Audit { moved, mismatched, .. } => (moved, mismatched),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frozen_parameter_that_moved_and_a_trainable_one_that_stood_still_are_named() {
        let (moved, mismatched) = audit(&["freeze **", "train fc"], &["fc.weight", "layer1.0.conv1.weight"]);
        assert_eq!(moved, ["layer1.0.conv1.weight", "fc.weight"]);
        assert_eq!(mismatched, ["layer1.0.conv1.weight", "fc.bias"]);
    }

    #[test]
    fn statistics_of_a_frozen_norm_must_stand_and_those_of_a_learning_one_may_move() {
        let (_, mismatched) = audit(&["freeze **", "train bn1.weight"], &["bn1.weight", "bn1.running_mean"]);
        assert!(mismatched.is_empty(), "{mismatched:?}");
        let (_, mismatched) = audit(&["freeze **", "train fc"], &["fc", "bn1.running_mean"]);
        assert_eq!(mismatched, ["bn1.running_mean"]);
    }
}
