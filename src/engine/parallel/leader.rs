//! Rank 0: a learner for the trainer, which takes the other ranks along.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::op::{Answer, Message, Op, Step};
use super::peer::Peer;
use crate::core::freeze::Resolution;
use crate::core::tensor::HostTensor;
use crate::core::tree::Tree;
use crate::engine::api::{Batch, EngineError, EvalSums, Learner, Pass, Snapshot, StepInput, StepReport};
use crate::engine::ffi::c10d::Group;
use crate::engine::torch::TorchLearner;
use crate::engine::train::evaluate;

type Result<T> = std::result::Result<T, EngineError>;
type Extra = serde_json::Map<String, serde_json::Value>;

/// How long the word of the rank that failed first is waited for, once this one has noticed.
const WORDS: Duration = Duration::from_secs(5);

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
}

impl Leader {
    /// Waits until all ranks are built, and joins them into a group.
    pub(super) fn assemble(
        local: TorchLearner,
        peers: Vec<Peer>,
        device: &str,
        threads: Vec<JoinHandle<()>>,
        alarm: Option<Arc<Alarm>>,
        group: impl FnOnce() -> Result<Group>,
    ) -> Result<Self> {
        let mut leader = Self { peers, local, devices: vec![device.to_owned()], threads, broken: None, alarm };
        // Before anybody waits in the rendezvous.
        let answers = leader.gather()?;
        for (peer, answer) in leader.peers.iter().zip(answers) {
            leader.devices.push(match (answer, &peer.elsewhere) {
                (Answer::Built(device), None) => device,
                (Answer::Built(device), Some(host)) => format!("{device}@{host}"),
                _ => String::new(),
            });
        }
        leader.tell(&Op::Join.into())?;
        leader.local.join(group()?);
        leader.gather()?;
        Ok(leader)
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
                Err(self.lost(gone, said.as_deref().unwrap_or("it is gone")))
            }
        }
    }

    /// The answers of all others, in their order. All are waited for, also where one has failed.
    fn gather(&mut self) -> Result<Vec<Answer>> {
        let answers: Vec<Answer> = self.peers.iter().map(Peer::answer).collect();
        let failed = answers.iter().enumerate().find_map(|(i, a)| match a {
            Answer::Failed(words) => Some((i, words.clone())),
            _ => None,
        });
        match failed {
            None => Ok(answers),
            Some((rank, words)) => Err(self.lost(rank, &words)),
        }
    }

    /// Has everybody do something between two steps. What this rank refuses, all refuse, and nothing is lost by it.
    fn everybody(&mut self, message: &Message, here: impl FnOnce(&mut TorchLearner) -> Result<()>) -> Result<()> {
        self.tell(message)?;
        match here(&mut self.local) {
            Ok(()) => self.gather().map(drop),
            Err(error) => {
                for peer in &self.peers {
                    let _ = peer.answer();
                }
                Err(error)
            }
        }
    }

    fn lost(&mut self, peer: usize, words: &str) -> EngineError {
        let name = self.peers.get(peer).map_or("another rank", |p| p.name.as_str());
        let words = format!("{name}: {words}");
        self.give_up(&words);
        EngineError::Lost(words)
    }

    /// The ranks part, and all others end.
    fn give_up(&mut self, words: &str) {
        self.broken = Some(words.to_owned());
        if let Some(alarm) = &self.alarm {
            alarm.notice();
            alarm.tell(words);
        }
    }

    /// Whose fault it is that a step failed here. A rank that fails closes its connections, and the others fail with that.
    fn blame(&mut self, error: EngineError) -> EngineError {
        if !is_echo(&error.to_string()) {
            self.give_up(&format!("rank 0: {error}"));
            return error;
        }
        let deadline = Instant::now() + WORDS;
        let failures: Vec<Option<String>> = self.peers.iter().map(|p| p.failure(deadline)).collect();
        let said = |own: bool| {
            failures.iter().enumerate().find_map(|(i, f)| f.as_ref().filter(|w| !own || !is_echo(w)).map(|w| (i, w)))
        };
        match said(true).or_else(|| said(false)) {
            Some((peer, words)) => self.lost(peer, &words.clone()),
            None => {
                let words = format!("the connection to another rank failed: {error}");
                self.give_up(&words);
                EngineError::Lost(words)
            }
        }
    }

    /// Whether anybody has failed since the last look.
    pub(super) fn look(&mut self) -> Result<()> {
        let heard = self.peers.iter().enumerate().find_map(|(i, p)| match p.heard() {
            Some(Answer::Failed(words)) => Some((i, words)),
            _ => None,
        });
        match heard {
            Some((peer, words)) => Err(self.lost(peer, &words)),
            None => Ok(()),
        }
    }

    /// Fails where a rank does not hold the state of this one, bit by bit.
    ///
    /// # Errors
    /// In words, with the rank's name.
    pub fn agree(&mut self) -> Result<()> {
        self.tell(&Op::Fingerprint.into())?;
        let here = self.local.fingerprint()?;
        let answers = self.gather()?;
        match answers.iter().position(|a| *a != Answer::Fingerprint(here)) {
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

/// Whether words tell of a connection that another rank has closed.
pub(super) fn is_echo(words: &str) -> bool {
    ["gloo", "Connection closed", "Connection reset", "Broken pipe", "c10d"].iter().any(|w| words.contains(w))
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
        if self.devices.iter().any(|d| d.starts_with("cuda")) {
            warnings.push(
                "train.devices: the GPUs exchange gradients through host memory (Gloo), since this build has no NCCL; \
                 expect each step to take longer by the time that all gradients take over PCIe, twice"
                    .to_owned(),
            );
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
        self.local.step(input).map_err(|error| self.blame(error))
    }

    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>> {
        self.local.drain(wait)
    }

    fn non_finite(&mut self) -> Result<Vec<String>> {
        // Of averaged gradients: the same everywhere.
        self.local.non_finite()
    }

    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>> {
        self.local.probe(batch)
    }

    fn probe_peak(&self) -> Option<u64> {
        self.local.probe_peak()
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums> {
        self.tell(&Op::Evaluate.into())?;
        let here = self.local.evaluate_share(batch);
        let (mut sums, part) = here.inspect_err(|_| self.peers.iter().for_each(|p| drop(p.answer())))?;
        let mut parts: Vec<[f64; 2]> = part.into_iter().collect();
        for answer in self.gather()? {
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
