//! The iterator over batches, and the worker threads behind it.
//!
//! In-memory samples that are only copied are batched in the caller's thread. Otherwise worker w of W (`data-w`) builds
//! batches w, w + W, w + 2W… into a bounded queue of its own, and the loader takes from the queues in turn: order never
//! depends on timing, and at most `QUEUE` finished batches a worker wait in memory (a full queue makes its worker wait).
//! Dropping the loader is the one way to end early: it raises `stop`, closes the queues and joins the workers, which
//! look at `stop` between two samples.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::dataset::Inner;
use super::error::{DataError, panic_words};
use super::rng::{Rng, Stream};
use super::sample::Bad;
use super::sampler::{Share, span};
use super::transform::Scratch;
use crate::core::recipe::OnBadImage;
use crate::engine::Batch;

/// Finished batches that wait for the trainer, a worker.
const QUEUE: usize = 2;

/// One pass: which samples, in what batches, changed or not.
pub(super) struct Job {
    pub order: Arc<[usize]>,
    pub batch_size: usize,
    /// Seed and epoch of a training pass; `None` for validation.
    pub training: Option<(u64, u64)>,
    /// The part of each batch that is built.
    pub share: Share,
}

/// Batches in order. Ends after the last one, or after an error.
pub struct Loader {
    inner: Arc<Inner>,
    job: Arc<Job>,
    next: usize,
    end: usize,
    scratch: Scratch,
    crew: Option<Crew>,
}

impl Loader {
    pub(super) fn new(inner: Arc<Inner>, job: Job, start: usize, end: usize) -> Self {
        let job = Arc::new(job);
        let workers = if inner.only_copies(job.training.is_some()) { 0 } else { inner.workers };
        let workers = workers.min(end.saturating_sub(start));
        let crew = (workers > 0).then(|| Crew::start(&inner, &job, start, end, workers)).flatten();
        Self { inner, job, next: start, end, scratch: Scratch::default(), crew }
    }

    /// The next batch, empty where all of its images are damaged (validation alone).
    fn take(&mut self) -> Result<Batch, DataError> {
        let batch = self.next;
        self.next += 1;
        match &self.crew {
            None => guarded(&self.inner, &self.job, batch, &mut self.scratch, &AtomicBool::new(false)),
            Some(crew) => crew.take(batch),
        }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            let made = self.take();
            if made.is_err() {
                self.next = self.end;
                self.crew = None;
            }
            // Ranks count batches alike, whichever are empty.
            if !self.job.share.is_whole() || !made.as_ref().is_ok_and(Batch::is_empty) {
                return Some(made);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end.saturating_sub(self.next)))
    }
}

/// The workers of one pass.
struct Crew {
    stop: Arc<AtomicBool>,
    start: usize,
    queues: Vec<Receiver<Result<Batch, DataError>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// `None` where no thread can be started: the pass is then made in the caller's thread.
    fn start(inner: &Arc<Inner>, job: &Arc<Job>, start: usize, end: usize, workers: usize) -> Option<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut crew = Self { stop, start, queues: Vec::new(), threads: Vec::new() };
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(QUEUE);
            let (inner, job, stop) = (Arc::clone(inner), Arc::clone(job), Arc::clone(&crew.stop));
            let batches = (start + worker..end).step_by(workers);
            let work = move || work(&inner, &job, &stop, batches, &sender);
            let thread = std::thread::Builder::new().name(format!("data-{worker}")).spawn(work).ok()?;
            crew.queues.push(receiver);
            crew.threads.push(thread);
        }
        Some(crew)
    }

    fn take(&self, batch: usize) -> Result<Batch, DataError> {
        let queue = &self.queues[(batch - self.start) % self.queues.len()];
        queue.recv().unwrap_or_else(|_| Err(DataError::Worker { batch, what: "its thread ended early".into() }))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queues.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(
    inner: &Inner,
    job: &Job,
    stop: &AtomicBool,
    batches: impl Iterator<Item = usize>,
    queue: &SyncSender<Result<Batch, DataError>>,
) {
    let mut scratch = Scratch::default();
    for batch in batches {
        let made = guarded(inner, job, batch, &mut scratch, stop);
        let last = made.is_err() || stop.load(Ordering::Relaxed);
        if queue.send(made).is_err() || last {
            return;
        }
    }
}

/// Builds a batch; a panic becomes an error.
fn guarded(
    inner: &Inner,
    job: &Job,
    batch: usize,
    scratch: &mut Scratch,
    stop: &AtomicBool,
) -> Result<Batch, DataError> {
    let build = AssertUnwindSafe(|| build(inner, job, batch, scratch, stop));
    catch_unwind(build).unwrap_or_else(|panic| Err(DataError::Worker { batch, what: panic_words(&*panic) }))
}

fn build(inner: &Inner, job: &Job, batch: usize, scratch: &mut Scratch, stop: &AtomicBool) -> Result<Batch, DataError> {
    let places = job.share.of(span(job.order.len(), job.batch_size, batch));
    let mut x = Vec::with_capacity(places.len() * inner.prep.sample_len());
    let mut indices = Vec::with_capacity(places.len());
    for &sample in &job.order[places.clone()] {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if add(inner, job, sample, scratch, &mut x)?.is_none() {
            indices.push(sample as u64);
        }
    }
    let mut stands_in = false;
    if indices.is_empty() && job.training.is_some() && !stop.load(Ordering::Relaxed) {
        indices.push(stand_in(inner, job, places.end, scratch, stop, &mut x)?);
        stands_in = !job.share.is_whole();
    }
    let mut x_shape = Vec::with_capacity(1 + inner.info.sample_shape.len());
    x_shape.push(indices.len());
    x_shape.extend_from_slice(&inner.info.sample_shape);
    let y = inner.targets(&indices);
    if stands_in {
        indices.clear();
    }
    Ok(Batch { x, x_shape, y, indices })
}

/// Adds a sample to `x`; gives back a damaged one that is to be skipped.
fn add(
    inner: &Inner,
    job: &Job,
    sample: usize,
    scratch: &mut Scratch,
    x: &mut Vec<f32>,
) -> Result<Option<Bad>, DataError> {
    // Without augmentation a training sample is like any other, and the stream would cost more than the copy.
    let changed = job.training.filter(|_| !inner.augment.is_empty());
    let random = changed.map(|(seed, epoch)| Rng::new(Stream::Augment, seed, epoch, sample as u64));
    let Err(bad) = inner.put(sample, random, scratch, x) else { return Ok(None) };
    if inner.on_bad == OnBadImage::Stop {
        return Err(DataError::BadImage { path: bad.path, why: bad.why });
    }
    inner.note_bad(&bad.path, &bad.why);
    Ok(Some(bad))
}

/// Every image of a training batch is damaged: the epoch's next good one stands in, so that no step is without data
/// and the number of steps stays what was promised. Depends on the order and the files alone.
fn stand_in(
    inner: &Inner,
    job: &Job,
    from: usize,
    scratch: &mut Scratch,
    stop: &AtomicBool,
    x: &mut Vec<f32>,
) -> Result<u64, DataError> {
    let count = job.order.len();
    let mut first = None;
    for place in from..from + count {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let sample = job.order[place % count];
        match add(inner, job, sample, scratch, x)? {
            None => return Ok(sample as u64),
            Some(bad) => drop(first.get_or_insert(bad)),
        }
    }
    let (path, why) = first.map(|b| (b.path, b.why)).unwrap_or_default();
    Err(DataError::NoGoodImage { count, path, why })
}
