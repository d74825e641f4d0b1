//! How long a training waits for a checkpoint of 100 million parameters, beside a save that waits for the disk.
//!
//! `cargo run --release --example bench_save_stall [-- FOLDER [ROUNDS]]`. One run of an MLP with AdamW (1.2 GB a
//! checkpoint) in this process, on the disk of FOLDER (a temporary one when left out). An engine around libtorch's looks at the clock
//! on the trainer's own thread:
//!
//! - `synchronous`: a snapshot, written and flushed by [`CheckpointStore`] between two steps: into fresh buffers, and into those
//!   of the save before, which is what the percentages are of;
//! - `stall`: the time from the end of one step to the beginning of the next where a checkpoint was due, less the median where
//!   none was. The checkpoint before is on the disk by then: what is measured is the hand-over, not a queue.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use frostline::core::checkpoint::{CheckpointStore, TrainState};
use frostline::core::freeze::Resolution;
use frostline::core::recipe::Recipe;
use frostline::core::run::RunHome;
use frostline::core::tensor::HostTensor;
use frostline::core::tree::Tree;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{
    Batch, DeviceInfo, Engine, EngineError, EvalSums, InputSpec, Learner, Snapshot, StepInput, StepReport,
};
use frostline::session::{Outcome, Session, Start};

/// Steps from checkpoint to checkpoint.
const EVERY: u64 = 4;

const RECIPE: &str = "
model = { arch = 'mlp', hidden = [9984, 9984] }
data = { source = 'digits', workers = 0 }
optimizer = { kind = 'adamw', lr = 1e-4 }
[train]
batch_size = 4
devices = ['cpu']
validate_every_epochs = 1000000
audit_after_steps = 0
probe = false
[checkpoint]
every_steps = 4
keep_last = 1
";

/// What was measured on the trainer's thread.
#[derive(Default)]
struct Clock {
    /// Steps done, and the time until the next began.
    gaps: Vec<(u64, f64)>,
    synchronous: Vec<f64>,
    /// The same into fresh buffers.
    fresh: Vec<f64>,
    /// From the hand-over until the checkpoint was there, at most.
    written: Vec<f64>,
    bytes: u64,
    parameters: usize,
}

#[derive(Clone)]
struct Watch {
    clock: Arc<Mutex<Clock>>,
    home: PathBuf,
    /// Where the synchronous saves go.
    aside: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds: u64 = args.next().map_or(Ok(5), |n| n.parse())?;
    let folder = tempfile::tempdir_in(folder)?;
    let steps = format!("train.steps={}", EVERY * (rounds + 1) + 1);
    let recipe = Recipe::parse(RECIPE, "stall.toml", folder.path(), &[steps])?;
    let home = RunHome::open(folder.path().join("home"));
    let aside = folder.path().join("aside");
    std::fs::create_dir(&aside)?;
    let watch = Watch { clock: Arc::default(), home: home.path().to_owned(), aside };
    let clock = Arc::clone(&watch.clock);
    let handle = Session::start(Arc::new(watch), &home, Start::Fresh { recipe })?;
    while !handle.is_over() {
        handle.wait(Duration::from_millis(500));
        handle.drain();
    }
    if let Outcome::Failed { message } = handle.join() {
        return Err(message.into());
    }
    let clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
    let due = |step: &u64| *step > 0 && step.is_multiple_of(EVERY);
    // The first steps allocate.
    let between = median(clock.gaps.iter().filter(|(s, _)| *s > 1 && !due(s)).map(|(_, t)| *t).collect());
    let stalls: Vec<f64> = clock.gaps.iter().filter(|(s, _)| due(s)).map(|(_, t)| (t - between).max(0.0)).collect();
    let (Some((first, later)), synchronous) = (stalls.split_first(), median(clock.synchronous.clone())) else {
        return Err("no checkpoint was due".into());
    };
    let line = |what: &str, seconds: f64| {
        println!("{what:<34} {:>8.1} ms {:>6.1} %", seconds * 1e3, 100.0 * seconds / synchronous);
    };
    let millions = clock.parameters as f64 / 1e6;
    println!("{millions:.1} M parameters, {:.2} GB a checkpoint, {rounds} rounds", clock.bytes as f64 / 1e9);
    line("synchronous save (median)", synchronous);
    line("  into fresh buffers (median)", median(clock.fresh.clone()));
    line("stall of the first save", *first);
    line("stall of a later save (median)", median(later.to_vec()));
    line("  the longest of them", later.iter().copied().fold(0.0, f64::max));
    line("written after (median, at most)", median(clock.written.clone()));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Watch {
    fn clock<T>(&self, note: impl FnOnce(&mut Clock) -> T) -> T {
        note(&mut self.clock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the checkpoint on its way.
    fn wait_for(&self, step: u64) {
        let runs = || std::fs::read_dir(self.home.join("runs")).into_iter().flatten().flatten();
        let there = |run: &Path| CheckpointStore::new(run).path().join(CheckpointStore::name_of(step)).exists();
        while !runs().any(|run| there(&run.path())) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn save_and_wait(&self, learner: &mut dyn Learner, into: &mut Snapshot, step: u64) -> Result<(), EngineError> {
        let store = CheckpointStore::new(&self.aside);
        let fresh = into.weights.is_empty();
        let begun = Instant::now();
        learner.snapshot_into(into)?;
        let snapshot = &*into;
        let state = TrainState { step, ..TrainState::default() };
        let written = store.write(&state, &snapshot.weights, &snapshot.optimizer);
        let took = begun.elapsed().as_secs_f64();
        let failed = |e: frostline::core::checkpoint::CheckpointError| EngineError::Failed(e.to_string());
        let bytes = written.map_err(failed)?.bytes;
        self.clock(|c| {
            if fresh {
                c.fresh.push(took)
            } else {
                c.synchronous.push(took)
            }
            c.bytes = bytes;
        });
        store.remove(&CheckpointStore::name_of(step)).map_err(failed)
    }
}

impl Engine for Watch {
    fn name(&self) -> String {
        TorchEngine.name()
    }
    fn devices(&self) -> Vec<DeviceInfo> {
        TorchEngine.devices()
    }
    fn architectures(&self) -> Vec<String> {
        TorchEngine.architectures()
    }
    fn input_channels(&self, arch: &str) -> Option<usize> {
        TorchEngine.input_channels(arch)
    }
    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>, EngineError> {
        TorchEngine.resolve_devices(asked)
    }
    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>, EngineError> {
        let inner = TorchEngine.learner(recipe, input, device)?;
        let parameters = inner.tree().parameters.iter().map(|p| p.count()).sum();
        self.clock(|c| c.parameters = parameters);
        Ok(Box::new(Watched { inner, watch: self.clone(), ended: None, buffers: Snapshot::default() }))
    }
}

struct Watched {
    inner: Box<dyn Learner>,
    watch: Watch,
    /// When the last step did.
    ended: Option<Instant>,
    /// Of the synchronous saves.
    buffers: Snapshot,
}

impl Learner for Watched {
    fn tree(&self) -> &Tree {
        self.inner.tree()
    }
    fn apply_freeze(&mut self, plan: &Resolution) -> Result<(), EngineError> {
        self.inner.apply_freeze(plan)
    }
    fn step(&mut self, input: &StepInput<'_>) -> Result<(), EngineError> {
        let begun = Instant::now();
        if let Some(ended) = self.ended {
            let gap = (begun - ended).as_secs_f64();
            self.watch.clock(|c| c.gaps.push((input.step, gap)));
        }
        if input.step > 0 && input.step.is_multiple_of(EVERY) {
            self.watch.wait_for(input.step);
            self.watch.clock(|c| c.written.push(begun.elapsed().as_secs_f64()));
            for _ in 0..2 {
                self.watch.save_and_wait(&mut *self.inner, &mut self.buffers, input.step)?;
            }
            self.buffers = Snapshot::default();
        }
        self.inner.step(input)?;
        self.ended = Some(Instant::now());
        Ok(())
    }
    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>, EngineError> {
        self.inner.drain(wait)
    }
    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>, EngineError> {
        self.inner.probe(batch)
    }
    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums, EngineError> {
        self.inner.evaluate(batch)
    }
    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor, EngineError> {
        self.inner.predict(x, x_shape)
    }
    fn room(&self) -> Result<Snapshot, EngineError> {
        self.inner.room()
    }
    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<(), EngineError> {
        self.inner.snapshot_into(into)
    }
    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<(), EngineError> {
        self.inner.restore_weights(weights)
    }
    fn restore_optimizer(
        &mut self,
        optimizer: &[HostTensor],
        extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), EngineError> {
        self.inner.restore_optimizer(optimizer, extra)
    }
}
