//! The thread that writes a run's checkpoints, so that the next step does not wait for the disk.
//!
//! Owned by the trainer, which hands over one snapshot at a time: there is never more than one on its way, so that a run
//! holds one copy of its state in host memory and no more. A snapshot comes back with the outcome, and the next is copied
//! into its buffers. Those of the first are had from the system by the thread too, while the first steps are taken: that is
//! most of what a first copy costs. Dropping the [`Saver`] lets the thread finish what it writes and joins it.

use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::core::checkpoint::{CheckpointInfo, CheckpointStore, TrainState, policy};
use crate::core::run::MetricsFlush;
use crate::engine::Snapshot;

use super::host;

/// A state to be written.
pub struct Job {
    /// Everything but the tensors.
    pub state: TrainState,
    /// The tensors.
    pub snapshot: Snapshot,
    /// The metrics before a checkpoint must not be younger than it: they are flushed first.
    pub metrics: MetricsFlush,
}

/// What came of it.
pub struct Done {
    /// The checkpoint's name.
    pub name: String,
    /// The checkpoint, durable; or why there is none, in words.
    pub written: Result<CheckpointInfo, String>,
    /// Those removed after it by name, or why one was not, in words.
    pub removed: Vec<Result<String, String>>,
    /// Whether the metrics reached the disk.
    pub metrics: std::io::Result<()>,
    snapshot: Snapshot,
}

/// The trainer's end of the thread.
pub struct Saver {
    store: CheckpointStore,
    thread: Option<Thread>,
    /// The name of the checkpoint on its way.
    on_its_way: Option<String>,
    /// The buffers of the snapshot before.
    spare: Snapshot,
    /// Buffers for the first snapshot are on their way.
    preparing: bool,
    /// Written by the trainer's own thread, where there can be no other.
    done: Option<Done>,
}

/// What the thread is asked to do.
enum Work {
    Write(Box<Job>),
    Touch(Snapshot),
}

struct Thread {
    /// Holds one: the thread has taken the one before when it is sent.
    work: SyncSender<Work>,
    done: Receiver<Done>,
    touched: Receiver<Snapshot>,
    handle: JoinHandle<()>,
}

impl Saver {
    /// A saver that has not started its thread yet.
    pub fn new(store: CheckpointStore) -> Self {
        Self { store, thread: None, on_its_way: None, spare: Snapshot::default(), preparing: false, done: None }
    }

    /// Has the memory of untouched buffers made ready for the first snapshot.
    pub fn prepare(&mut self, room: Snapshot) {
        if room.weights.is_empty() {
            return;
        }
        // Of a fork's checkpoint at step 0, without the optimizer's state.
        self.spare = Snapshot::default();
        self.start();
        self.preparing = self.thread.as_ref().is_some_and(|thread| thread.work.send(Work::Touch(room)).is_ok());
    }

    /// Buffers for the next snapshot, with the values of the last one. The outcome of the job before must have been taken.
    pub fn buffers(&mut self) -> Snapshot {
        if std::mem::take(&mut self.preparing)
            && let Some(thread) = &self.thread
        {
            // No longer than it would take to touch them here.
            return thread.touched.recv().unwrap_or_default();
        }
        std::mem::take(&mut self.spare)
    }

    fn start(&mut self) {
        if self.thread.is_none() {
            self.thread = Thread::start(&self.store).ok();
        }
    }

    /// Begins to write. The outcome of the job before must have been taken.
    pub fn begin(&mut self, job: Job) {
        self.on_its_way = Some(CheckpointStore::name_of(job.state.step));
        self.start();
        // A system that has no thread left, or one whose thread broke down: then the step waits.
        let refused = match &self.thread {
            Some(thread) => match thread.work.send(Work::Write(Box::new(job))) {
                Err(SendError(Work::Write(job))) => Some(*job),
                _ => None,
            },
            None => Some(job),
        };
        self.done = refused.map(|job| write(&self.store, job));
    }

    /// The outcome of the job on its way, if there is one; waits for it if asked to.
    pub fn outcome(&mut self, wait: bool) -> Option<Done> {
        self.on_its_way.as_ref()?;
        let mut done = match (&self.done, &self.thread) {
            (None, Some(thread)) if wait => thread.done.recv().ok(),
            (None, Some(thread)) => Some(thread.done.try_recv().ok()?),
            _ => self.done.take(),
        };
        let name = self.on_its_way.take()?;
        if let Some(done) = &mut done {
            self.spare = std::mem::take(&mut done.snapshot);
        } else {
            self.thread = None;
        }
        Some(done.unwrap_or_else(|| Done {
            name,
            written: Err("the thread that writes checkpoints ended; this is a bug".to_owned()),
            removed: Vec::new(),
            metrics: Ok(()),
            snapshot: Snapshot::default(),
        }))
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(Thread { work, done, touched, handle }) = self.thread.take() {
            drop(work);
            let _ = handle.join();
            drop((done, touched));
        }
    }
}

impl Thread {
    fn start(store: &CheckpointStore) -> std::io::Result<Self> {
        let (work, inbox) = sync_channel(1);
        let (outbox, done) = sync_channel(1);
        let (ready, touched) = sync_channel(1);
        let store = store.clone();
        let body = move || {
            while let Ok(work) = inbox.recv() {
                // What nobody waits for any more: the run is over.
                match work {
                    Work::Write(job) => drop(outbox.send(write(&store, *job))),
                    Work::Touch(room) => drop(ready.send(touch(room))),
                }
            }
        };
        let handle = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(body)?;
        Ok(Self { work, done, touched, handle })
    }
}

/// Writes, then removes what the recipe no longer keeps.
fn write(store: &CheckpointStore, job: Job) -> Done {
    let Job { state, snapshot, metrics } = job;
    let metrics = metrics.flush();
    let name = CheckpointStore::name_of(state.step);
    let write = || store.write(&state, &snapshot.weights, &snapshot.optimizer).map_err(|e| e.to_string());
    let written = host::caught(write).and_then(|written| written);
    let removed =
        written.as_ref().map_or_else(|_| Vec::new(), |_| host::caught(|| prune(store, &state)).unwrap_or_default());
    Done { name, written, removed, metrics, snapshot }
}

fn prune(store: &CheckpointStore, state: &TrainState) -> Vec<Result<String, String>> {
    let names = policy::to_remove(&store.list(), &state.recipe.checkpoint);
    let removed = names.into_iter().map(|name| match store.remove_unless_pinned(&name) {
        Ok(true) => Some(Ok(name)),
        Ok(false) => None,
        Err(e) => Some(Err(e.to_string())),
    });
    removed.flatten().collect()
}

/// Smallest page of the machines that it runs on.
const PAGE: usize = 4096;

fn touch(mut room: Snapshot) -> Snapshot {
    for tensor in room.weights.iter_mut().chain(&mut room.optimizer) {
        tensor.data.chunks_mut(PAGE).filter_map(<[u8]>::first_mut).for_each(|byte| *std::hint::black_box(byte) = 0);
    }
    room
}
