//! What a run's checkpoints will take of the disk, known before the run starts.

use std::path::Path;

use crate::core::checkpoint::policy;
use crate::core::freeze::ParamState;
use crate::core::recipe::OptimizerKind;

use super::Built;

/// An estimate: tensors alone, without headers and `state.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of one checkpoint.
    pub checkpoint: u64,
    /// Checkpoints that are kept at a time, at most.
    pub kept: u64,
    /// Bytes of those and of one that is being written.
    pub bytes: u64,
    /// Free bytes where the run lies or will lie, if the system says.
    pub free: Option<u64>,
}

impl Disk {
    /// Of a run of so many steps in a folder that need not be there yet.
    pub fn of(built: &Built, steps: u64, folder: &Path) -> Self {
        let phase_best = u64::from(built.schedule.restores());
        let kept = policy::most_kept(&built.recipe.checkpoint, steps, built.steps_per_epoch()) + phase_best;
        let checkpoint = checkpoint_bytes(built);
        // The nearest folder that is there is on the same disk.
        let free = folder.ancestors().find(|p| p.exists()).and_then(|p| fs4::available_space(p).ok());
        Self { checkpoint, kept, bytes: checkpoint.saturating_mul(kept + 1), free }
    }

    /// In words, where there is less room than is needed. `there`: bytes of checkpoints that the run has already.
    pub fn shortage(&self, there: u64) -> Option<String> {
        let free = self.free?;
        (free.saturating_add(there) < self.bytes).then(|| {
            format!(
                "the run's checkpoints will need about {} ({} kept and one being written, {} each) and their disk has {} free: \
                 keep fewer (checkpoint.keep_last, keep_best, keep_every) or use another disk (--home)",
                words(self.bytes),
                self.kept,
                words(self.checkpoint),
                words(free)
            )
        })
    }
}

/// Bytes of the optimizer's state of a byte of parameters.
pub fn slots(built: &Built) -> u64 {
    let optimizer = &built.recipe.optimizer;
    match optimizer.kind {
        OptimizerKind::Sgd => u64::from(optimizer.momentum != 0.0),
        OptimizerKind::Adam | OptimizerKind::Adamw => 2 + u64::from(optimizer.amsgrad),
    }
}

/// Bytes of a checkpoint's tensors: parameters, buffers, and the optimizer's state of what learns, or may once the freeze
/// schedule has thawed it.
fn checkpoint_bytes(built: &Built) -> u64 {
    let tree = built.learner.tree();
    let thaws = built.recipe.freeze.schedule != Default::default();
    let learns = |i: usize| {
        let param = built.resolution.params.get(i);
        thaws || param.is_some_and(|p| p.state == ParamState::Trainable)
    };
    let state = |(i, bytes): (usize, u64)| if learns(i) { bytes * slots(built) } else { 0 };
    let params = || tree.parameters.iter().map(|p| p.bytes() as u64);
    let buffers: u64 = tree.buffers.iter().map(|b| b.bytes() as u64).sum();
    buffers + params().sum::<u64>() + params().enumerate().map(state).sum::<u64>()
}

fn words(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    format!("{value:.1} {unit}").replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_short_is_told_of_with_what_the_run_has_there_already_taken_off() {
        let disk = Disk { checkpoint: 2_400_000_000, kept: 4, bytes: 12_000_000_000, free: Some(5_100_000_000) };
        let said = disk.shortage(0).unwrap();
        assert!(said.contains("about 12 GB (4 kept and one being written, 2.4 GB each)"), "{said}");
        assert!(said.contains("5.1 GB free"), "{said}");
        assert_eq!(disk.shortage(7_000_000_000), None);
        assert_eq!(Disk { free: None, ..disk }.shortage(0), None);
    }
}
