//! Work that needs the engine: it is built here when first needed, after the first frame.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use super::files::open;
use super::{Job, Places, next, run_dir};
use crate::app::effect::{Effect, StartJob};
use crate::app::message::{DraftReady, Message, OpenedRun, StartedRun};
use crate::core::event::Metrics;
use crate::core::recipe::Recipe;
use crate::core::run::RunDir;
use crate::core::tree::Tree;
use crate::session::{self, Engine, Extras, Session, Start};
use crate::tui::event_loop::EngineSource;
use crate::tui::post::Post;

/// The engine, built when it is first needed; an export may ask for it as well as a run.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Lazy>>);

impl Shared {
    pub(super) fn new(source: EngineSource) -> Self {
        Self(Arc::new(Mutex::new(Lazy::Source(source))))
    }

    pub(super) fn get(&self) -> Result<Arc<dyn Engine>, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get()
    }
}

/// The engine, or how to get it.
enum Lazy {
    Source(EngineSource),
    Built(Result<Arc<dyn Engine>, String>),
}

impl Lazy {
    fn get(&mut self) -> Result<Arc<dyn Engine>, String> {
        let placeholder = Self::Built(Err("the engine could not be built".to_owned()));
        let built = match std::mem::replace(self, placeholder) {
            Self::Source(build) => build().map_err(|e| e.to_string()),
            Self::Built(built) => built,
        };
        *self = Self::Built(built.clone());
        built
    }
}

pub(super) fn work(queue: &Receiver<Job>, places: &Places, engine: &Shared, post: &Post) {
    let mut waiting = VecDeque::new();
    while let Some(job) = next(queue, &mut waiting) {
        let open = match job {
            Job::Start(job) => begin(engine, places, *job, post),
            Job::Effect(Effect::Start(job)) => match resolve(places, job) {
                Ok(job) => begin(engine, places, job, post),
                Err(problem) => post.message(Message::Started(Err(problem))),
            },
            Job::Effect(Effect::OpenDraft(path)) => {
                let result = draft(engine, places, &path).map(Box::new);
                post.message(Message::Draft { path, result })
            }
            Job::Effect(Effect::ReadTree(run)) => {
                let tree = tree_of_run(engine, places, &run);
                post.message(Message::TreeReady { run, tree })
            }
            Job::Effect(Effect::ReadDevices) => post.message(Message::Devices(engine.get().map(|e| e.devices()))),
            Job::Effect(_) => true,
        };
        if !open {
            return;
        }
    }
}

fn draft(engine: &Shared, places: &Places, path: &Path) -> Result<DraftReady, String> {
    // Before the recipe itself: a change between the two is found when rules are written.
    let checksum = super::drafts::checksum(path).unwrap_or_default();
    let recipe = Recipe::load(path, &[]).map_err(|e| e.to_string())?;
    let tree = tree(engine, &recipe)?;
    let kept = super::drafts::of(places.drafts.as_deref(), path);
    Ok(DraftReady { recipe, tree, checksum, kept })
}

fn tree_of_run(engine: &Shared, places: &Places, run: &str) -> Result<Tree, String> {
    let meta = run_dir(places, run)?.meta().map_err(|e| e.to_string())?;
    tree(engine, &meta.recipe)
}

fn tree(engine: &Shared, recipe: &Recipe) -> Result<Tree, String> {
    session::layers(&*engine.get()?, recipe).map_err(|e| e.to_string())
}

fn resolve(places: &Places, job: StartJob) -> Result<Start, String> {
    Ok(match job {
        StartJob::Fresh { recipe, file, checksum } => {
            super::drafts::unchanged(&file, &checksum)?;
            Start::Fresh { recipe: *recipe }
        }
        StartJob::Fork { run, from, optimizer, sets } => {
            let path = run_dir(places, &run)?.checkpoints().path().join(&from);
            let checkpoint = places.home.find_checkpoint(&path.display().to_string()).map_err(|e| e.to_string())?;
            Start::Fork { checkpoint, optimizer, sets }
        }
        StartJob::Resume { run, from, sets } => Start::Resume { run: run_dir(places, &run)?, from, sets },
    })
}

/// Starts a run and hands its handle to the loop.
fn begin(engine: &Shared, places: &Places, start: Start, post: &Post) -> bool {
    // A resumed run's past is read before it goes on: what comes after is in its stream.
    let past = match &start {
        Start::Resume { run, .. } => open(run).ok(),
        _ => None,
    };
    let handle = engine.get().and_then(|e| {
        let extras = Extras { alerts: Some(places.alerts.clone()), ..Extras::default() };
        Session::begin(e, &places.home, start, extras).map_err(|e| e.to_string())
    });
    let handle = match handle {
        Ok(handle) => handle,
        Err(problem) => return post.message(Message::Started(Err(problem))),
    };
    let opened = past.map_or_else(|| fresh(handle.dir()), Ok);
    match opened {
        Ok(opened) => {
            let started = Box::new(StartedRun { opened, tree: handle.tree() });
            post.hosted(handle, Message::Started(Ok(started)))
        }
        // A run that the screen cannot show is not left running behind it.
        Err(problem) => {
            drop(handle);
            post.message(Message::Started(Err(problem)))
        }
    }
}

/// A fresh run: its stream has everything from the beginning.
fn fresh(run: &RunDir) -> Result<OpenedRun, String> {
    let opened = open(run)?;
    let (records, series, times, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Ok(OpenedRun { records, series, times, latest: Metrics::new(), notes, ..opened })
}
