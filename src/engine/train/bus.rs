//! The way of events from the trainer to whoever watches: bounded, and the trainer never waits for a reader.
//!
//! Step records are dense and a viewer can do without some: when too many wait, the oldest is dropped (the metrics file
//! has them all). Rare events are kept, always. The order of what is left stays.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::event::{Event, Record};

/// Step records that wait at most.
const STEPS: usize = 4096;

/// Time between two wake-ups for step records. A reader that ran at each step of a small model would take a core from it.
const PERIOD: Duration = Duration::from_millis(33);

/// What a reader wants of the step records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dense {
    /// All, and to be woken for them.
    #[default]
    All,
    /// The newest alone, to be had when something else wakes it.
    Newest,
    /// Those alone that hold a value which is not finite.
    Odd,
}

#[derive(Debug, Default)]
struct Queue {
    rare: VecDeque<(u64, Record)>,
    steps: VecDeque<(u64, Record)>,
    dense: Dense,
    /// The reader wants to know the gradients' norms.
    gradients: bool,
    /// It has not been told since it said so.
    asked: bool,
    /// Step records that were dropped since the last drain.
    dropped: u64,
    next: u64,
    closed: bool,
    /// When a step record last woke the reader.
    woken: Option<Instant>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.rare.is_empty() && (self.steps.is_empty() || self.dense == Dense::Newest)
    }
}

/// One writer (the trainer), some readers.
#[derive(Debug, Default)]
pub struct Bus {
    readers: Mutex<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    queues: Vec<Arc<Shared>>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    notify: Notify,
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of everything that comes from now on.
    pub fn reader(&self, dense: Dense) -> Reader {
        let mut readers = self.lock();
        let shared = Arc::new(Shared::default());
        {
            let mut queue = shared.lock();
            (queue.dense, queue.closed) = (dense, readers.closed);
        }
        readers.queues.push(Arc::clone(&shared));
        Reader(shared)
    }

    /// Adds a record. Rare ones wake the readers, steps do so 30 times a second at most.
    pub fn push(&self, record: Record) {
        let mut readers = self.lock();
        // Readers that were dropped have left this one handle.
        readers.queues.retain(|q| Arc::strong_count(q) > 1);
        if let Some((last, others)) = readers.queues.split_last() {
            for shared in others.iter().filter(|s| s.wants(&record)) {
                shared.push(record.clone());
            }
            if last.wants(&record) {
                last.push(record);
            }
        }
    }

    /// Whether some reader wants to know the gradients' norms, which are told it then; of a run that stands still, once.
    pub fn wants_gradients(&self, stands_still: bool) -> bool {
        let mut wanted = false;
        for shared in self.lock().queues.iter().filter(|q| Arc::strong_count(q) > 1) {
            let mut queue = shared.lock();
            wanted |= queue.gradients && (queue.asked || !stands_still);
            queue.asked = false;
        }
        wanted
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        let mut readers = self.lock();
        readers.closed = true;
        for shared in &readers.queues {
            shared.lock().closed = true;
            shared.wake();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants(&self, record: &Record) -> bool {
        match &record.event {
            Event::Step { metrics, .. } if self.lock().dense == Dense::Odd => metrics.values().any(|v| !v.is_finite()),
            Event::Gradients { .. } => self.lock().dense == Dense::All,
            _ => true,
        }
    }

    fn push(&self, record: Record) {
        let mut queue = self.lock();
        let rare = record.event.is_rare();
        let now = Instant::now();
        let due = queue.dense != Dense::Newest && queue.woken.is_none_or(|at| now.duration_since(at) >= PERIOD);
        let wake = rare || due;
        if wake && !rare {
            queue.woken = Some(now);
        }
        let number = queue.next;
        queue.next += 1;
        if rare {
            queue.rare.push_back((number, record));
        } else {
            let most = if queue.dense == Dense::Newest { 1 } else { STEPS };
            while queue.steps.len() >= most {
                queue.steps.pop_front();
                queue.dropped += u64::from(queue.dense != Dense::Newest);
            }
            queue.steps.push_back((number, record));
        }
        drop(queue);
        if wake {
            self.wake();
        }
    }

    fn wake(&self) {
        self.ready.notify_all();
        self.notify.notify_one();
    }
}

/// One reader's end. The bus forgets it when it is dropped.
#[derive(Debug)]
pub struct Reader(Arc<Shared>);

impl Reader {
    /// Changes what is wanted of the steps from now on.
    pub fn want(&self, dense: Dense) {
        self.0.lock().dense = dense;
    }

    /// Has the trainer tell the gradients' norms once a second, or no longer. They come to all who want all steps.
    pub fn want_gradients(&self, on: bool) {
        let mut queue = self.0.lock();
        (queue.gradients, queue.asked) = (on, on);
    }

    /// Whether nothing more will come (what is here may still be drained).
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Takes all that waits, in order.
    pub fn drain(&self) -> Vec<Record> {
        self.drain_counting().0
    }

    /// The same, and how many step records were dropped before.
    pub fn drain_counting(&self) -> (Vec<Record>, u64) {
        let mut queue = self.0.lock();
        let (mut rare, mut steps) = (std::mem::take(&mut queue.rare), std::mem::take(&mut queue.steps));
        let dropped = std::mem::take(&mut queue.dropped);
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
                None => return (all, dropped),
            }
        }
    }

    /// Waits until something is there or the bus is closed; whether one of the two is so.
    pub fn wait(&self, timeout: Duration) -> bool {
        let idle = |q: &mut Queue| q.is_empty() && !q.closed;
        let (_guard, result) =
            self.0.ready.wait_timeout_while(self.0.lock(), timeout, idle).unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// [`Reader::wait`] for tasks, without a limit.
    pub async fn changed(&self) {
        loop {
            // Registered before the look, so that what comes between is not missed.
            let notified = self.0.notify.notified();
            {
                let queue = self.0.lock();
                if !queue.is_empty() || queue.closed {
                    return;
                }
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Metrics;

    fn step(n: u64) -> Record {
        Record { time_ms: n, step: n, event: Event::Step { epoch: 0, metrics: Metrics::new() } }
    }

    fn rare(n: u64) -> Record {
        Record { time_ms: n, step: n, event: Event::Paused }
    }

    #[test]
    fn a_reader_that_never_comes_costs_old_steps_and_no_rare_event() {
        let bus = Bus::default();
        let reader = bus.reader(Dense::All);
        for n in 0..STEPS as u64 * 3 {
            bus.push(if n % 100 == 0 { rare(n) } else { step(n) });
        }
        let (all, dropped) = reader.drain_counting();
        assert!(all.is_sorted_by_key(|r| r.step));
        assert_eq!(all.iter().filter(|r| r.event.is_rare()).count(), (STEPS * 3).div_ceil(100));
        assert_eq!(all.iter().filter(|r| !r.event.is_rare()).count(), STEPS);
        assert_eq!(all.len() as u64 + dropped, STEPS as u64 * 3);
        assert_eq!(all.last().map(|r| r.step), Some(STEPS as u64 * 3 - 1));
        assert!(reader.drain().is_empty());
    }

    #[test]
    fn each_reader_gets_all_that_comes_after_it_and_one_that_is_gone_is_forgotten() {
        let bus = Bus::default();
        let (a, b) = (bus.reader(Dense::All), bus.reader(Dense::Newest));
        bus.push(rare(1));
        (2..9).for_each(|n| bus.push(step(n)));
        let c = bus.reader(Dense::All);
        bus.push(rare(9));
        let numbers = |reader: &Reader| reader.drain().iter().map(|r| r.step).collect::<Vec<_>>();
        assert_eq!(numbers(&a), (1..10).collect::<Vec<_>>());
        assert_eq!(numbers(&b), [1, 8, 9]);
        assert_eq!(numbers(&c), [9]);
        drop((a, c));
        bus.push(rare(10));
        assert_eq!(bus.lock().queues.len(), 1);
        bus.close();
        assert!(b.is_closed() && bus.reader(Dense::All).is_closed());
    }

    #[test]
    fn whoever_wants_the_odd_steps_gets_no_others() {
        let bus = Bus::default();
        let (odd, all) = (bus.reader(Dense::Odd), bus.reader(Dense::All));
        for n in 0..9 {
            let loss = if n == 5 { f64::NAN } else { 0.5 };
            let metrics = Metrics::from([("train/loss".to_owned(), loss)]);
            bus.push(Record { time_ms: n, step: n, event: Event::Step { epoch: 0, metrics } });
        }
        bus.push(rare(9));
        assert_eq!(odd.drain().iter().map(|r| r.step).collect::<Vec<_>>(), [5, 9]);
        assert_eq!(all.drain().len(), 10);
    }

    #[test]
    fn gradients_come_to_those_who_want_all_while_one_of_them_asks() {
        let bus = Bus::default();
        let (all, newest) = (bus.reader(Dense::All), bus.reader(Dense::Newest));
        assert!(!bus.wants_gradients(false));
        all.want_gradients(true);
        assert_eq!([true, false, true].map(|still| bus.wants_gradients(still)), [true, true, false]);
        bus.push(step(1));
        bus.push(Record { time_ms: 2, step: 1, event: Event::Gradients { norms: Metrics::new() } });
        assert_eq!((all.drain().len(), newest.drain()), (2, vec![step(1)]));
        all.want_gradients(true);
        drop(all);
        assert!(!bus.wants_gradients(true) && !bus.wants_gradients(false), "a reader that is gone wants nothing");
    }

    #[test]
    fn waiting_ends_at_once_when_something_is_there_or_the_run_is_over() {
        let bus = Bus::default();
        let reader = bus.reader(Dense::All);
        assert!(!reader.wait(Duration::ZERO));
        bus.push(step(1));
        assert!(reader.wait(Duration::ZERO));
        reader.drain();
        reader.want(Dense::Newest);
        bus.push(step(2));
        assert!(!reader.wait(Duration::ZERO), "a step does not wake whoever wants the newest alone");
        bus.close();
        assert!(reader.wait(Duration::ZERO));
    }

    #[test]
    fn a_task_is_woken() {
        let bus = Arc::new(Bus::default());
        let reader = bus.reader(Dense::All);
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
                reader.changed().await;
                last = reader.drain().last().map(|r| r.step).or(last);
            }
        });
        thread.join().unwrap();
    }
}
