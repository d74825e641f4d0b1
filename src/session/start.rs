//! Starting a run: the thread `trainer` checks everything first, and only then the run counts as started.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::core::alerts::Alerts;
use crate::core::command::{Command, Request};
use crate::core::recipe::Recipe;
use crate::core::run::{CheckpointRef, RunDir, RunHome};
use crate::core::tree::Tree;
use crate::engine::Engine;
use crate::engine::train::{self, Begun, Bus, Dense, Outcome, TrainError};

use super::control::{Served, Server};
use super::handle::Here;
use super::inbox::{From, Inbox};
use super::{RunHandle, alerts};

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

/// What goes with a start.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// The run stands still before its first step: it was paused before.
    pub paused: bool,
    /// The user's command for alerts.
    pub alerts: Option<Alerts>,
}

/// Where runs are started.
#[derive(Debug, Clone, Copy)]
pub struct Session;

/// What the trainer's thread says when it has begun.
struct Ready {
    run: RunDir,
    tree: Tree,
    server: Option<Server>,
}

impl Session {
    /// Starts a run on a thread of its own. Returns when recipe, data, model, weights and freeze plan have been checked
    /// and the run's folder exists; this can take seconds, so a screen calls it from a thread.
    ///
    /// # Errors
    /// Whatever is wrong with the input; no run exists then, and an existing one is untouched.
    pub fn start(engine: Arc<dyn Engine>, home: &RunHome, start: Start) -> Result<RunHandle, TrainError> {
        Self::begin(engine, home, start, Extras::default())
    }

    /// [`Session::start`] with something more.
    ///
    /// # Errors
    /// As there.
    pub fn begin(
        engine: Arc<dyn Engine>,
        home: &RunHome,
        start: Start,
        extras: Extras,
    ) -> Result<RunHandle, TrainError> {
        let bus = Arc::new(Bus::default());
        let reader = bus.reader(Dense::All);
        let (inbox, requests) = Inbox::new();
        if extras.paused {
            let _ = inbox.send(Command::Pause, From::Socket);
        }
        let inbox = Arc::new(inbox);
        let (say_ready, ready) = sync_channel(1);
        let home = home.clone();
        let (theirs, commands) = (Arc::clone(&bus), Arc::clone(&inbox));
        // From the beginning on.
        let noticed = bus.reader(Dense::Odd);
        let work = move || body(&*engine, &home, start, requests, commands, &CloseAtEnd(theirs), &say_ready);
        let trainer = std::thread::Builder::new()
            .name("trainer".to_owned())
            .spawn(work)
            .map_err(|e| TrainError::Failed(format!("the trainer's thread cannot be started: {e}")))?;
        match ready.recv() {
            Ok(Ok(Ready { run, tree, server })) => {
                let alerts = extras.alerts.and_then(|a| alerts::start(&run, a, noticed, Arc::clone(&bus)));
                Ok(RunHandle::here(run, tree, bus, reader, Here { inbox, trainer: Some(trainer), server, alerts }))
            }
            Ok(Err(error)) => {
                let _ = trainer.join();
                Err(error)
            }
            Err(_) => {
                let _ = trainer.join();
                Err(TrainError::Failed("the trainer's thread ended without a word; this is a bug".to_owned()))
            }
        }
    }
}

/// However the trainer's thread ends, nobody waits for it for ever.
struct CloseAtEnd(Arc<Bus>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn body(
    engine: &dyn Engine,
    home: &RunHome,
    start: Start,
    requests: Receiver<Request>,
    inbox: Arc<Inbox>,
    bus: &CloseAtEnd,
    ready: &SyncSender<Result<Ready, TrainError>>,
) -> Outcome {
    let bus = &bus.0;
    let begun = train::guarded(|| match start {
        Start::Fresh { recipe } => train::fresh(engine, home, Arc::clone(bus), &recipe),
        Start::Resume { run, from, sets } => train::resume(engine, home, Arc::clone(bus), run, from.as_deref(), &sets),
        Start::Fork { checkpoint, optimizer, sets } => {
            train::fork(engine, home, Arc::clone(bus), &checkpoint, optimizer, &sets)
        }
    });
    match begun {
        Ok(Begun::Run(mut job)) => {
            let (run, tree) = (job.run_dir().clone(), job.tree().clone());
            let served = Served { inbox, reader: bus.reader(Dense::Newest), tree: tree.clone() };
            let server = Server::open(&run, served);
            if let Err(e) = &server {
                // It is trained all the same: there are file systems that know no sockets.
                job.warn(format!(
                    "cannot make {}: {e}; `frostline attach`, `pause` and the like cannot reach this run, signals can",
                    run.socket_path().display()
                ));
            }
            let server = server.ok();
            let socket = run.socket_path();
            let _ = ready.send(Ok(Ready { run, tree, server }));
            // Whoever waits need not wait for the driver's library too.
            if let Some(telemetry) = engine.telemetry() {
                job.watch(telemetry);
            }
            train::run(engine, *job, &requests, bus, || {
                // While the run is still owned: later it could be the next owner's.
                let _ = std::fs::remove_file(socket);
            })
        }
        Ok(Begun::AlreadyFinished(run)) => {
            // Before anybody can send one that would never be answered.
            drop(requests);
            bus.close();
            let _ = ready.send(Ok(Ready { run, tree: Tree::default(), server: None }));
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
