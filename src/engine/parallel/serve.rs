//! A rank other than 0: does what it is told, in order, with batches that it loads itself.

use super::op::{Answer, Message, Op, Step};
use crate::engine::api::{EngineError, EvalSums, Learner, Pass, StepInput};
use crate::engine::data::{Dataset, Loader};
use crate::engine::torch::TorchLearner;

/// What a rank works with.
pub struct Rank {
    pub learner: TorchLearner,
    /// Its share of the data.
    pub data: Dataset,
    training: Option<Loader>,
    validation: Option<Loader>,
}

impl Rank {
    pub fn new(learner: TorchLearner, data: Dataset) -> Self {
        Self { learner, data, training: None, validation: None }
    }

    /// Serves until nothing more is asked for.
    ///
    /// # Errors
    /// Where a step fails. The others wait for this rank then, until its connections close.
    pub fn serve(
        &mut self,
        mut next: impl FnMut() -> Option<Message>,
        mut answer: impl FnMut(Answer),
    ) -> Result<(), EngineError> {
        while let Some(message) = next() {
            let silent = matches!(message.op, Op::Pass(_) | Op::Step(_));
            match self.obey(message) {
                Ok(_) if silent => {}
                Ok(said) => answer(said),
                Err(error) if silent => return Err(error),
                Err(EngineError::OutOfMemory(of)) => answer(Answer::NoRoom(of.what)),
                Err(error) => answer(Answer::Refused(error.to_string())),
            }
        }
        Ok(())
    }

    fn obey(&mut self, message: Message) -> Result<Answer, EngineError> {
        match message.op {
            Op::Build { .. } | Op::Join => {
                return Err(EngineError::Failed("it has joined already; this is a bug".to_owned()));
            }
            Op::Freeze(plan) => self.learner.apply_freeze(&plan)?,
            Op::Pass(pass) => self.begin(pass),
            Op::Step(step) => self.step(step)?,
            Op::Evaluate => {
                let (sums, part) = self.evaluate()?;
                return Ok(Answer::Sums(sums, part.map(|p| p.map(f64::to_bits))));
            }
            Op::Weights => self.learner.restore_weights(&message.tensors)?,
            Op::Optimizer { extra } => self.learner.restore_optimizer(&message.tensors, &extra)?,
            Op::MakeRoom => self.learner.make_room()?,
            Op::Fingerprint => return self.learner.fingerprint().map(Answer::Fingerprint),
        }
        Ok(Answer::Done)
    }

    fn begin(&mut self, pass: Pass) {
        match pass {
            Pass::Train(plan) => self.training = Some(self.data.train(plan)),
            Pass::Validation { batch_size } => self.validation = Some(self.data.val(batch_size)),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), EngineError> {
        let mut micro = Vec::with_capacity(step.micro);
        for batch in self.training.iter_mut().flatten().take(step.micro) {
            micro.push(batch.map_err(|e| EngineError::Failed(e.to_string()))?);
        }
        if micro.len() != step.micro {
            return Err(EngineError::Failed(format!(
                "it has {} batches for step {}, and rank 0 {}: the data differs between the ranks",
                micro.len(),
                step.step + 1,
                step.micro
            )));
        }
        let Step { step, seed, lr_scale, clip_grad_norm, on_nan, .. } = step;
        self.learner.step(&StepInput { step, seed, micro: &micro, lr_scale, clip_grad_norm, on_nan })?;
        // Rank 0's are the ones that are read.
        self.learner.drain(false).map(drop)
    }

    fn evaluate(&mut self) -> Result<(EvalSums, Option<[f64; 2]>), EngineError> {
        let Some(batch) = self.validation.iter_mut().flatten().next() else {
            return Err(EngineError::Failed(
                "it has fewer validation batches than rank 0: the data differs".to_owned(),
            ));
        };
        self.learner.evaluate_share(&batch.map_err(|e| EngineError::Failed(e.to_string()))?)
    }
}
