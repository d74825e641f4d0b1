//! Rank 0: a learner for the trainer, which takes the other ranks along.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::meet::meet;
use super::nccl::{self, Brakes};
use super::op::{Answer, Message, Op, Step};
use super::peer::Peer;
use super::same_gpu;
use crate::core::freeze::Resolution;
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;
use crate::engine::api::{Batch, EngineError, EvalSums, Learner, Pass, Shortage, Snapshot, StepInput, StepReport};
use crate::engine::device;
use crate::engine::ffi::c10d::Group;
use crate::engine::torch::TorchLearner;
use crate::engine::train::evaluate;

type Result<T> = std::result::Result<T, EngineError>;
type Extra = serde_json::Map<String, serde_json::Value>;

/// How long the word of the rank that failed first is waited for, once this one has noticed.
pub(super) const WORDS: Duration = Duration::from_secs(5);

/// See the module.
pub struct Leader {
    // In the order in which they go: peers are told nothing more, then this rank's connections close, which frees those
    // that still wait for it.
    peers: Vec<Peer>,
    local: TorchLearner,
    /// Of each rank.
    devices: Vec<String>,
    threads: Vec<JoinHandle<()>>,
    /// Why the ranks can no longer work together.
    broken: Option<String>,
    /// Where the others are processes.
    alarm: Option<Arc<Alarm>>,
    brakes: Arc<Brakes>,
}

impl Leader {
    /// Waits until all ranks are built, and joins them into a group.
    pub(super) fn assemble(
        local: TorchLearner,
        peers: Vec<Peer>,
        device: &str,
        threads: Vec<JoinHandle<()>>,
        alarm: Option<Arc<Alarm>>,
        brakes: Arc<Brakes>,
        group: impl FnOnce() -> Result<Group> + Send + 'static,
    ) -> Result<Self> {
        let devices = vec![device.to_owned()];
        let mut leader = Self { peers, local, devices, threads, broken: None, alarm, brakes };
        // Before anybody waits in the rendezvous.
        let answers = leader.gather()?;
        // Threads have a device each.
        let mut gpus = vec![leader.alarm.as_ref().and_then(|_| device::uuid(device))];
        for (peer, answer) in leader.peers.iter().zip(answers) {
            let Answer::Built(device, gpu) = answer else { continue };
            gpus.push(gpu);
            leader.devices.push(match &peer.elsewhere {
                None => device,
                Some(host) => format!("{device}@{host}"),
            });
        }
        leader.apart(&gpus)?;
        leader.tell(&Op::Join.into())?;
        let group = leader.meet(group)?;
        leader.local.join(group);
        Ok(leader)
    }

    /// No two ranks have the same GPU.
    fn apart(&mut self, gpus: &[Option<String>]) -> Result<()> {
        let Some((one, other)) = same_gpu(gpus) else { return Ok(()) };
        let name = |rank: usize| match rank.checked_sub(1).and_then(|i| self.peers.get(i)) {
            Some(peer) => peer.name.clone(),
            None => "rank 0".to_owned(),
        };
        let gpu = gpus.get(one).and_then(Option::as_deref).unwrap_or_default();
        let words = format!(
            "{} and {} have the same GPU ({gpu}): show each process its own with CUDA_VISIBLE_DEVICES, or all of them to all",
            name(one),
            name(other)
        );
        Err(self.failed(EngineError::Refused(words)))
    }

    /// Joins the group that all others join, too.
    fn meet(&mut self, group: impl FnOnce() -> Result<Group> + Send + 'static) -> Result<Group> {
        let peers = &self.peers;
        let mut answers: Vec<Option<Answer>> = vec![None; peers.len()];
        let met = meet(group, || {
            for (answer, peer) in answers.iter_mut().zip(peers).filter(|(answer, _)| answer.is_none()) {
                *answer = peer.heard();
            }
            culprit(&answers).and_then(|(_, a)| Some(EngineError::Lost(a.fault()?.to_owned())))
        });
        let deadline = Instant::now() + WORDS;
        for (answer, peer) in answers.iter_mut().zip(peers).filter(|(answer, _)| answer.is_none()) {
            *answer = if met.is_ok() { Some(peer.answer()) } else { peer.failure(deadline) };
        }
        match (culprit(&answers), met) {
            (Some((peer, answer)), _) => Err(self.by_fault_of(peer, answer)),
            (None, Err(error)) => Err(self.failed(error)),
            (None, Ok(group)) => Ok(group),
        }
    }

    /// Tells all others.
    fn tell(&mut self, message: &Message) -> Result<()> {
        if let Some(words) = &self.broken {
            return Err(EngineError::Lost(words.clone()));
        }
        match self.peers.iter_mut().position(|p| !p.send(message)) {
            None => Ok(()),
            Some(gone) => {
                let said = self.peers.get(gone).and_then(|p| p.failure(Instant::now() + WORDS));
                Err(match said {
                    Some(answer) => self.by_fault_of(gone, &answer),
                    None => self.lost(gone, "it is gone"),
                })
            }
        }
    }

    /// The answers of all others, in their order. All are waited for, also where one has failed.
    fn answers(&self) -> Vec<Answer> {
        self.peers.iter().map(Peer::answer).collect()
    }

    /// The answers of all others, none of which must be a fault.
    fn gather(&mut self) -> Result<Vec<Answer>> {
        let answers: Vec<Option<Answer>> = self.answers().into_iter().map(Some).collect();
        match culprit(&answers) {
            None => Ok(answers.into_iter().flatten().collect()),
            Some((peer, answer)) => Err(self.by_fault_of(peer, answer)),
        }
    }

    /// Hears the answers of all others, whether they could do it or not.
    fn all_but_lost(&mut self) -> Result<()> {
        let lost = |answer: Answer| (!answer.refuses()).then_some(answer);
        let answers: Vec<Option<Answer>> = self.answers().into_iter().map(lost).collect();
        culprit(&answers).map_or(Ok(()), |(peer, answer)| Err(self.by_fault_of(peer, answer)))
    }

    /// Has everybody do something between two steps. What this rank refuses, all refuse, and nothing is lost by it; where
    /// only some have done it, the ranks part.
    fn everybody(&mut self, message: &Message, here: impl FnOnce(&mut TorchLearner) -> Result<()>) -> Result<()> {
        self.tell(message)?;
        let Err(error) = here(&mut self.local) else { return self.gather().map(drop) };
        let answers = self.answers();
        match answers.iter().enumerate().find(|(_, a)| !a.refuses()) {
            None => Err(error),
            Some((peer, answer)) => {
                let done = format!("it did what rank 0 could not do ({error}); the ranks are no longer alike");
                Err(self.lost(peer, answer.fault().unwrap_or(&done)))
            }
        }
    }

    fn lost(&mut self, peer: usize, words: &str) -> EngineError {
        let words = format!("{}: {words}", self.name_of(peer));
        self.give_up(&words);
        EngineError::Lost(words)
    }

    /// After the answer of a rank that has failed, or could not do it.
    fn by_fault_of(&mut self, peer: usize, answer: &Answer) -> EngineError {
        let Answer::NoRoom(what) = answer else { return self.lost(peer, answer.fault().unwrap_or("it is gone")) };
        let error = EngineError::OutOfMemory(Shortage { rank: Some(self.name_of(peer)), what: what.clone() });
        self.give_up(&error.to_string());
        error
    }

    fn name_of(&self, peer: usize) -> String {
        self.peers.get(peer).map_or_else(|| "another rank".to_owned(), |p| p.name.clone())
    }

    /// The ranks part, and all others end.
    fn give_up(&mut self, words: &str) {
        self.broken = Some(words.to_owned());
        if let Some(alarm) = &self.alarm {
            alarm.notice();
            alarm.tell(words);
        }
        self.brakes.pull();
    }

    /// Once the ranks have parted while GPUs were at a step over NCCL: whatever they hold now is not to be kept. (Gloo fails
    /// before anything is changed.)
    fn intact(&self) -> Result<()> {
        match &self.broken {
            Some(words) if !self.brakes.is_empty() => Err(EngineError::Lost(format!(
                "{words}; a step was broken off on the GPUs, so the newest checkpoint stands: `frostline resume` goes on from there"
            ))),
            _ => Ok(()),
        }
    }

    /// This rank failed, for a reason of its own.
    fn failed(&mut self, error: EngineError) -> EngineError {
        self.give_up(&format!("rank 0: {error}"));
        error
    }

    /// Whose fault it is that a step failed here. A rank that fails closes its connections, and the others fail with that.
    pub(super) fn blame(&mut self, error: EngineError) -> EngineError {
        let EngineError::Lost(words) = &error else { return self.failed(error) };
        let deadline = Instant::now() + WORDS;
        let failures: Vec<Option<Answer>> = self.peers.iter().map(|p| p.failure(deadline)).collect();
        match culprit(&failures) {
            Some((peer, answer)) => self.by_fault_of(peer, answer),
            None => {
                let words = format!("the connection to another rank failed: {words}");
                self.give_up(&words);
                EngineError::Lost(words)
            }
        }
    }

    /// Whether anybody has failed since the last look.
    pub(super) fn look(&mut self) -> Result<()> {
        let heard: Vec<Option<Answer>> = self.peers.iter().map(Peer::heard).collect();
        match culprit(&heard) {
            Some((peer, answer)) => Err(self.by_fault_of(peer, answer)),
            None => Ok(()),
        }
    }

    /// Fails where a rank does not hold the state of this one, bit by bit.
    ///
    /// # Errors
    /// In words, with the rank's name.
    pub fn agree(&mut self) -> Result<()> {
        self.tell(&Op::Fingerprint.into())?;
        let here = self.local.fingerprint();
        let answers = self.gather()?;
        let here = Answer::Fingerprint(here?);
        match answers.iter().position(|a| *a != here) {
            None => Ok(()),
            Some(odd) => {
                let name = self.peers.get(odd).map_or("another rank", |p| p.name.as_str());
                Err(EngineError::Failed(format!(
                    "{name} does not hold the weights of rank 0: the ranks have drifted apart; this is a bug, or a faulty \
                     device"
                )))
            }
        }
    }
}

#[cfg(test)]
impl Leader {
    pub(super) fn local(&mut self) -> &mut TorchLearner {
        &mut self.local
    }

    /// A step on the others alone.
    pub(super) fn step_others(&mut self) -> Result<()> {
        let step = Step { step: 1, seed: 0, micro: 1, lr_scale: 1.0, clip_grad_norm: None, on_nan: Default::default() };
        self.tell(&Op::Step(step).into())
    }
}

/// Who has failed first: others fail because of it.
pub(super) fn culprit(answers: &[Option<Answer>]) -> Option<(usize, &Answer)> {
    let faults = || answers.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref()?)));
    let own = faults().find(|(_, a)| !matches!(a, Answer::Echo(_)) && a.fault().is_some());
    own.or_else(|| faults().find(|(_, a)| a.fault().is_some()))
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.notice();
        }
        if self.broken.is_none() {
            self.peers.iter_mut().for_each(Peer::dismiss);
        }
        self.peers.clear();
        match (&self.broken, &self.alarm) {
            // Closing would wait for what is on its way to a process that may never answer. This one ends soon.
            (Some(_), Some(_)) => self.local.abandon(),
            _ => self.local.leave(),
        }
        for thread in self.threads.drain(..) {
            // One that waits for a rank that is lost may do so for long; it ends with the process.
            if self.broken.is_none() || thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Learner for Leader {
    fn tree(&self) -> &Tree {
        self.local.tree()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.local.warnings();
        if self.devices.iter().any(|d| d.starts_with("cuda")) && self.brakes.is_empty() {
            warnings.push(nccl::warning(self.devices.first().map_or("cpu", String::as_str)));
        }
        warnings
    }

    fn ranks(&self) -> &[String] {
        &self.devices
    }

    fn attend(&mut self) -> Result<()> {
        self.look()
    }

    fn begin_pass(&mut self, pass: Pass) -> Result<()> {
        self.tell(&Op::Pass(pass).into())
    }

    fn apply_freeze(&mut self, plan: &Resolution) -> Result<()> {
        let message = Op::Freeze(plan.clone()).into();
        self.everybody(&message, |local| local.apply_freeze(plan))
    }

    fn step(&mut self, input: &StepInput<'_>) -> Result<()> {
        self.look()?;
        self.tell(&Op::Step(Step::of(input)).into())?;
        let local = &mut self.local;
        let done = match &self.alarm {
            None => local.step(input),
            Some(alarm) => alarm.watched(|| local.step(input)),
        };
        done.map_err(|error| self.blame(error))
    }

    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>> {
        self.intact()?;
        let reports = self.local.drain(wait)?;
        if !self.brakes.is_empty() {
            // What was waited for may have been broken off.
            self.look()?;
        }
        Ok(reports)
    }

    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>> {
        self.local.probe(batch)
    }

    fn gradient_norms(&mut self) -> Result<Vec<Option<f64>>> {
        // Of averaged gradients: the same everywhere.
        self.local.gradient_norms()
    }

    fn probe_peak(&self) -> Option<u64> {
        self.local.probe_peak()
    }

    fn make_room(&mut self) -> Result<()> {
        self.everybody(&Op::MakeRoom.into(), Learner::make_room)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums> {
        self.tell(&Op::Evaluate.into())?;
        let here = self.local.evaluate_share(batch);
        let (mut sums, part) = match here {
            Ok(here) => here,
            // What all of them cannot do, none has done, and no state depends on it.
            Err(error) => return Err(self.all_but_lost().err().unwrap_or(error)),
        };
        let answers = self.gather()?;
        let mut parts: Vec<[f64; 2]> = part.into_iter().collect();
        for answer in answers {
            if let Answer::Sums(more, part) = answer
                && more.samples > 0
            {
                evaluate::add(&mut sums, &more);
                parts.extend(part.map(|p| p.map(f64::from_bits)));
            }
        }
        if !parts.is_empty() {
            // The mean over the whole batch, as one rank would have it.
            let [sum, mass] = parts.iter().fold([0.0, 0.0], |[s, m], p| [s + p[0], m + p[1]]);
            sums.loss = sum / mass * sums.samples as f64;
        }
        Ok(sums)
    }

    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor> {
        self.local.predict(x, x_shape)
    }

    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<()> {
        self.intact()?;
        if self.broken.is_none() {
            // What a checkpoint holds is everybody's.
            self.agree()?;
        }
        self.local.snapshot_into(into)
    }

    fn room(&self) -> Result<Snapshot> {
        self.local.room()
    }

    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<()> {
        let message = Message { op: Op::Weights, tensors: Arc::new(weights.to_vec()) };
        self.everybody(&message, |local| local.restore_weights(weights))
    }

    fn restore_optimizer(&mut self, optimizer: &[HostTensor], extra: &Extra) -> Result<()> {
        let message = Message { op: Op::Optimizer { extra: extra.clone() }, tensors: Arc::new(optimizer.to_vec()) };
        self.everybody(&message, |local| local.restore_optimizer(optimizer, extra))
    }
}
