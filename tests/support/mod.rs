//! Helpers for tests that train: generic over the engine, so that the fake one and libtorch pass the same tests.
//!
//! Used by the integration tests and, by path, by the library's own tests of full disks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

pub mod exact;
pub mod probe;
pub mod python;
pub mod reference;

use std::sync::Arc;
use std::time::{Duration, Instant};

use frostline::core::command::Command;
use frostline::core::event::{Event, Record};
use frostline::core::recipe::Recipe;
use frostline::core::run::{RunDir, RunHome};
use frostline::core::tensor::HostTensor;
use frostline::engine::Engine;
use frostline::session::{Outcome, RunHandle, Session, SessionError, Start};

/// A run home of its own and a recipe.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub home: RunHome,
    pub recipe: Recipe,
}

/// Three digit classes, 9 steps an epoch of two micro batches each, dropout, momentum; checkpoints every 4 steps.
pub const RECIPE: &str = "
[model]
arch = 'mlp'
hidden = [16]
dropout = 0.2
[data]
source = 'digits'
classes = [0, 1, 2]
workers = 0
[optimizer]
kind = 'sgd'
lr = 0.02
momentum = 0.9
[train]
steps = 22
batch_size = 24
accumulate_grad_batches = 2
devices = ['cpu']
threads = 1
[checkpoint]
every_steps = 4
keep_last = 100
";

impl Place {
    pub fn new(sets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = Recipe::parse(RECIPE, "test.toml", folder.path(), &owned(sets)).unwrap();
        // What the MLP's recipe sets, a script refuses, and `--set` takes no key away.
        if recipe.model.arch.starts_with("torchscript:") {
            recipe.model.dropout = None;
        }
        Self { home: RunHome::open(folder.path().join("home")), folder, recipe }
    }

    pub fn fresh(&self, engine: &Arc<dyn Engine>) -> Result<RunHandle, SessionError> {
        Session::start(Arc::clone(engine), &self.home, Start::Fresh { recipe: self.recipe.clone() })
    }

    /// A whole run, which must end well.
    pub fn finished(&self, engine: &Arc<dyn Engine>) -> RunDir {
        let handle = self.fresh(engine).unwrap();
        let run = handle.dir().clone();
        let (outcome, _) = to_end(handle);
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        run
    }

    pub fn resume(&self, engine: &Arc<dyn Engine>, run: &RunDir) -> Result<RunHandle, SessionError> {
        self.resume_with(engine, run, None, &[])
    }

    pub fn resume_with(
        &self,
        engine: &Arc<dyn Engine>,
        run: &RunDir,
        from: Option<&str>,
        sets: &[&str],
    ) -> Result<RunHandle, SessionError> {
        let start = Start::Resume { run: run.clone(), from: from.map(str::to_owned), sets: owned(sets) };
        Session::start(Arc::clone(engine), &self.home, start)
    }
}

pub fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|s| (*s).to_owned()).collect()
}

/// Drains until the run is over.
pub fn to_end(handle: RunHandle) -> (Outcome, Vec<Record>) {
    let mut all = Vec::new();
    while !handle.is_over() {
        handle.wait(Duration::from_secs(5));
        all.extend(handle.drain());
    }
    all.extend(handle.drain());
    (handle.join(), all)
}

/// Sends a command and waits for its answer.
pub fn ask(handle: &RunHandle, command: Command) -> Result<String, String> {
    let sent = handle.send(command);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        handle.wait(Duration::from_millis(200));
        for record in handle.drain() {
            match record.event {
                Event::Reply { id, result } if id == sent => return result,
                _ => {}
            }
        }
    }
    panic!("no answer to command {sent}");
}

/// Stops at the next chance.
pub fn stop(handle: RunHandle) -> (Outcome, Vec<Record>) {
    handle.send(Command::Stop { reason: "test".to_owned() });
    to_end(handle)
}

pub fn warnings(records: &[Record]) -> Vec<String> {
    let words = |r: &Record| match &r.event {
        Event::Warning { message } => Some(message.clone()),
        _ => None,
    };
    records.iter().filter_map(words).collect()
}

/// Names of tensors that differ.
pub fn differing(a: &[HostTensor], b: &[HostTensor]) -> Vec<String> {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().map(|t| (t, b.iter().find(|o| o.name == t.name)));
    pairs.filter(|(t, o)| Some(*t) != *o).map(|(t, _)| t.name.clone()).collect()
}
