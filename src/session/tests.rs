use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::event::{Event, Record};
use crate::core::recipe::Recipe;
use crate::core::run::{RunHome, RunStatus};
use crate::engine::fake::FakeEngine;

struct Place {
    _dir: tempfile::TempDir,
    home: RunHome,
    recipe: Recipe,
}

/// Digits 0 to 2, 20 epochs of few steps.
fn place(sets: &[&str]) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let text = "[model]\narch = 'mlp'\nwidth = 8\ndropout = 0.2\n[data]\nsource = 'digits'\nclasses = [0, 1, 2]\n\
                [optimizer]\nkind = 'sgd'\nlr = 0.05\nmomentum = 0.9\n[train]\nsteps = 12\nbatch_size = 32\n\
                accumulate_grad_batches = 2\ndevices = ['cpu']\n[checkpoint]\nevery_steps = 4\nkeep_last = 9\n";
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    let recipe = Recipe::parse(text, "test.toml", dir.path(), &sets).unwrap();
    Place { home: RunHome::open(dir.path().join("home")), _dir: dir, recipe }
}

impl Place {
    fn start(&self, engine: FakeEngine) -> Result<RunHandle, SessionError> {
        Session::start(Arc::new(engine), &self.home, Start::Fresh { recipe: self.recipe.clone() })
    }
}

fn end(handle: RunHandle) -> (Outcome, Vec<Record>) {
    let mut all = Vec::new();
    while !handle.is_over() {
        handle.wait(Duration::from_secs(5));
        all.extend(handle.drain());
    }
    all.extend(handle.drain());
    (handle.join(), all)
}

#[test]
fn a_run_trains_validates_saves_audits_and_finishes() {
    let place = place(&[]);
    let handle = place.start(FakeEngine::new(1)).unwrap();
    let dir = handle.dir().clone();
    let (outcome, records) = end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 12, .. }), "{outcome:?}");
    let names: Vec<String> = dir.checkpoints().list().into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["step-00000004", "step-00000008", "step-00000012"]);
    assert!(records.iter().any(|r| matches!(&r.event, Event::Audit { mismatched, .. } if mismatched.is_empty())));
    let steps: Vec<u64> = records.iter().filter(|r| matches!(r.event, Event::Step { .. })).map(|r| r.step).collect();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    assert_eq!(dir.summary().status, RunStatus::Finished);
}
