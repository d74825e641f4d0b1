//! What happens when a process is lost: the others are told at once, and a rank 0 that hangs in a computation with it is ended.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::line::Caller;
use super::wire::Frame;

/// How long rank 0 may take to notice by itself; from then on it takes the time that it needs, as for a last checkpoint.
const GRACE: Duration = Duration::from_secs(10);

/// Shared by rank 0 and the threads that listen to the other ranks.
#[derive(Default)]
pub struct Alarm {
    /// The run is over, or rank 0 has noticed.
    noticed: AtomicBool,
    rung: AtomicBool,
    others: Mutex<Vec<Caller>>,
}

impl Alarm {
    /// Somebody to be told.
    pub fn add(&self, caller: Caller) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
    }

    /// Rank 0 deals with it, or there is nothing to deal with any more.
    pub fn notice(&self) {
        self.noticed.store(true, Ordering::Release);
    }

    /// Tells all ranks, whoever is still there.
    pub fn tell(&self, words: &str) {
        let callers = self.others.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for caller in callers {
            let _ = caller.send(&Frame::Abort(words.to_owned()));
        }
    }

    /// A rank is lost. Once alone: what follows is its echo.
    pub fn ring(self: &Arc<Self>, words: &str) {
        if self.noticed.load(Ordering::Acquire) || self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        self.tell(words);
        let (alarm, words) = (Arc::clone(self), words.to_owned());
        let body = move || {
            std::thread::sleep(GRACE);
            if !alarm.noticed.load(Ordering::Acquire) {
                // The trainer waits inside libtorch for a rank that will never come, and nothing can wake it.
                end(&format!(
                    "{words}; the run cannot go on, its newest checkpoint stands: `frostline resume` goes on from there"
                ));
            }
        };
        let _ = std::thread::Builder::new().name("alarm".to_owned()).spawn(body);
    }
}

/// Ends the process as failed.
pub fn end(words: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "error: {words}");
    std::process::exit(1)
}
