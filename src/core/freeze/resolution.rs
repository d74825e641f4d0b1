//! A plan resolved on a tree: state and reason of each parameter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ParamState;
use crate::core::tree::{ModuleInfo, Tree};

/// A plan resolved on a tree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// One entry a parameter, in the tree's order.
    pub params: Vec<ResolvedParam>,
    /// Indices of the outermost modules whose forward records no gradients; what is below them is meant too.
    pub no_grad_modules: Vec<usize>,
}

/// State of one parameter and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedParam {
    /// What happens to it.
    pub state: ParamState,
    /// Which rule or module says so (``rule 2 `train fc` ``; `no rule: trainable`). Shared: a large model has few reasons.
    #[serde(with = "shared_text")]
    pub reason: Arc<str>,
}

/// Parameter tensors by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// That learn.
    pub trainable: usize,
    /// With `requires_grad` off.
    pub frozen: usize,
    /// In a module that records no gradients.
    pub no_grad: usize,
    /// Meant to learn, reached by no gradient.
    pub starved: usize,
}

impl Resolution {
    /// Everything trainable: the plan without rules.
    pub fn all_trainable(tree: &Tree) -> Self {
        let reason: Arc<str> = "no rule: trainable".into();
        let entry = ResolvedParam { state: ParamState::Trainable, reason };
        Self { params: vec![entry; tree.parameters.len()], no_grad_modules: Vec::new() }
    }

    /// Number of parameter tensors that learn.
    pub fn trainable(&self) -> usize {
        self.counts().trainable
    }

    /// State of each parameter, in the tree's order.
    pub fn states(&self) -> Vec<ParamState> {
        self.params.iter().map(|p| p.state).collect()
    }

    /// State of one parameter, by its index.
    pub fn state(&self, param: usize) -> Option<ParamState> {
        self.params.get(param).map(|p| p.state)
    }

    /// Parameter tensors by state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for p in &self.params {
            *match p.state {
                ParamState::Trainable => &mut counts.trainable,
                ParamState::Frozen => &mut counts.frozen,
                ParamState::NoGrad => &mut counts.no_grad,
                ParamState::Starved => &mut counts.starved,
            } += 1;
        }
        counts
    }

    /// Marks parameters that are meant to learn but that no gradient reaches, by index; others keep their state.
    /// `why` ends the reason: `no gradient reaches it (behind layer2, which is under no_grad)`.
    pub fn mark_starved(&mut self, params: impl IntoIterator<Item = usize>, why: &str) {
        for i in params {
            if let Some(p) = self.params.get_mut(i).filter(|p| p.state == ParamState::Trainable) {
                p.state = ParamState::Starved;
                p.reason = format!("{}; {why}", p.reason).into();
            }
        }
    }

    /// For each module, whether its forward records no gradients, by itself or by a module above it.
    pub fn no_grad_mask(&self, tree: &Tree) -> Vec<bool> {
        let mut mask = vec![false; tree.modules.len()];
        for &m in &self.no_grad_modules {
            if let Some(flag) = mask.get_mut(m) {
                *flag = true;
            }
        }
        tree.spread(&mut mask);
        mask
    }

    /// Indices of the normalisation layers that are frozen, in the tree's order: they run with their running statistics and do not update
    /// them (`batch_norm = "eval_when_frozen"`).
    ///
    /// A norm is frozen when none of its parameters is trainable; a half-frozen one learns. One without parameters is frozen under `no_grad`,
    /// or when the nearest module above it that contains parameters has none that is trainable. In a model without any, no norm is frozen.
    pub fn frozen_norms(&self, tree: &Tree) -> Vec<usize> {
        self.frozen_ones(tree, ModuleInfo::is_norm)
    }

    /// Indices of the dropout modules that lie in a frozen part, in the tree's order: they let everything pass
    /// (`frozen_dropout = "off"`).
    ///
    /// A dropout owns no parameters, so it follows its surroundings as a norm without parameters does: it is frozen under `no_grad`, or
    /// when the nearest module above it that contains parameters has none that is trainable.
    pub fn frozen_dropouts(&self, tree: &Tree) -> Vec<usize> {
        self.frozen_ones(tree, ModuleInfo::is_dropout)
    }

    fn frozen_ones(&self, tree: &Tree, wanted: fn(&ModuleInfo) -> bool) -> Vec<usize> {
        let states = self.states();
        let totals = tree.all_totals(&states);
        let no_grad = self.no_grad_mask(tree);
        let frozen = |m: usize| {
            let nearest = std::iter::once(m).chain(tree.ancestors(m)).find(|&a| totals[a].tensors > 0);
            no_grad[m] || nearest.is_some_and(|a| totals[a].trainable_tensors == 0)
        };
        (0..tree.modules.len()).filter(|&m| wanted(&tree.modules[m]) && frozen(m)).collect()
    }
}

/// Serde for `Arc<str>` as plain text.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}
