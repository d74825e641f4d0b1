//! A run that was stopped or killed anywhere, k times, ends with the bits of one that was left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::exact::{Cut, assert_same_bits, final_of, resumes_exactly};
use support::{Place, differing, to_end};

fn fake() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

/// `k` interruptions at random steps that do come.
fn random_cuts(rng: &mut ChaCha8Rng, k: usize, steps: u64, every: u64) -> Vec<Cut> {
    let mut at = 0;
    let mut cuts = Vec::new();
    while cuts.len() < k {
        let step = rng.random_range(at..steps.min(at + 8));
        if rng.random() {
            cuts.push(Cut::Stop(step));
            at = step + 1;
        } else {
            cuts.push(Cut::Die(step));
            at = at.max(step - step % every);
        }
        if at >= steps {
            break;
        }
    }
    cuts
}

#[test]
fn stopped_and_killed_at_random_steps_it_ends_the_same() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..6 {
        let cuts = random_cuts(&mut rng, 4, 22, 4);
        resumes_exactly(&fake(), &["train.steps=22"], &cuts);
    }
}

#[test]
fn augmentation_workers_adam_and_a_schedule_resume_too() {
    let sets = [
        "train.epochs=4",
        "train.accumulate_grad_batches=3",
        "data.augment=['horizontal-flip', 'random-crop']",
        "data.workers=2",
        "optimizer.kind=adamw",
        "lr_schedule.kind=cosine",
        "lr_schedule.warmup_steps=3",
        "checkpoint.every_epochs=1",
        "train.validate_every_steps=5",
        "train.clip_grad_norm=0.5",
    ];
    resumes_exactly(&fake(), &sets, &[Cut::Die(2), Cut::Stop(7), Cut::Stop(8), Cut::Die(16)]);
}

#[test]
fn plateau_and_early_stopping_keep_their_memory() {
    let sets = [
        "train.steps=60",
        "train.validate_every_steps=3",
        "train.early_stopping_patience=4",
        "lr_schedule.kind=plateau",
        "lr_schedule.patience=1",
        "optimizer.lr=0.3",
        "checkpoint.every_steps=1",
    ];
    let alone = Place::new(&sets);
    let step = final_of(&alone.finished(&fake())).checkpoint.state.step;
    assert!(step < 60, "the recipe must stop early for this test");
    resumes_exactly(&fake(), &sets, &[Cut::Stop(step / 3), Cut::Die(step / 2), Cut::Stop(step - 1)]);
}

#[test]
fn reports_that_come_late_change_nothing() {
    let late: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_lag(3));
    resumes_exactly(&late, &[], &[Cut::Stop(5), Cut::Die(10), Cut::Stop(13)]);
    let (a, b) = (Place::new(&[]), Place::new(&[]));
    assert_same_bits(&final_of(&a.finished(&late)), &final_of(&b.finished(&fake())), "late");
}

#[test]
fn a_stop_in_every_step_of_an_epoch() {
    let cuts: Vec<Cut> = (6..13).map(Cut::Stop).collect();
    resumes_exactly(&fake(), &[], &cuts);
}

#[test]
fn a_start_with_the_weights_alone_differs() {
    let (alone, place) = (Place::new(&[]), Place::new(&[]));
    let undisturbed = final_of(&alone.finished(&fake()));
    let probe = support::probe::Probe::new(&fake());
    let held = probe.gate(9);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    held.during(|| handle.send(frostline::core::command::Command::Stop { reason: "test".into() }));
    to_end(handle);
    let store = run.checkpoints();
    let (loaded, _) = store.newest_good().unwrap();
    store.remove("step-00000010").unwrap();
    store.write(&loaded.state, &loaded.weights, &[]).unwrap();
    to_end(place.resume(&fake(), &run).unwrap());
    let other = final_of(&run);
    assert!(!differing(&undisturbed.checkpoint.weights, &other.checkpoint.weights).is_empty());
}
