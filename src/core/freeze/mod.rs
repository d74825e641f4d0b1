//! Freeze plans: ordered rules plus overrides, resolved on a layer tree to a state and a reason for each parameter.

use serde::{Deserialize, Serialize};

/// What happens to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamState {
    /// Learns.
    Trainable,
    /// `requires_grad = false`; gradients flow through it.
    Frozen,
    /// Inside a module whose forward records no gradients.
    NoGrad,
    /// Meant to learn, but no gradient reaches it.
    Starved,
}

/// A plan resolved on a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// One entry a parameter, in the tree's order.
    pub params: Vec<ResolvedParam>,
    /// Indices of modules whose forward records no gradients.
    pub no_grad_modules: Vec<usize>,
}

/// State of one parameter and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedParam {
    /// What happens to it.
    pub state: ParamState,
    /// Which rule or module says so (`rule 2: train fc`; `no rule: trainable`).
    pub reason: String,
}
