//! A thread that flushes an appended file to the disk at most half a second after it was told of new bytes, so that the
//! trainer never waits for the disk.
//!
//! Owned by the writer of the file. It ends when that is dropped: the thread flushes a last time and is joined.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::SafeFile;

/// Time between two flushes.
const PERIOD: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct State {
    dirty: bool,
    stop: bool,
    /// The system tells of a flush that failed once only: whoever flushes next hears nothing of it.
    failed: Option<io::Error>,
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
    pub fn start(file: &SafeFile) -> io::Result<Self> {
        let file = file.again()?;
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

    /// The failure of a flush since the last call.
    pub fn failed(&self) -> io::Result<()> {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.take().map_or(Ok(()), Err)
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

fn run(file: &SafeFile, shared: &(Mutex<State>, Condvar)) {
    let (state, wake) = shared;
    let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        guard = wake.wait_while(guard, |s| !s.dirty && !s.stop).unwrap_or_else(PoisonError::into_inner);
        let last = guard.stop;
        if guard.dirty {
            guard.dirty = false;
            drop(guard);
            let flushed = file.sync_data();
            guard = state.lock().unwrap_or_else(PoisonError::into_inner);
            // Said by the writer at its next word.
            guard.failed = flushed.err().or(guard.failed.take());
        }
        if last {
            return;
        }
        guard = wake.wait_timeout_while(guard, PERIOD, |s| !s.stop).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::core::io::fault;
    use crate::core::io::trace::{self, Op};

    fn until(mut done: impl FnMut() -> bool) {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(std::time::Instant::now() < end, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn dropping_ends_the_thread_even_while_it_waits() {
        let dir = tempfile::tempdir().unwrap();
        let sync = BackgroundSync::start(&SafeFile::append(&dir.path().join("a")).unwrap()).unwrap();
        sync.touch();
        drop(sync);
    }

    #[test]
    fn what_was_written_reaches_the_disk_without_being_asked_for() {
        assert!(PERIOD < Duration::from_secs(1));
        let dir = tempfile::tempdir().unwrap();
        let recording = trace::record(dir.path());
        let mut file = SafeFile::append(&dir.path().join("a")).unwrap();
        let sync = BackgroundSync::start(&file).unwrap();
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
            sync.touch();
            until(|| matches!(recording.ops().last(), Some(Op::Sync(_))));
        }
    }

    #[test]
    fn a_flush_that_fails_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let sync = BackgroundSync::start(&SafeFile::append(&path).unwrap()).unwrap();
        let broken = fault::failing_after(&path, 0, rustix::io::Errno::IO);
        sync.touch();
        until(|| sync.failed().is_err());
        drop(broken);
        assert!(sync.failed().is_ok());
    }
}
