//! The run whose trainer lives in this process: its handle, and the thread that tells the loop when it has something to
//! say. The thread ends when the run is over; [`Hosted::join`] joins it and the trainer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::event_loop::{Post, Wake};
use crate::core::command::Command;
use crate::core::event::Record;
use crate::session::{Outcome, RunHandle};

/// News are looked at so often at most; the loop draws no faster.
const REST: Duration = Duration::from_millis(25);

/// A hosted run.
pub struct Hosted {
    /// `None` once joined.
    handle: Option<Arc<RunHandle>>,
    /// A wake for news waits in the loop's queue.
    pending: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl Hosted {
    /// Starts the thread that wakes the loop.
    pub fn start(handle: RunHandle, post: &Post) -> Self {
        let handle = Arc::new(handle);
        let pending = Arc::new(AtomicBool::new(false));
        let (theirs, flag, post) = (Arc::clone(&handle), Arc::clone(&pending), post.clone());
        let work = move || {
            while !theirs.is_over() {
                if theirs.wait(Duration::from_millis(500))
                    && !flag.swap(true, Ordering::AcqRel)
                    && !post.wake(Wake::Stirred)
                {
                    return;
                }
                std::thread::sleep(REST);
            }
            drop(theirs);
            post.wake(Wake::Over);
        };
        let pump = std::thread::Builder::new().name("frostline-news".to_owned()).spawn(work).ok();
        Self { handle: Some(handle), pending, pump }
    }

    /// What the run said since the last call.
    pub fn drain(&self) -> Vec<Record> {
        self.pending.store(false, Ordering::Release);
        self.handle.as_ref().map(|h| h.drain()).unwrap_or_default()
    }

    /// Sends a command.
    pub fn send(&self, command: Command) {
        if let Some(handle) = &self.handle {
            handle.send(command);
        }
    }

    /// Joins both threads. Where the run is not over, it is stopped with a checkpoint first.
    pub fn join(mut self) -> Option<Outcome> {
        self.finish()
    }

    fn finish(&mut self) -> Option<Outcome> {
        let handle = self.handle.take()?;
        if !handle.is_over() {
            handle.send(Command::Stop { reason: "the screen was closed".to_owned() });
        }
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
        Arc::try_unwrap(handle).ok().map(RunHandle::join)
    }
}

impl Drop for Hosted {
    /// A screen that breaks down stops its run in order.
    fn drop(&mut self) {
        self.finish();
    }
}
