//! Starting a run: the thread `trainer` checks everything first, and only then the run counts as started.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::core::command::Request;
use crate::core::recipe::Recipe;
use crate::core::run::{CheckpointRef, RunDir, RunHome};
use crate::core::tree::Tree;
use crate::engine::Engine;
use crate::engine::train::{self, Begun, Bus, Outcome, TrainError};

use super::RunHandle;

/// Commands that wait at most; more are refused at once.
const COMMANDS: usize = 256;

/// What to start.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "made once a run")]
pub enum Start {
    /// A new run.
    Fresh {
        /// With every default filled in.
        recipe: Recipe,
    },
    /// A run goes on exactly where it stopped.
    Resume {
        /// The run.
        run: RunDir,
        /// The checkpoint (`120`, `best`, `RUN@120`, a path); the newest good one when left out. Later ones are set aside.
        from: Option<String>,
        /// `train.epochs=20` or `train.steps=…`, nothing else.
        sets: Vec<String>,
    },
    /// A new run from step 0 with a checkpoint's weights.
    Fork {
        /// The checkpoint.
        checkpoint: CheckpointRef,
        /// Its optimizer state too.
        optimizer: bool,
        /// Changes of its recipe, `a.b=value`.
        sets: Vec<String>,
    },
}

/// Where runs are started.
#[derive(Debug, Clone, Copy)]
pub struct Session;

/// What the trainer's thread says when it has begun.
struct Ready {
    run: RunDir,
    tree: Tree,
}

impl Session {
    /// Starts a run on a thread of its own. Returns when recipe, data, model, weights and freeze plan have been checked
    /// and the run's folder exists; this can take seconds, so a screen calls it from a thread.
    ///
    /// # Errors
    /// Whatever is wrong with the input; no run exists then, and an existing one is untouched.
    pub fn start(engine: Arc<dyn Engine>, home: &RunHome, start: Start) -> Result<RunHandle, TrainError> {
        let bus = Arc::new(Bus::default());
        let (sender, inbox) = sync_channel(COMMANDS);
        let (say_ready, ready) = sync_channel(1);
        let home = home.clone();
        let theirs = Arc::clone(&bus);
        let thread = std::thread::Builder::new()
            .name("trainer".to_owned())
            .spawn(move || body(&*engine, &home, start, &inbox, &theirs, &say_ready))
            .map_err(|e| TrainError::Failed(format!("the trainer's thread cannot be started: {e}")))?;
        match ready.recv() {
            Ok(Ok(Ready { run, tree })) => Ok(RunHandle::new(run, tree, sender, bus, thread)),
            Ok(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            Err(_) => {
                let _ = thread.join();
                Err(TrainError::Failed("the trainer's thread ended without a word; this is a bug".to_owned()))
            }
        }
    }
}

fn body(
    engine: &dyn Engine,
    home: &RunHome,
    start: Start,
    inbox: &Receiver<Request>,
    bus: &Arc<Bus>,
    ready: &SyncSender<Result<Ready, TrainError>>,
) -> Outcome {
    let begun = train::guarded(|| match start {
        Start::Fresh { recipe } => train::fresh(engine, home, Arc::clone(bus), &recipe),
        Start::Resume { run, from, sets } => train::resume(engine, home, Arc::clone(bus), run, from.as_deref(), &sets),
        Start::Fork { checkpoint, optimizer, sets } => {
            train::fork(engine, home, Arc::clone(bus), &checkpoint, optimizer, &sets)
        }
    });
    match begun {
        Ok(Begun::Run(job)) => {
            let _ = ready.send(Ok(Ready { run: job.run_dir().clone(), tree: job.tree().clone() }));
            train::run(*job, inbox, bus)
        }
        Ok(Begun::AlreadyFinished(run)) => {
            bus.close();
            let _ = ready.send(Ok(Ready { run, tree: Tree::default() }));
            Outcome::AlreadyFinished
        }
        Err(error) => {
            bus.close();
            let message = error.to_string();
            let _ = ready.send(Err(error));
            Outcome::Failed { message }
        }
    }
}
