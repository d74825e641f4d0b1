//! The handle to a run whose trainer is a thread of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::command::{Command, Request};
use crate::core::event::{Event, Record};
use crate::core::run::{RunDir, RunId};
use crate::core::tree::Tree;
use crate::engine::train::{Bus, Outcome, now_ms};

/// Commands in, events out. Owns the trainer's thread: dropping the handle stops the run after a checkpoint and joins it.
///
/// The order of ending: the inbox is closed, the trainer sees it between two steps (or out of its pause), saves, says the
/// last event, gives up the run's lock, closes the bus; then the thread is joined.
#[derive(Debug)]
pub struct RunHandle {
    run: RunDir,
    tree: Tree,
    /// `None` while the handle is being dropped.
    inbox: Option<SyncSender<Request>>,
    bus: Arc<Bus>,
    /// `None` once joined.
    thread: Option<JoinHandle<Outcome>>,
    next: AtomicU64,
}

impl RunHandle {
    pub(super) fn new(
        run: RunDir,
        tree: Tree,
        inbox: SyncSender<Request>,
        bus: Arc<Bus>,
        thread: JoinHandle<Outcome>,
    ) -> Self {
        Self { run, tree, inbox: Some(inbox), bus, thread: Some(thread), next: AtomicU64::new(1) }
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        self.run.id()
    }

    /// The run's folder.
    pub fn dir(&self) -> &RunDir {
        &self.run
    }

    /// The model's layer tree; empty for a run that had finished before.
    pub fn tree(&self) -> Tree {
        self.tree.clone()
    }

    /// Sends a command and returns at once. The number is that of the [`Event::Reply`] to come; every command gets one.
    pub fn send(&self, command: Command) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let sent = match &self.inbox {
            Some(inbox) if !self.bus.is_closed() => inbox.try_send(Request { id, command }),
            _ => Err(TrySendError::Disconnected(Request { id, command })),
        };
        if let Err(e) = sent {
            let why = match e {
                TrySendError::Full(_) => "too many commands wait already",
                TrySendError::Disconnected(_) => "the run is over",
            };
            let event = Event::Reply { id, result: Err(why.to_owned()) };
            self.bus.push(Record { time_ms: now_ms(), step: 0, event });
        }
        id
    }

    /// Takes all events that wait, in order. Step records are dropped, oldest first, when nobody drains; rare events never.
    pub fn drain(&self) -> Vec<Record> {
        self.bus.drain()
    }

    /// Waits until there is something to drain or the run is over; false where the time was up before.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.bus.wait(timeout)
    }

    /// [`RunHandle::wait`] for tasks, without a limit.
    pub async fn changed(&self) {
        self.bus.changed().await;
    }

    /// Whether the run has ended and its lock is free. What it said may still wait to be drained.
    pub fn is_over(&self) -> bool {
        self.bus.is_closed()
    }

    /// Waits for the run's end, whenever it comes. A paused run must be stopped or continued first.
    pub fn join(mut self) -> Outcome {
        self.finish()
    }

    fn finish(&mut self) -> Outcome {
        let joined = self.thread.take().map(JoinHandle::join);
        match joined {
            Some(Ok(outcome)) => outcome,
            _ => Outcome::Failed { message: "the trainer's thread broke down; this is a bug".to_owned() },
        }
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.inbox = None;
        if self.thread.is_some() {
            self.finish();
        }
    }
}
