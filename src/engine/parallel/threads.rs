//! Ranks as threads of this process, one a device.
//!
//! A thread (`replica-1`…) ends when its [`Peer`] is dropped, or when it has failed; the leader joins it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use super::meet::{meet, perhaps_an_echo};
use super::nccl::{self, Brakes};
use super::op::{Answer, Message, Op};
use super::peer::{Link, Peer};
use super::serve::Rank;
use super::{Leader, PATIENCE};
use crate::core::recipe::Recipe;
use crate::engine::api::{EngineError, InputSpec};
use crate::engine::data::Dataset;
use crate::engine::ffi::c10d::{Group, Store};
use crate::engine::torch::TorchLearner;

/// What all ranks are made from.
struct Plan {
    recipe: Recipe,
    input: InputSpec,
    data: Dataset,
    devices: Vec<String>,
    store: Store,
    brakes: Arc<Brakes>,
}

impl Plan {
    fn build(&self, rank: usize) -> Result<TorchLearner, EngineError> {
        let device = self.devices.get(rank).map_or("cpu", String::as_str);
        let mut learner = TorchLearner::new(&self.recipe, &self.input, device)?;
        learner.share_cores(self.devices.len());
        Ok(learner)
    }

    fn group(&self, rank: usize) -> Result<Group, EngineError> {
        let mut group = Group::gloo(&self.store, rank, self.devices.len(), "127.0.0.1", "", PATIENCE)?;
        nccl::go_over(&mut group, &self.store, self.devices.get(rank).map_or("cpu", String::as_str))?;
        self.brakes.take_from(&group);
        Ok(group)
    }
}

/// A learner on several devices of this machine.
pub fn threads(recipe: &Recipe, input: &InputSpec, data: &Dataset, devices: &[String]) -> Result<Leader, EngineError> {
    let plan = Arc::new(Plan {
        recipe: recipe.clone(),
        input: input.clone(),
        data: data.clone(),
        devices: devices.to_vec(),
        store: Store::local()?,
        brakes: Arc::default(),
    });
    let (mut peers, mut threads) = (Vec::new(), Vec::new());
    for (rank, device) in devices.iter().enumerate().skip(1) {
        let (ops, told) = channel();
        let (say, answers) = channel();
        let plan = Arc::clone(&plan);
        let body = move || replica(&plan, rank, &told, &say);
        let thread = std::thread::Builder::new().name(format!("replica-{rank}")).spawn(body);
        threads
            .push(thread.map_err(|e| EngineError::Failed(format!("the thread of {device} cannot be started: {e}")))?);
        peers.push(Peer { name: format!("rank {rank} ({device})"), elsewhere: None, link: Link::Thread(ops), answers });
    }
    let local = plan.build(0)?;
    let device = devices.first().map_or("cpu", String::as_str);
    let brakes = Arc::clone(&plan.brakes);
    Leader::assemble(local, peers, device, threads, None, brakes, move || plan.group(0))
}

/// The body of a rank's thread.
fn replica(plan: &Arc<Plan>, rank: usize, told: &Receiver<Message>, say: &Sender<Answer>) {
    // Nobody hears it where rank 0 has gone; then there is nothing more to be told either.
    let answer = |answer| drop(say.send(answer));
    let work = || -> Result<(), EngineError> {
        let mut learner = plan.build(rank)?;
        answer(Answer::Built(learner.device_name().to_owned(), None));
        let Ok(Message { op: Op::Join, .. }) = told.recv() else { return Ok(()) };
        let joining = Arc::clone(plan);
        // Nothing is asked of it before all have joined.
        let gone = || match told.try_recv() {
            Err(TryRecvError::Disconnected) => Some(EngineError::Lost("rank 0 has gone".to_owned())),
            _ => None,
        };
        learner.join(meet(move || joining.group(rank), gone).map_err(perhaps_an_echo)?);
        answer(Answer::Done);
        let data = plan.data.share(rank, plan.devices.len());
        let mut rank = Rank::new(learner, data);
        if let Err(error) = rank.serve(|| told.recv().ok(), answer) {
            // Before its connections close, which can take a while.
            answer(Answer::of(&error));
            plan.brakes.pull();
        }
        Ok(())
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => answer(Answer::of(&error)),
        Err(_) => answer(Answer::Failed("it broke down; this is a bug".to_owned())),
    }
    plan.brakes.pull();
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::engine::parallel::tests::{input, opened, recipe};

    #[test]
    fn a_replica_whose_rank_0_goes_before_they_have_joined_does_not_wait_for_it() {
        let (recipe, data) = (recipe(), opened());
        let devices = vec!["cpu:0".to_owned(), "cpu:1".to_owned()];
        let store = Store::local().unwrap();
        let plan = Arc::new(Plan { input: input(&data), recipe, data, devices, store, brakes: Arc::default() });
        let (ops, told) = channel();
        let (say, answers) = channel();
        let thread = std::thread::spawn(move || replica(&plan, 1, &told, &say));
        assert!(matches!(answers.recv(), Ok(Answer::Built(_, None))));
        ops.send(Op::Join.into()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        drop(ops);
        let began = Instant::now();
        assert!(matches!(answers.recv(), Ok(Answer::Echo(words)) if words == "rank 0 has gone"));
        thread.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
