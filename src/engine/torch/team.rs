//! A learner's part in a team: ranks that hold the same model, each take a share of every batch, and average their
//! gradients, so that all of them make the same update.
//!
//! The average is that of one rank with the whole batch: each rank's mean loss is weighted with its share. Gradients are
//! averaged by PyTorch's reducer while backward still runs. As with DistributedDataParallel, batch norm looks at a rank's own samples,
//! and rank 0's statistics are everybody's. All that ranks tell each other in a step comes before anything is changed, so
//! that a step which another rank does not live to see leaves the state before it.

use tch::Tensor;

use super::learner::Result;
use crate::engine::api::EngineError;
use crate::engine::ffi::c10d::{Group, Reducer, Work};
use crate::engine::ffi::{ShimError, TensorList};

/// This rank's end of a team.
pub struct Team {
    // Before the group: it must go first, and the group's connections close with the last that holds it.
    reducer: Option<Reducer>,
    group: Group,
}

impl Team {
    pub fn new(group: Group) -> Self {
        Self { reducer: None, group }
    }

    pub fn rank(&self) -> usize {
        self.group.rank()
    }

    pub fn size(&self) -> usize {
        self.group.size()
    }

    /// Averages the gradients of these parameters from now on, the same ones on all ranks. `all_used`: each of them is known to get one.
    pub fn average(&mut self, params: &TensorList, all_used: bool) -> Result<()> {
        // Its hooks must be gone before the next one's.
        self.reducer = None;
        self.reducer = Some(Reducer::new(&self.group, params, !all_used)?);
        Ok(())
    }

    /// Averages nothing any more.
    pub fn rest(&mut self) {
        self.reducer = None;
    }

    /// Begins to find out how much each micro batch of a step weighs on all ranks together. `mine`: on this one.
    pub fn shares(&self, mine: Vec<f64>) -> Result<Shares> {
        let all = Tensor::f_from_slice(&mine)?;
        let work = self.group.start_all_reduce(&all).map_err(lost)?;
        Ok(Shares { mine, all, work: Some(work), size: self.size() as f64 })
    }

    /// The step's last backward, from `loss`: averages the gradients, those of backwards before it included.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        if let Some(reducer) = &self.reducer {
            reducer.prepare(loss)?;
        }
        // Here alone words must tell whether the model or the reducer failed.
        loss.f_backward().map_err(|error| match EngineError::from(error) {
            EngineError::Failed(words) if tells_of_a_connection(&words) => EngineError::Lost(words),
            other => other,
        })
    }

    /// After the last backward: the mean loss over all ranks, and rank 0's buffers for everybody.
    pub fn agree(&self, loss: &Tensor, buffers: &TensorList) -> Result<Tensor> {
        let mean = loss.f_div_scalar(self.size() as i64)?;
        self.group.all_reduce(&mean).map_err(lost)?;
        self.group.broadcast(buffers, 0).map_err(lost)?;
        Ok(mean)
    }
}

/// What ranks tell each other fails where one of them has gone.
fn lost(error: ShimError) -> EngineError {
    match EngineError::from(error) {
        EngineError::Failed(words) => EngineError::Lost(words),
        other => other,
    }
}

/// Whether c10d or Gloo speaks.
fn tells_of_a_connection(words: &str) -> bool {
    ["gloo", "c10d", "Connection closed", "Connection reset", "Broken pipe"].iter().any(|w| words.contains(w))
}

/// What this rank's part of each micro batch weighs.
pub struct Shares {
    mine: Vec<f64>,
    all: Tensor,
    work: Option<Work>,
    size: f64,
}

impl Shares {
    /// The factor on the mean loss of micro batch `i`, with which the average over the ranks is the mean over the whole.
    pub fn weight(&mut self, i: usize) -> Result<f64> {
        let all = self.of_all(i)?;
        let mine = self.mine.get(i).copied().unwrap_or(0.0);
        Ok(if all == 0.0 { 1.0 } else { mine * self.size / all })
    }

    /// The same for the sum of its losses.
    pub fn weight_of_sum(&mut self, i: usize) -> Result<f64> {
        Ok(self.size / self.of_all(i)?)
    }

    fn of_all(&mut self, i: usize) -> Result<f64> {
        if let Some(work) = self.work.take() {
            work.wait().map_err(lost)?;
        }
        Ok(self.all.f_double_value(&[i as i64])?)
    }
}

/// A micro batch's place in a step.
pub struct Turn<'a> {
    /// Of the step.
    pub shares: &'a mut Shares,
    /// Number of the micro batch.
    pub micro: usize,
    /// It is the step's last: gradients are averaged.
    pub last: bool,
}
