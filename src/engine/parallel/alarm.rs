//! What happens when a process is lost: the others are told at once, and a rank 0 that hangs in a computation with it is ended.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::line::Caller;
use super::nccl::Brakes;
use super::wire::Frame;
use crate::engine::ffi::exit;

/// How long rank 0 may take to notice by itself, before the loss is said.
const GRACE: Duration = Duration::from_secs(10);

/// A wait for others that lasts so many times the longest that went well does not end any more.
const HOPELESS: u32 = 4;

/// Shared by rank 0 and the threads that listen to the other ranks.
pub struct Alarm {
    /// The run is over, or rank 0 has noticed.
    noticed: AtomicBool,
    rung: AtomicBool,
    others: Mutex<Vec<Caller>>,
    /// Of this rank.
    pub brakes: Arc<Brakes>,
    waits: Mutex<Waits>,
    grace: Duration,
    /// Tells the user.
    say: fn(&str),
    /// Ends the process.
    end: Box<dyn Fn(&str) + Send + Sync>,
}

/// Rank 0's calls that wait for other ranks inside libtorch, where nothing can wake it.
#[derive(Debug, Default)]
struct Waits {
    /// When the one began that it is in.
    since: Option<Instant>,
    /// Of those that went well.
    longest: Duration,
}

impl Waits {
    fn hopeless(&self, now: Instant, grace: Duration) -> bool {
        let limit = grace.max(self.longest * HOPELESS);
        self.since.is_some_and(|since| now.saturating_duration_since(since) > limit)
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            noticed: AtomicBool::new(false),
            rung: AtomicBool::new(false),
            others: Mutex::default(),
            brakes: Arc::default(),
            waits: Mutex::default(),
            grace: GRACE,
            say: |words| drop(writeln!(std::io::stderr(), "{words}")),
            end: Box::new(|words| end(words)),
        }
    }
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

    /// Runs what waits for other ranks. What rank 0 does elsewhere (a checkpoint, its data, an evaluation) may take any time:
    /// it comes back from it, and notices.
    pub fn watched<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let began = Instant::now();
        self.waits().since = Some(began);
        let done = work();
        let mut waits = self.waits();
        waits.since = None;
        if done.is_ok() {
            waits.longest = waits.longest.max(began.elapsed());
        }
        done
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
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
        // First, since telling may take a while.
        let (alarm, lost) = (Arc::clone(self), words.to_owned());
        let _ = std::thread::Builder::new().name("alarm".to_owned()).spawn(move || alarm.watch(&lost));
        self.tell(words);
        self.brakes.pull();
    }

    /// Until rank 0 has noticed.
    fn watch(&self, words: &str) {
        std::thread::sleep(self.grace);
        if self.noticed.load(Ordering::Acquire) {
            return;
        }
        (self.say)(&format!("{words}; the run ends as soon as rank 0 has done what it is at"));
        while !self.noticed.load(Ordering::Acquire) {
            if self.waits().hopeless(Instant::now(), self.grace) {
                // The trainer waits inside libtorch for a rank that will never come.
                (self.end)(&format!(
                    "{words}; the run cannot go on, its newest checkpoint stands: `frostline resume` goes on from there"
                ));
                return;
            }
            std::thread::sleep(self.grace / 50);
        }
    }
}

/// Ends the process as failed, while another thread may wait inside libtorch.
pub fn end(words: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "error: {words}");
    exit::at_once(1)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::engine::parallel::line::Line;
    use crate::engine::parallel::line::tests::{big, pair};

    const SHORT: Duration = Duration::from_millis(50);

    /// An alarm that tells how it would have ended the process.
    fn alarm() -> (Arc<Alarm>, Receiver<String>) {
        let (say, ends) = channel();
        let end = Box::new(move |words: &str| drop(say.send(words.to_owned())));
        (Arc::new(Alarm { grace: SHORT, say: |_| {}, end, ..Alarm::default() }), ends)
    }

    #[test]
    fn a_busy_rank_0_is_not_ended_and_one_that_waits_in_vain_is() {
        let (alarm, ends) = alarm();
        alarm.ring("rank 1 is lost");
        assert!(ends.recv_timeout(SHORT * 8).is_err(), "it was busy with something of its own");
        let _ = alarm.watched(|| ends.recv_timeout(Duration::from_secs(20))).map(|words| {
            assert!(words.starts_with("rank 1 is lost; the run cannot go on"), "{words}");
        });
    }

    #[test]
    fn a_rank_0_that_notices_is_left_to_itself() {
        let (alarm, ends) = alarm();
        alarm.ring("rank 1 is lost");
        alarm.notice();
        assert!(alarm.watched(|| ends.recv_timeout(SHORT * 8)).is_err());
    }

    #[test]
    fn a_long_step_is_told_from_one_that_does_not_end() {
        let began = Instant::now();
        let waits = |longest: u64| Waits { since: Some(began), longest: Duration::from_secs(longest) };
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        assert!(!waits(0).hopeless(after(9), GRACE) && waits(0).hopeless(after(11), GRACE));
        assert!(!waits(60).hopeless(after(200), GRACE) && waits(60).hopeless(after(241), GRACE));
        assert!(!Waits::default().hopeless(after(1000), GRACE));
    }

    #[test]
    fn telling_somebody_who_takes_nothing_does_not_hold_up_the_end() {
        let (alarm, ends) = alarm();
        let (here, there) = pair();
        let line = Line::new(here, Duration::from_secs(4)).unwrap();
        let caller = line.caller();
        alarm.add(line.caller());
        // Fills the connection, and holds the line until it is given up.
        let frame = big();
        let full = std::thread::spawn(move || caller.send(&frame).is_err());
        while there.peek(&mut [0; 4096]).unwrap() < 4096 {
            std::thread::sleep(SHORT / 10);
        }
        let ringing = Arc::clone(&alarm);
        let ring = std::thread::spawn(move || ringing.ring("rank 1 is lost"));
        assert!(alarm.watched(|| ends.recv_timeout(Duration::from_secs(20))).is_ok());
        assert!(!ring.is_finished(), "it was to be telling the others still");
        ring.join().unwrap();
        assert!(full.join().unwrap());
    }
}
