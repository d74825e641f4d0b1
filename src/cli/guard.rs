//! Looks after the end of a run, beside the thread that shows its progress: a terminal that takes no output may hold that
//! one up, and a signal must stop the run all the same, and the process end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::interrupt::Interrupt;
use crate::core::command::Command;
use crate::core::run::RunStatus;
use crate::session::RunHandle;

/// Signals are looked at so often.
const LOOK: Duration = Duration::from_millis(100);
/// A signal that comes again within this time is the same one, by another way.
const ECHO: Duration = Duration::from_secs(1);
/// Time that the last words may take once the run is over.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Time that a run which was told to stop may take for its step and its checkpoint, unless `FROSTLINE_STOP_TIMEOUT` says
/// another number of seconds.
const STOP: Duration = Duration::from_secs(600);

/// The watching thread. Ends when it is dropped.
pub struct Guard {
    done: Arc<(Mutex<bool>, Condvar)>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Starts it. `stopped` is the exit code of a run that was stopped.
    pub fn start(handle: Arc<RunHandle>, interrupt: Interrupt, stopped: u8) -> std::io::Result<Self> {
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (theirs, flag) = (Arc::clone(&done), Arc::clone(&stopping));
        let work = move || watch(&handle, &interrupt, stopped, &theirs, &flag);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(work)?;
        Ok(Self { done, stopping, thread: Some(thread) })
    }

    /// Whether the run was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, wake) = &*self.done;
        *done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(handle: &RunHandle, interrupt: &Interrupt, stopped: u8, done: &(Mutex<bool>, Condvar), flag: &AtomicBool) {
    let (mut asked, mut over) = (None, None);
    let stop = stop_timeout();
    let mut guard = done.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*guard {
        if asked.is_none()
            && let Some(reason) = interrupt.asked()
        {
            asked = Some(Instant::now());
            handle.send(Command::Stop { reason: reason.to_owned() });
            flag.store(true, Ordering::Release);
        }
        match asked {
            Some(at) if at.elapsed() < ECHO => interrupt.settle(),
            Some(_) => interrupt.again(),
            None => {}
        }
        if over.is_none() && handle.is_over() {
            over = Some(Instant::now());
        }
        let late = |since: Option<Instant>, bound| since.is_some_and(|at| at.elapsed() > bound);
        if interrupt.is_of_process() && (late(over, LAST_WORDS) || (over.is_none() && late(asked, stop))) {
            let code = match handle.dir().summary().status {
                RunStatus::Finished => 0,
                RunStatus::Stopped => stopped,
                // Not over in time: what it has reported written is complete.
                _ => {
                    give_up(handle, stop);
                    1
                }
            };
            std::process::exit(i32::from(code));
        }
        guard = done.1.wait_timeout(guard, LOOK).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn stop_timeout() -> Duration {
    let set = std::env::var("FROSTLINE_STOP_TIMEOUT").ok().and_then(|text| text.trim().parse().ok());
    set.map_or(STOP, Duration::from_secs)
}

/// Says that the run's end is not waited for any longer. On a thread of its own: the terminal may take no output.
fn give_up(handle: &RunHandle, stop: Duration) {
    let id = handle.dir().id().to_string();
    let words = move || {
        let seconds = stop.as_secs();
        eprintln!(
            "error: the run did not end within {seconds} s of the signal and is given up; `frostline resume {id}` goes on from its newest checkpoint"
        );
    };
    if let Ok(thread) = std::thread::Builder::new().name("last words".to_owned()).spawn(words) {
        let end = Instant::now() + ECHO;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
