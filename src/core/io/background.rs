//! A thread that flushes an appended file to the disk at most half a second after it was told of new bytes, so that the
//! trainer never waits for the disk.
//!
//! Owned by the writer of the file. It ends when that is dropped: the thread flushes a last time and is joined.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two flushes.
const PERIOD: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct State {
    dirty: bool,
    stop: bool,
}

/// The handle to the flushing thread of one file.
#[derive(Debug)]
pub struct BackgroundSync {
    shared: Arc<(Mutex<State>, Condvar)>,
    /// Joined on drop.
    thread: Option<JoinHandle<()>>,
}

impl BackgroundSync {
    /// Starts the thread on a second handle to the same open file.
    pub fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("flush".to_owned()).spawn(move || run(&file, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that bytes were written.
    pub fn touch(&self) {
        let (state, wake) = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.dirty {
            state.dirty = true;
            wake.notify_one();
        }
    }
}

impl Drop for BackgroundSync {
    fn drop(&mut self) {
        let (state, wake) = &*self.shared;
        state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(file: &File, shared: &(Mutex<State>, Condvar)) {
    let (state, wake) = shared;
    let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        guard = wake.wait_while(guard, |s| !s.dirty && !s.stop).unwrap_or_else(PoisonError::into_inner);
        let last = guard.stop;
        if guard.dirty {
            guard.dirty = false;
            drop(guard);
            // A failure shows itself at the next write or at the end, where it can be said.
            let _ = file.sync_data();
            guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        }
        if last {
            return;
        }
        guard = wake.wait_timeout_while(guard, PERIOD, |s| !s.stop).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_ends_the_thread_even_while_it_waits() {
        let sync = BackgroundSync::start(&tempfile::tempfile().unwrap()).unwrap();
        sync.touch();
        drop(sync);
    }
}
