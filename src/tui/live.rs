//! A live run that the screen follows, of this process or of another one: its handle, and the thread that tells the loop
//! when it has something to say. The thread ends when the run is over or the handle is taken back; [`Live::join`] joins it
//! and the trainer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::post::{Post, Wake};
use crate::core::command::Command;
use crate::core::event::Record;
use crate::session::{Outcome, RunHandle};

/// News are looked at so often at most; the loop draws no faster.
const REST: Duration = Duration::from_millis(25);
/// How long the thread takes to see that it is to end, where the run is silent.
const LOOK: Duration = Duration::from_millis(500);

/// A run that is followed.
pub struct Live {
    /// The loop's number for it: wakes of one that was given up are told apart.
    pub number: u64,
    /// `None` once taken back.
    handle: Option<Arc<RunHandle>>,
    /// A wake for news waits in the loop's queue.
    pending: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the thread that wakes the loop.
    pub fn start(handle: RunHandle, number: u64, post: &Post) -> Self {
        let handle = Arc::new(handle);
        let (pending, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (theirs, flag, stop, post) = (Arc::clone(&handle), Arc::clone(&pending), Arc::clone(&end), post.clone());
        // Never waits for the loop, which may be waiting for it: where there is no room, it tries again.
        let work = move || {
            while !theirs.is_over() && !stop.load(Ordering::Acquire) {
                if theirs.wait(LOOK) && !flag.swap(true, Ordering::AcqRel) && !post.try_wake(Wake::Stirred(number)) {
                    flag.store(false, Ordering::Release);
                }
                std::thread::sleep(REST);
            }
            drop(theirs);
            while !stop.load(Ordering::Acquire) && !post.try_wake(Wake::Over(number)) {
                std::thread::sleep(REST);
            }
        };
        let pump = std::thread::Builder::new().name("frostline-news".to_owned()).spawn(work).ok();
        Self { number, handle: Some(handle), pending, end, pump }
    }

    /// The run's id.
    pub fn id(&self) -> Option<&str> {
        self.handle.as_ref().map(|h| h.id().as_str())
    }

    /// What the run said since the last call.
    pub fn drain(&self) -> Vec<Record> {
        self.pending.store(false, Ordering::Release);
        self.handle.as_ref().map(|h| h.drain()).unwrap_or_default()
    }

    /// Whether it said more than could be taken in.
    pub fn has_lagged(&self) -> bool {
        self.handle.as_ref().is_some_and(|h| h.has_lagged())
    }

    /// Sends a command.
    pub fn send(&self, command: Command) {
        if let Some(handle) = &self.handle {
            handle.send(command);
        }
    }

    /// Has it tell its gradients' norms, or no longer.
    pub fn want_gradients(&self, on: bool) {
        if let Some(handle) = &self.handle {
            handle.want_gradients(on);
        }
    }

    /// Gives the handle back; the run goes on.
    pub fn release(mut self) -> Option<RunHandle> {
        self.take_back()
    }

    fn take_back(&mut self) -> Option<RunHandle> {
        let handle = self.handle.take()?;
        self.end.store(true, Ordering::Release);
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
        Arc::try_unwrap(handle).ok()
    }

    /// Joins both threads. A run of this process that is not over is stopped with a checkpoint first.
    pub fn join(mut self) -> Option<Outcome> {
        self.finish()
    }

    fn finish(&mut self) -> Option<Outcome> {
        let handle = self.take_back()?;
        if !handle.is_here() {
            return None;
        }
        if !handle.is_over() {
            handle.send(Command::Stop { reason: "the screen was closed".to_owned() });
        }
        Some(handle.join())
    }
}

impl Drop for Live {
    /// A screen that breaks down stops its run in order; that of another process goes on.
    fn drop(&mut self) {
        self.finish();
    }
}
