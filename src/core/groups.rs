//! Parameter groups: from a recipe's `[optimizer]` to the learning rate and weight decay of each parameter. Pure.
//!
//! Imports the recipe's types, the tree and the patterns of freeze plans. Called by the engines when they build a learner.

use std::collections::BTreeSet;

use crate::core::freeze::{Pattern, Preset, blocks};
use crate::core::recipe::{OptimizerKind, OptimizerSpec};
use crate::core::tree::Tree;

/// Numbers of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Base learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Why `optimizer.groups` do not fit the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("optimizer.groups[{number}].match: `{pattern}` {problem}")]
pub struct GroupError {
    /// Number of the group in the recipe, from 0.
    pub number: usize,
    /// Its pattern.
    pub pattern: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// PyTorch's default weight decay of the kind: 0.01 for AdamW, else 0.
pub fn default_weight_decay(kind: OptimizerKind) -> f64 {
    if kind == OptimizerKind::Adamw { 0.01 } else { 0.0 }
}

/// The group of each parameter, in the tree's order: that of the first of the recipe's groups that matches, else the optimizer's values.
///
/// `layer_decay` falls on parameters that have the optimizer's rate: a group's own rate is meant as it stands.
pub fn groups(spec: &OptimizerSpec, tree: &Tree) -> Result<Vec<Group>, GroupError> {
    let weight_decay = spec.weight_decay.unwrap_or_else(|| default_weight_decay(spec.kind));
    let rate = |depth: usize| spec.lr * spec.layer_decay.powi(i32::try_from(depth).unwrap_or(i32::MAX));
    let depths = depths(tree);
    let mut all: Vec<Group> = depths.iter().map(|&d| Group { lr: rate(d), weight_decay }).collect();
    // From the last group to the first, so that the first that matches has the last word.
    for (number, group) in spec.groups.iter().enumerate().rev() {
        let fail = |problem: String| GroupError { number, pattern: group.pattern.clone(), problem };
        let pattern: Pattern = group.pattern.parse().map_err(fail)?;
        let found = pattern.parameters(tree);
        if found.is_empty() {
            return Err(fail(format!("matches no parameter of the model{}", pattern.hint(tree))));
        }
        for p in found {
            all[p] = Group {
                lr: group.lr.unwrap_or_else(|| rate(depths[p])),
                weight_decay: group.weight_decay.unwrap_or(weight_decay),
            };
        }
    }
    if spec.no_decay_norm_bias {
        for preset in [Preset::Norms, Preset::Biases] {
            for p in Pattern::Preset(preset).parameters(tree) {
                all[p].weight_decay = 0.0;
            }
        }
    }
    Ok(all)
}

/// Parameters whose group has a rate of 0: whatever they learn, they do not move.
pub fn at_rest(spec: &OptimizerSpec, tree: &Tree) -> Result<BTreeSet<String>, GroupError> {
    let groups = groups(spec, tree)?;
    let still = tree.parameters.iter().zip(groups).filter(|(_, group)| group.lr == 0.0);
    Ok(still.map(|(param, _)| param.name.clone()).collect())
}

/// How many blocks lie between each parameter and the end of the model; 0 in the last. Blocks are those of `preset:last:N`. What lies in
/// none (a vision transformer's `class_token` and `pos_embedding`) counts with the first, as it feeds it.
fn depths(tree: &Tree) -> Vec<usize> {
    let blocks = blocks(tree);
    let last = blocks.len().saturating_sub(1);
    let mut of_module: Vec<Option<usize>> = vec![None; tree.modules.len()];
    for (i, &block) in blocks.iter().enumerate() {
        of_module[block] = Some(last - i);
    }
    for m in 0..of_module.len() {
        if let (None, Some(parent)) = (of_module[m], tree.modules[m].parent.filter(|&p| p < m)) {
            of_module[m] = of_module[parent];
        }
    }
    tree.parameters.iter().map(|p| of_module.get(p.module).copied().flatten().unwrap_or(last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::GroupSpec;
    use crate::core::tree::samples::{small_resnet, tree_of};

    fn spec() -> OptimizerSpec {
        OptimizerSpec { kind: OptimizerKind::Sgd, lr: 0.1, weight_decay: Some(1e-4), ..OptimizerSpec::default() }
    }

    fn group(pattern: &str, lr: Option<f64>, weight_decay: Option<f64>) -> GroupSpec {
        GroupSpec { pattern: pattern.into(), lr, weight_decay }
    }

    fn of(tree: &Tree, spec: &OptimizerSpec, name: &str) -> Group {
        groups(spec, tree).unwrap()[tree.parameter(name).unwrap()]
    }

    #[test]
    fn without_more_every_parameter_has_the_optimizers_values() {
        let tree = small_resnet();
        let all = groups(&spec(), &tree).unwrap();
        assert_eq!(all, vec![Group { lr: 0.1, weight_decay: 1e-4 }; tree.parameters.len()]);
        assert_eq!(groups(&OptimizerSpec::default(), &tree).unwrap()[0].weight_decay, 0.01, "AdamW's default");
        let adam = OptimizerSpec { kind: OptimizerKind::Adam, ..OptimizerSpec::default() };
        assert_eq!(groups(&adam, &tree).unwrap()[0].weight_decay, 0.0);
    }

    #[test]
    fn the_first_group_that_matches_wins_and_takes_any_pattern_of_the_freeze_rules() {
        let tree = small_resnet();
        let spec = OptimizerSpec {
            groups: vec![
                group("layer4.0", Some(0.3), None),
                group("layer4", Some(0.2), Some(0.5)),
                group("kind:Linear", None, Some(0.7)),
                group("before:layer1", Some(0.0), None),
            ],
            ..spec()
        };
        assert_eq!(of(&tree, &spec, "layer4.0.conv1.weight"), Group { lr: 0.3, weight_decay: 1e-4 });
        assert_eq!(of(&tree, &spec, "layer4.1.bn1.bias"), Group { lr: 0.2, weight_decay: 0.5 });
        assert_eq!(of(&tree, &spec, "fc.bias"), Group { lr: 0.1, weight_decay: 0.7 });
        assert_eq!(of(&tree, &spec, "conv1.weight").lr, 0.0);
        assert_eq!(of(&tree, &spec, "layer1.0.conv1.weight").lr, 0.1);
    }

    #[test]
    fn a_group_that_matches_nothing_is_refused_with_close_names() {
        let spec = OptimizerSpec { groups: vec![group("fc", None, None), group("layr4", None, None)], ..spec() };
        let e = groups(&spec, &small_resnet()).unwrap_err().to_string();
        assert!(e.starts_with("optimizer.groups[1].match: `layr4` matches no parameter"), "{e}");
        assert!(e.ends_with("did you mean `layer4`?"), "{e}");
    }

    #[test]
    fn no_decay_spares_norms_and_biases_and_groups_too() {
        let spec = OptimizerSpec { no_decay_norm_bias: true, groups: vec![group("fc", None, Some(0.5))], ..spec() };
        let tree = small_resnet();
        for (name, decay) in
            [("bn1.weight", 0.0), ("bn1.bias", 0.0), ("fc.bias", 0.0), ("fc.weight", 0.5), ("conv1.weight", 1e-4)]
        {
            assert_eq!(of(&tree, &spec, name).weight_decay, decay, "{name}");
        }
    }

    #[test]
    fn layer_decay_multiplies_the_rate_once_for_each_block_from_the_head() {
        let tree = small_resnet();
        let spec = OptimizerSpec {
            layer_decay: 0.5,
            groups: vec![group("layer2", Some(0.9), None), group("layer3", None, Some(0.0))],
            ..spec()
        };
        for (name, lr) in [
            ("fc.weight", 0.1),
            ("layer4.1.conv2.weight", 0.05),
            ("layer3.0.conv1.weight", 0.025),
            ("layer2.0.conv1.weight", 0.9),
            ("layer1.0.bn1.bias", 0.1 / 16.0),
            ("bn1.weight", 0.1 / 32.0),
            ("conv1.weight", 0.1 / 64.0),
        ] {
            assert!((of(&tree, &spec, name).lr - lr).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn what_lies_in_no_block_has_the_rate_of_the_first() {
        let tree = tree_of(&[
            ("", "ViT", &["class_token"], &[]),
            ("patch", "Conv2d", &["weight"], &[]),
            ("encoder", "Encoder", &["pos"], &[]),
            ("encoder.0", "Linear", &["weight"], &[]),
            ("head", "Linear", &["weight"], &[]),
        ]);
        assert_eq!(depths(&tree), [2, 2, 2, 1, 0]);
        assert_eq!(depths(&Tree::default()), [0usize; 0]);
    }
}
