//! A learner as a member of a [`Team`]: joining, what a step needs of the team, and what it is compared by.

use tch::{Kind, Tensor};

use super::fingerprint;
use super::learner::{Result, TorchLearner};
use super::team::{Shares, Team, Turn};
use crate::engine::api::{Batch, EngineError, EvalSums};
use crate::engine::ffi::TensorList;
use crate::engine::ffi::c10d::Group;

impl TorchLearner {
    /// Its device.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// Learns with the other ranks of a group from now on. All of them hold the same model and state, and do the same.
    pub fn join(&mut self, group: Group) {
        self.team = Some(Team::new(group));
        self.stale = true;
    }

    /// Leaves them: whoever waits for this rank fails.
    pub fn leave(&mut self) {
        self.team = None;
        self.stale = true;
    }

    /// Leaves them without waiting for what is on its way, and without closing anything before the process ends.
    pub fn abandon(&mut self) {
        std::mem::forget(self.team.take());
        // That would wait, too.
        self.cache.keep();
        self.stale = true;
    }

    /// So many learners share this machine's CPU.
    pub fn share_cores(&mut self, learners: usize) {
        if self.choose_threads && self.device == tch::Device::Cpu {
            self.threads = (self.threads / learners.max(1)).max(1);
            self.set_for = None;
        }
    }

    /// A number that differs where parameters, buffers or the optimizer's state do, be it by one bit or by a value's place.
    pub fn fingerprint(&self) -> Result<u64> {
        let state = self.optimizer.state();
        let entries = self.params.iter().chain(&self.buffers).map(|e| &e.tensor);
        fingerprint::of(entries.chain(state.iter().map(|(_, t)| t)))
    }

    /// What this rank has of a validation batch, with the sum and the mass of its losses where samples do not weigh alike.
    pub fn evaluate_share(&mut self, batch: &Batch) -> Result<(EvalSums, Option<[f64; 2]>)> {
        if batch.is_empty() {
            return Ok((EvalSums::default(), None));
        }
        self.enter()?;
        let (x, y) = self.upload(batch)?;
        tch::no_grad(|| {
            let output = self.forward(&x, false)?.f_to_kind(Kind::Float)?;
            let target = self.loss.targets(y, &batch.y, &output.size())?;
            let sums = self.loss.sums(&output, &target, &batch.y)?;
            if !self.loss.has_class_weights() {
                return Ok((sums, None));
            }
            let sum = self.loss.sum(&output, &target)?.f_double_value(&[])?;
            Ok((sums, Some([sum, self.loss.mass(batch)])))
        })
    }

    /// The run's seed for this rank: each draws other random numbers, rank 0 those of a run on one device.
    pub(super) fn own_seed(&self, seed: u64) -> u64 {
        let rank = self.team.as_ref().map_or(0, Team::rank) as u64;
        seed.wrapping_add(rank.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// What each micro batch weighs, if there are others to compare with.
    pub(super) fn shares(&self, micro: &[Batch]) -> Result<Option<Shares>> {
        let Some(team) = &self.team else { return Ok(None) };
        team.shares(micro.iter().map(|batch| self.loss.mass(batch)).collect()).map(Some)
    }

    /// This rank's part in the mean loss over all ranks, from the mean over its own samples.
    pub(super) fn share_of(
        &self,
        output: &Tensor,
        target: &Tensor,
        loss: Tensor,
        batch: &Batch,
        turn: Turn<'_>,
    ) -> Result<Tensor> {
        if batch.is_empty() {
            // Whatever the loss of the sample that stands in is; a gradient of zeros comes to all parameters.
            return Ok(output.f_to_kind(Kind::Float)?.f_sum(Kind::Float)?.f_mul_scalar(0.0)?);
        }
        if self.loss.has_class_weights() {
            // Where its samples weigh nothing together, their mean is none, but label smoothing has a sum.
            return Ok(self.loss.sum(output, target)?.f_mul_scalar(turn.shares.weight_of_sum(turn.micro)?)?);
        }
        Ok(loss.f_mul_scalar(turn.shares.weight(turn.micro)?)?)
    }

    /// In the first step since a change: gradients of whatever may get some are averaged.
    pub(super) fn average_in_team(&mut self) -> Result<()> {
        let Some(team) = &mut self.team else { return Ok(()) };
        let meant = self.params.iter().zip(&self.meant).filter(|(e, meant)| **meant && e.tensor.requires_grad());
        team.average(&TensorList::new(meant.map(|(e, _)| &e.tensor)), false)
    }

    /// After its backward: of those that got some. A script's forward may use other ones in each step.
    pub(super) fn settle_team(&mut self) -> Result<()> {
        let Some(team) = &mut self.team else { return Ok(()) };
        let odd = self.params.iter().zip(&self.meant).find(|(e, m)| !**m && self.learning_names.contains(&e.name));
        if let Some((entry, _)) = odd {
            return Err(EngineError::Failed(format!(
                "a gradient reaches `{}`, which none reached before: its ranks would drift apart; freeze it, or train on one device",
                entry.name
            )));
        }
        team.average(&self.learning, self.archive.is_none())
    }

    /// Before a change.
    pub(super) fn rest_team(&mut self) {
        if let Some(team) = &mut self.team {
            team.rest();
        }
    }
}
