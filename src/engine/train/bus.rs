//! The way of events from the trainer to whoever watches: bounded, and the trainer never waits for a reader.
//!
//! Step records are dense and a viewer can do without some: when too many wait, the oldest is dropped (the metrics file
//! has them all). Rare events are kept, always. The order of what is left stays.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::event::Record;

/// Step records that wait at most.
const STEPS: usize = 4096;

/// Time between two wake-ups for step records. A reader that ran at each step of a small model would take a core from it.
const PERIOD: Duration = Duration::from_millis(33);

#[derive(Debug, Default)]
struct Queue {
    rare: VecDeque<(u64, Record)>,
    steps: VecDeque<(u64, Record)>,
    next: u64,
    closed: bool,
    /// When a step record last woke the reader.
    woken: Option<Instant>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.rare.is_empty() && self.steps.is_empty()
    }
}

/// One writer (the trainer), one reader (the handle).
#[derive(Debug, Default)]
pub struct Bus {
    queue: Mutex<Queue>,
    ready: Condvar,
    notify: Notify,
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record. Rare ones wake the reader, steps do so 30 times a second at most.
    pub fn push(&self, record: Record) {
        let mut queue = self.lock();
        let now = Instant::now();
        let rare = record.event.is_rare();
        let wake = rare || queue.woken.is_none_or(|at| now.duration_since(at) >= PERIOD);
        if wake && !rare {
            queue.woken = Some(now);
        }
        let number = queue.next;
        queue.next += 1;
        if rare {
            queue.rare.push_back((number, record));
        } else {
            if queue.steps.len() >= STEPS {
                queue.steps.pop_front();
            }
            queue.steps.push_back((number, record));
        }
        drop(queue);
        if wake {
            self.wake();
        }
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake();
    }

    /// Whether nothing more will come (what is here may still be drained).
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes all that waits, in order.
    pub fn drain(&self) -> Vec<Record> {
        let mut queue = self.lock();
        let (mut rare, mut steps) = (std::mem::take(&mut queue.rare), std::mem::take(&mut queue.steps));
        drop(queue);
        let mut all = Vec::with_capacity(rare.len() + steps.len());
        loop {
            let next = match (rare.front(), steps.front()) {
                (Some((a, _)), Some((b, _))) if a < b => rare.pop_front(),
                (_, Some(_)) => steps.pop_front(),
                (_, None) => rare.pop_front(),
            };
            match next {
                Some((_, record)) => all.push(record),
                None => return all,
            }
        }
    }

    /// Waits until something is there or the bus is closed; whether one of the two is so.
    pub fn wait(&self, timeout: Duration) -> bool {
        let idle = |q: &mut Queue| q.is_empty() && !q.closed;
        let (_guard, result) =
            self.ready.wait_timeout_while(self.lock(), timeout, idle).unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// [`Bus::wait`] for tasks, without a limit.
    pub async fn changed(&self) {
        loop {
            // Registered before the look, so that what comes between is not missed.
            let notified = self.notify.notified();
            {
                let queue = self.lock();
                if !queue.is_empty() || queue.closed {
                    return;
                }
            }
            notified.await;
        }
    }

    fn wake(&self) {
        self.ready.notify_all();
        self.notify.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Event, Metrics};

    fn step(n: u64) -> Record {
        Record { time_ms: n, step: n, event: Event::Step { epoch: 0, metrics: Metrics::new() } }
    }

    fn rare(n: u64) -> Record {
        Record { time_ms: n, step: n, event: Event::Paused }
    }

    #[test]
    fn a_reader_that_never_comes_costs_old_steps_and_no_rare_event() {
        let bus = Bus::default();
        for n in 0..STEPS as u64 * 3 {
            bus.push(if n % 100 == 0 { rare(n) } else { step(n) });
        }
        let all = bus.drain();
        assert!(all.is_sorted_by_key(|r| r.step));
        assert_eq!(all.iter().filter(|r| r.event.is_rare()).count(), (STEPS * 3).div_ceil(100));
        assert_eq!(all.iter().filter(|r| !r.event.is_rare()).count(), STEPS);
        assert_eq!(all.last().map(|r| r.step), Some(STEPS as u64 * 3 - 1));
        assert!(bus.drain().is_empty());
    }

    #[test]
    fn waiting_ends_at_once_when_something_is_there_or_the_run_is_over() {
        let bus = Bus::default();
        assert!(!bus.wait(Duration::ZERO));
        bus.push(step(1));
        assert!(bus.wait(Duration::ZERO));
        bus.drain();
        bus.close();
        assert!(bus.wait(Duration::ZERO));
    }

    #[test]
    fn a_task_is_woken() {
        let bus = std::sync::Arc::new(Bus::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let theirs = bus.clone();
        let thread = std::thread::spawn(move || {
            for n in 0..1000 {
                theirs.push(step(n));
            }
            theirs.close();
        });
        let mut last = None;
        runtime.block_on(async {
            while last != Some(999) {
                bus.changed().await;
                last = bus.drain().last().map(|r| r.step).or(last);
            }
        });
        thread.join().unwrap();
    }
}
