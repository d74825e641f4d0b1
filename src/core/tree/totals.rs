//! Sums over a module and everything below it: tensors, elements, bytes, and how much of it learns.

use serde::{Deserialize, Serialize};

use super::Tree;
use crate::core::freeze::ParamState;

/// Sums of one module with everything below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Elements of all parameters.
    pub params: u64,
    /// Elements of the parameters that learn.
    pub trainable: u64,
    /// Parameter tensors.
    pub tensors: usize,
    /// Parameter tensors that learn.
    pub trainable_tensors: usize,
    /// Bytes of the parameters.
    pub bytes: u64,
    /// Buffer tensors.
    pub buffers: usize,
    /// Bytes of the buffers.
    pub buffer_bytes: u64,
}

/// How much of a module learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// Every parameter learns.
    Trainable,
    /// None learns.
    Frozen,
    /// Some learn.
    Mixed,
    /// It has no parameters.
    None,
}

impl Totals {
    /// How much of it learns.
    pub fn learning(&self) -> Learning {
        match (self.trainable_tensors, self.tensors) {
            (_, 0) => Learning::None,
            (0, _) => Learning::Frozen,
            (t, n) if t == n => Learning::Trainable,
            _ => Learning::Mixed,
        }
    }

    fn add(&mut self, other: &Self) {
        self.params += other.params;
        self.trainable += other.trainable;
        self.tensors += other.tensors;
        self.trainable_tensors += other.trainable_tensors;
        self.bytes += other.bytes;
        self.buffers += other.buffers;
        self.buffer_bytes += other.buffer_bytes;
    }
}

impl Tree {
    /// Sums of one module. `states` may be empty (no plan resolved): everything counts as trainable then.
    pub fn totals(&self, module: usize, states: &[ParamState]) -> Totals {
        self.all_totals(states).get(module).copied().unwrap_or_default()
    }

    /// Sums of all modules in one pass, in the order of [`Tree::modules`].
    pub fn all_totals(&self, states: &[ParamState]) -> Vec<Totals> {
        let mut all = vec![Totals::default(); self.modules.len()];
        for (i, p) in self.parameters.iter().enumerate() {
            let learns = matches!(states.get(i), None | Some(ParamState::Trainable));
            let Some(t) = all.get_mut(p.module) else { continue };
            t.params += p.count() as u64;
            t.tensors += 1;
            t.bytes += p.bytes() as u64;
            if learns {
                t.trainable += p.count() as u64;
                t.trainable_tensors += 1;
            }
        }
        for b in &self.buffers {
            if let Some(t) = all.get_mut(b.module) {
                t.buffers += 1;
                t.buffer_bytes += b.bytes() as u64;
            }
        }
        for i in (1..self.modules.len()).rev() {
            if let Some(parent) = self.modules[i].parent.filter(|&p| p < i) {
                let below = all[i];
                all[parent].add(&below);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tree::samples::small_resnet;

    #[test]
    fn sums_of_the_root_are_the_sums_of_its_children() {
        let tree = small_resnet();
        let mut states = vec![ParamState::Trainable; tree.parameters.len()];
        states[0] = ParamState::Frozen;
        states[3] = ParamState::NoGrad;
        let all = tree.all_totals(&states);
        let mut sum = Totals::default();
        for child in tree.children(0) {
            sum.add(&all[child]);
        }
        assert_eq!(sum, all[0]);
        assert_eq!(all[0].tensors, tree.parameters.len());
        assert_eq!(all[0].trainable_tensors, tree.parameters.len() - 2);
        assert_eq!(all[0].learning(), Learning::Mixed);
        assert_eq!(tree.totals(tree.module("conv1").unwrap(), &states).learning(), Learning::Frozen);
        assert_eq!(tree.totals(tree.module("relu").unwrap(), &states).learning(), Learning::None);
        assert_eq!(tree.totals(0, &[]).learning(), Learning::Trainable);
    }
}
