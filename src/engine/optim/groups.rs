//! Parameter groups: which parameter has which learning rate and weight decay.

use crate::core::recipe::{OptimizerKind, OptimizerSpec};

/// Numbers of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Base learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// PyTorch's default weight decay of the kind: 0.01 for AdamW, else 0.
pub fn default_weight_decay(kind: OptimizerKind) -> f64 {
    if kind == OptimizerKind::Adamw { 0.01 } else { 0.0 }
}

impl Group {
    /// The group of a parameter: the first of the recipe's groups whose pattern matches, else the optimizer's values.
    /// `no_decay` marks biases and norm layers' parameters.
    pub fn of(spec: &OptimizerSpec, matches: impl Fn(&str) -> bool, no_decay: bool) -> Self {
        let found = spec.groups.iter().find(|g| matches(&g.pattern));
        let decay =
            found.and_then(|g| g.weight_decay).or(spec.weight_decay).unwrap_or_else(|| default_weight_decay(spec.kind));
        Self {
            lr: found.and_then(|g| g.lr).unwrap_or(spec.lr),
            weight_decay: if no_decay && spec.no_decay_norm_bias { 0.0 } else { decay },
        }
    }
}
