//! Work that takes time, on threads of its own, so that the loop never waits: reading files, building models, hashing
//! and writing weights. Each thread takes jobs from its queue in order and answers with a message.
//!
//! A thread ends when its queue is closed and its job is done. On leaving, the loop waits for an export; reading,
//! building and verifying change nothing and end with the process. Small files (a draft's edits, a recipe's rules) are waited for.

mod devices;
mod drafts;
mod engine;
mod files;
mod history;
mod hosts;
mod keep;
mod values;
mod weights;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::event_loop::EngineSource;
use super::post::Post;
use crate::app::Effect;
use crate::core::alerts::Alerts;
use crate::core::run::{RunDir, RunHome};
use crate::session::{Program, Start};

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The run home.
    pub home: RunHome,
    /// The current folder: recipes are looked for and exports written here.
    pub cwd: PathBuf,
    /// How this program is started again.
    pub program: Program,
    /// Where edits of drafts are kept; nowhere when there is no such folder.
    pub drafts: Option<PathBuf>,
    /// The user's command for alerts.
    pub alerts: Alerts,
}

#[cfg(test)]
impl Places {
    /// A run home in a folder, which is the current one too.
    fn in_folder(folder: &std::path::Path) -> Self {
        let home = RunHome::open(folder);
        Self { home, cwd: folder.into(), program: Program::this(), drafts: None, alerts: Alerts::default() }
    }
}

/// What is done on a thread.
pub enum Job {
    /// An effect of the model.
    Effect(Effect),
    /// The run that `--watch` asks for.
    Start(Box<Start>),
}

/// The threads.
pub struct Workers {
    files: Sender<Job>,
    engine: Sender<Job>,
    weights: Sender<Job>,
    hosts: Sender<Job>,
    drafts: Sender<Job>,
    values: Sender<Job>,
    drift: Sender<Job>,
    devices: Sender<Job>,
    history: Sender<Job>,
    verify: Sender<Job>,
    keeper: Option<JoinHandle<()>>,
    exporter: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts them.
    pub fn start(places: &Places, source: EngineSource, post: &Post) -> io::Result<Self> {
        let spawn = |name: &str, work: Box<dyn FnOnce(Receiver<Job>) + Send>| {
            let (sender, queue) = channel();
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(queue))?;
            Ok::<_, io::Error>((sender, thread))
        };
        let (a, b, c, d) = (places.clone(), places.clone(), places.clone(), places.clone());
        let (post_a, post_b, post_c, post_d) = (post.clone(), post.clone(), post.clone(), post.clone());
        let (files, _) = spawn("frostline-files", Box::new(move |queue| files::work(&queue, &a, &post_a)))?;
        let (hosts, _) = spawn("frostline-hosts", Box::new(move |queue| hosts::work(&queue, &d, &post_d)))?;
        let (e, post_e) = (places.clone(), post.clone());
        let (drafts, keeper) = spawn("frostline-drafts", Box::new(move |queue| drafts::work(&queue, &e, &post_e)))?;
        let (g, post_g) = (places.clone(), post.clone());
        let (values, _) = spawn("frostline-values", Box::new(move |queue| values::work(&queue, &g, &post_g)))?;
        let (h, post_h) = (places.clone(), post.clone());
        let (drift, _) = spawn("frostline-drift", Box::new(move |queue| values::compare(&queue, &h, &post_h)))?;
        let post_k = post.clone();
        let (devices, _) = spawn("frostline-devices", Box::new(move |queue| devices::work(&queue, &post_k)))?;
        let (i, post_i) = (places.clone(), post.clone());
        let (history, _) = spawn("frostline-history", Box::new(move |queue| history::work(&queue, &i, &post_i)))?;
        let (j, post_j) = (places.clone(), post.clone());
        let (verify, _) = spawn("frostline-verify", Box::new(move |queue| weights::verify(&queue, &j, &post_j)))?;
        let shared = engine::Shared::new(source);
        let theirs = shared.clone();
        let engine = move |queue: Receiver<Job>| engine::work(&queue, &b, &shared, &post_b);
        let (engine, _) = spawn("frostline-engine", Box::new(engine))?;
        let (weights, exporter) =
            spawn("frostline-weights", Box::new(move |queue| weights::work(&queue, &c, &theirs, &post_c)))?;
        Ok(Self {
            files,
            engine,
            weights,
            hosts,
            drafts,
            values,
            drift,
            devices,
            history,
            verify,
            keeper: Some(keeper),
            exporter: Some(exporter),
        })
    }

    /// Hands an effect to the thread that does it.
    pub fn effect(&self, effect: Effect) {
        let queue = match effect {
            Effect::OpenDraft(_) | Effect::ReadTree(_) | Effect::ReadDevices | Effect::Start(_) => &self.engine,
            Effect::Export(_) | Effect::MeasureDrift(_) => &self.weights,
            Effect::Verify { .. } | Effect::DeleteCheckpoint { .. } => &self.verify,
            Effect::ReadCheckpoints(_)
            | Effect::ReadFacts { .. }
            | Effect::PinCheckpoint { .. }
            | Effect::ReadTensors { .. }
            | Effect::ReadForkBase { .. } => &self.history,
            Effect::WriteRules { .. } | Effect::KeepDraft(_) | Effect::ForgetDraft(_) | Effect::ReadDrafts => {
                &self.drafts
            }
            Effect::ReadValues(_) => &self.values,
            Effect::SampleDevices => &self.devices,
            Effect::ReadDrift(_) | Effect::Diff { .. } => &self.drift,
            Effect::Attach(_) | Effect::HandOver { .. } => &self.hosts,
            _ => &self.files,
        };
        // A closed queue is a thread that broke down: its panic is in the log.
        let _ = queue.send(Job::Effect(effect));
    }

    /// Starts what `--watch` asks for.
    pub fn watch(&self, start: Start) {
        let _ = self.engine.send(Job::Start(Box::new(start)));
    }

    /// Closes the queues; waits for small files that are being kept, and for an export that is being written.
    pub fn finish(mut self, exporting: bool) {
        let exporter = self.exporter.take().filter(|_| exporting);
        let keeper = self.keeper.take();
        drop(self);
        if let Some(keeper) = keeper {
            let _ = keeper.join();
        }
        if let Some(exporter) = exporter {
            let _ = exporter.join();
        }
    }
}

/// A run by its id. Not by looking for it: the run home may hold very many.
fn run_dir(places: &Places, id: &str) -> Result<RunDir, String> {
    let path = places.home.path().join("runs").join(id);
    let gone = || format!("run {id} is not in {} any more", places.home.path().display());
    RunDir::at(&path).filter(|run| run.path().is_dir()).ok_or_else(gone)
}

/// The next job; of equal ones that wait, only the last is done.
fn next(queue: &Receiver<Job>, waiting: &mut VecDeque<Job>) -> Option<Job> {
    if waiting.is_empty() {
        waiting.push_back(queue.recv().ok()?);
    }
    waiting.extend(queue.try_iter());
    let job = waiting.pop_front()?;
    let again = |other: &Job| matches!((&job, other), (Job::Effect(a), Job::Effect(b)) if a == b);
    if waiting.iter().any(again) {
        return next(queue, waiting);
    }
    Some(job)
}
