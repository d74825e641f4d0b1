//! What a freeze plan saves: gradients and optimizer state that are not held, and work of the backward pass that is not done.

use std::collections::HashSet;

use crate::core::freeze::{ParamState, Resolution};
use crate::core::recipe::{OptimizerKind, OptimizerSpec};
use crate::core::tree::Tree;

/// Counts from the tree alone; nothing is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Savings {
    /// Bytes of gradients that are held, and that would be with everything trainable.
    pub gradients: (u64, u64),
    /// The same of optimizer state.
    pub optimizer: (u64, u64),
    /// Operations of one sample's backward pass, done and in all; none where the model was not traced.
    pub backward: Option<(u64, u64)>,
}

/// Tensors that the optimizer keeps for each parameter.
pub fn slots(spec: &OptimizerSpec) -> u64 {
    match spec.kind {
        OptimizerKind::Sgd => u64::from(spec.momentum != 0.0),
        OptimizerKind::Adam | OptimizerKind::Adamw => 2 + u64::from(spec.amsgrad),
    }
}

/// Counts what a plan holds and does.
pub fn savings(tree: &Tree, plan: &Resolution, slots: u64) -> Savings {
    let learns = |p: usize| plan.state(p) == Some(ParamState::Trainable);
    let (mut held, mut all) = (0, 0);
    for (i, param) in tree.parameters.iter().enumerate() {
        all += param.bytes() as u64;
        held += if learns(i) { param.bytes() as u64 } else { 0 };
    }
    Savings { gradients: (held, all), optimizer: (held * slots, all * slots), backward: backward(tree, plan) }
}

/// A layer's backward costs its forward once for the gradient of its weights and once for that of its input. The first is
/// left out where its weights do not learn, the second where nothing before it learns, both where `no_grad` lies on it or
/// behind it. "Before" is the order of registration, which nearly always is that of the forward.
fn backward(tree: &Tree, plan: &Resolution) -> Option<(u64, u64)> {
    let parents: HashSet<usize> = tree.modules.iter().filter_map(|m| m.parent).collect();
    let no_grad = plan.no_grad_mask(tree);
    let mut learning = vec![false; tree.modules.len()];
    for (i, p) in tree.parameters.iter().enumerate() {
        if plan.state(i) == Some(ParamState::Trainable) {
            learning[p.module] = true;
        }
    }
    // Of each module what it does itself: a leaf's forward, nothing for what contains others.
    let own = |m: usize| if parents.contains(&m) { 0 } else { tree.modules[m].flops.unwrap_or(0) };
    let own: Vec<u64> = (0..tree.modules.len()).map(own).collect();
    let first = own.iter().find(|f| **f > 0)?;
    let full = 2 * own.iter().sum::<u64>() - first;
    let behind = no_grad.iter().rposition(|n| *n).map_or(0, |m| m + 1);
    let (mut done, mut below) = (0, false);
    for (flops, learns) in own.iter().zip(&learning).skip(behind) {
        done += flops * (u64::from(*learns) + u64::from(below));
        below |= learns;
    }
    Some((done, full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::core::freeze::Plan;

    fn of(rules: &[&str]) -> Savings {
        let mut tree = sample::tree();
        for (path, flops) in [("conv1", 100), ("layer1.0.conv1", 200), ("layer2.0.conv1", 400), ("fc", 10)] {
            let m = tree.module(path).unwrap();
            tree.modules[m].flops = Some(flops);
        }
        let plan = Plan::parse(rules).unwrap().resolve(&tree).unwrap();
        savings(&tree, &plan, 2)
    }

    #[test]
    fn backward_work_ends_where_nothing_before_learns() {
        let full = 2 * 710 - 100;
        assert_eq!(of(&[]).backward, Some((full, full)), "the first layer's input needs no gradient");
        assert_eq!(of(&["freeze **", "train fc"]).backward, Some((10, full)));
        assert_eq!(of(&["freeze **", "train layer2"]).backward, Some((400 + 10, full)));
        assert_eq!(of(&["freeze layer2"]).backward, Some((full - 400, full)));
        assert_eq!(of(&["no_grad layer2"]).backward, Some((10, full)));
    }

    #[test]
    fn what_does_not_learn_has_neither_gradient_nor_state() {
        let saved = of(&["freeze **", "train fc"]);
        assert_eq!(saved.gradients.0, (5 * 32 + 5) * 4);
        assert_eq!(saved.optimizer, (2 * saved.gradients.0, 2 * saved.gradients.1));
        assert_eq!(slots(&OptimizerSpec::default()), 2);
    }
}
