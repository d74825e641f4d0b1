//! The freeze plan changes by itself when its time comes, once, and exactly so in a run that was interrupted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use frostline::core::command::Command;
use frostline::core::event::{Event, Record};
use frostline::core::run::RunDir;
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::{Outcome, Session, Start, dry_run};
use support::exact::{Cut, final_of, resumes_exactly};
use support::{Place, ask, differing, owned, stop, to_end, warnings};

fn fake() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

const WRITTEN: &str = "freeze.schedule=[\
    { at = 'step 6', rules = ['train layer2'] }, \
    { at = 'epoch 1', rules = ['train layer1'], lr_scale = 0.5 }, \
    { at = 'plateau', rules = ['train conv1'], lr_scale = 0.5 }]";

/// Head first; the metric stands still soon.
const SETS: [&str; 6] = [
    "freeze.rules=['freeze **', 'train fc']",
    WRITTEN,
    "freeze.patience=2",
    "train.validate_every_steps=2",
    "checkpoint.monitor=val/top1",
    "train.steps=30",
];

const GRADUAL: [&str; 5] = [
    "freeze.schedule=gradual",
    "freeze.patience=2",
    "train.validate_every_steps=2",
    "optimizer.lr=0.3",
    "train.steps=50",
];

fn with<'a>(sets: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [sets, more].concat()
}

/// Step and number of trainable tensors of each plan.
fn plans(records: &[Record]) -> Vec<(u64, usize)> {
    let plan = |r: &Record| match &r.event {
        Event::FreezeChanged { trainable, .. } => Some((r.step, *trainable)),
        _ => None,
    };
    records.iter().filter_map(plan).collect()
}

fn run(sets: &[&str]) -> (Place, RunDir, Vec<Record>) {
    let place = Place::new(sets);
    let handle = place.fresh(&fake()).unwrap();
    let run = handle.dir().clone();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    (place, run, records)
}

fn refusal(sets: &[&str]) -> String {
    let place = Place::new(sets);
    let error = place.fresh(&fake()).map(|_| ()).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert_eq!(place.home.runs().unwrap().len(), 0);
    assert_eq!(dry_run(&*fake(), &place.home, &place.recipe).unwrap_err().to_string(), error.to_string());
    error.to_string()
}

#[test]
fn phases_come_at_their_time_are_said_and_are_in_the_next_checkpoint() {
    let (_place, run, records) = run(&with(&SETS, &["checkpoint.every_steps=1"]));
    let plans = plans(&records);
    assert_eq!(&plans[..3], [(0, 2), (6, 5), (9, 8)], "an epoch has 9 steps");
    let (thaw, trainable) = plans[3];
    assert!(thaw > 9 && thaw < 30 && thaw.is_multiple_of(2) && trainable == 9, "{plans:?}");
    let rates: Vec<(u64, f64)> = records
        .iter()
        .filter_map(|r| match r.event {
            Event::LrChanged { lr } => Some((r.step, lr)),
            _ => None,
        })
        .collect();
    assert_eq!(rates, [(9, 0.01), (thaw, 0.005)]);
    let checkpoint = |step: u64| run.checkpoints().load(&format!("step-{step:08}")).unwrap();
    for (step, learns) in [
        (6, &["fc"][..]),
        (9, &["fc", "layer2"]),
        (thaw, &["fc", "layer2", "layer1"]),
        (30, &["fc", "layer2", "layer1", "conv1"]),
    ] {
        let before = plans.iter().rev().find(|(s, _)| *s < step).unwrap().0;
        let moved = differing(&checkpoint(before.max(1)).weights, &checkpoint(step).weights);
        assert!(moved.iter().all(|n| learns.iter().any(|l| n.starts_with(l))), "{before}..{step}: {moved:?}");
        assert!(learns.iter().all(|l| moved.iter().any(|n| n.starts_with(l))), "{before}..{step}: {moved:?}");
    }
    assert_eq!(checkpoint(5).state.freeze_rules, ["freeze **", "train fc"]);
    assert_eq!(checkpoint(6).state.freeze_rules, ["freeze **", "train fc", "train layer2"]);
    assert_eq!(warnings(&records), Vec::<String>::new());
}

#[test]
fn a_schedule_survives_interruptions_around_every_change() {
    let (_, _, records) = run(&SETS);
    let thaw = plans(&records)[3].0;
    let every = ["checkpoint.every_steps=1"];
    resumes_exactly(&fake(), &SETS, &[Cut::Stop(5), Cut::Stop(6), Cut::Stop(8), Cut::Stop(thaw - 1), Cut::Stop(thaw)]);
    resumes_exactly(&fake(), &SETS, &[Cut::Die(6), Cut::Die(7), Cut::Die(9), Cut::Die(thaw), Cut::Die(thaw + 1)]);
    resumes_exactly(&fake(), &with(&SETS, &every), &[Cut::Die(6), Cut::Die(9), Cut::Die(thaw - 1), Cut::Die(thaw)]);
}

#[test]
fn gradual_thaws_one_block_at_each_plateau_and_restores_the_phases_best_first() {
    // With this width of the fake engine's no phase ends across an epoch's end, where validations are closer together.
    let sets = ["checkpoint.keep_last=1", "checkpoint.every_steps=50", "model.width=8"];
    let (_place, run, records) = run(&with(&GRADUAL, &sets));
    let plans = plans(&records);
    assert_eq!(plans[0], (0, 2));
    assert!(plans.len() >= 3, "the recipe must come to a plateau for this test: {plans:?}");
    assert_eq!(plans[..3].iter().map(|p| p.1).collect::<Vec<_>>(), [2, 5, 8], "fc, layer2, layer1");
    // Which checkpoint each change went back to is the best one of its phase.
    let metric = |r: &Record| match &r.event {
        Event::Validation { metrics, .. } => Some((r.step, metrics["val/loss"])),
        _ => None,
    };
    let seen: Vec<(u64, f64)> = records.iter().filter_map(metric).collect();
    let restored: Vec<String> = warnings(&records).into_iter().filter(|w| w.contains("is restored")).collect();
    assert_eq!(restored.len(), plans.len() - 1);
    for (phase, words) in plans.windows(2).zip(&restored) {
        let (from, to) = (phase[0].0, phase[1].0);
        let of = seen.iter().filter(|(step, _)| *step > from && *step <= to);
        let best = of.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        assert!(words.contains(&format!("step-{best:08}")), "{from}..{to}: {words}");
        assert_eq!(to - best, 4, "two validations without improvement");
    }
    let (last, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(last.state.freeze_rules.len(), 2, "{:?}", last.state.freeze_rules);
}

#[test]
fn what_is_restored_is_the_checkpoint_to_the_bit() {
    let sets = with(&GRADUAL, &["checkpoint.every_steps=1"]);
    let (_place, run, records) = run(&sets);
    let change = plans(&records)[1].0;
    let load = |step: u64| run.checkpoints().load(&format!("step-{step:08}")).unwrap();
    let (best, after) = (load(change - 4), load(change));
    assert_eq!(differing(&best.weights, &after.weights), Vec::<String>::new());
    assert_eq!(best.optimizer, after.optimizer);
    assert_eq!(best.state.metrics["val/loss"].to_bits(), after.state.metrics["val/loss"].to_bits());
    assert_ne!(best.state.freeze_rules, after.state.freeze_rules);
}

#[test]
fn gradual_survives_interruptions_around_every_change() {
    let (_, _, records) = run(&GRADUAL);
    let changes: Vec<u64> = plans(&records)[1..].iter().map(|p| p.0).collect();
    let stops: Vec<Cut> = changes.iter().flat_map(|s| [Cut::Stop(s - 5), Cut::Stop(s - 1), Cut::Stop(*s)]).collect();
    let deaths: Vec<Cut> = changes.iter().flat_map(|s| [Cut::Die(s - 3), Cut::Die(*s)]).collect();
    resumes_exactly(&fake(), &GRADUAL, &stops);
    resumes_exactly(&fake(), &with(&GRADUAL, &["checkpoint.every_steps=1"]), &deaths);
    resumes_exactly(&fake(), &with(&GRADUAL, &["checkpoint.keep_last=1"]), &deaths[..2]);
}

#[test]
fn early_stopping_waits_for_the_last_phase() {
    let (_place, run, records) = run(&with(&GRADUAL, &["train.early_stopping_patience=1", "train.steps=400"]));
    assert_eq!(plans(&records).len(), 5, "all phases came");
    assert!(final_of(&run).checkpoint.state.step < 400);
}

#[test]
fn a_schedule_with_a_mistake_is_refused_before_the_run_starts() {
    let freeze = "freeze.rules=['freeze **', 'train fc']";
    let schedule = |phases: &str| format!("freeze.schedule=[{{ at = 'step 2', rules = ['train layer2'] }}, {phases}]");
    let nothing = schedule("{ at = 'epoch 900', rules = ['freeze **'] }");
    let words = refusal(&[freeze, &nothing]);
    assert!(
        words.starts_with("freeze.schedule[1] (at epoch 900): ") && words.contains("nothing would learn"),
        "{words}"
    );
    let unknown = schedule("{ at = 'plateau', rules = ['train layr1'] }");
    let words = refusal(&[freeze, &unknown]);
    assert!(words.contains("freeze.schedule[1]") && words.contains("did you mean `layer1`"), "{words}");
    let starved = schedule("{ at = 'step 9', rules = ['no_grad fc'] }");
    let words = refusal(&[freeze, &starved]);
    assert!(words.contains("freeze.schedule[1]") && words.contains("no gradient reaches"), "{words}");
    let later = "freeze.schedule=[{ at = 'step 1', rules = ['train fc'] }]";
    let words = refusal(&["freeze.rules=['freeze **']", later]);
    assert!(words.contains("nothing would learn"), "a later thaw is no excuse: {words}");
    let words = refusal(&["freeze.schedule=gradual", "data.val_fraction=0.0"]);
    assert!(words.contains("val/loss") && words.contains("no validation data"), "{words}");
}

#[test]
fn a_phase_that_a_live_edit_made_impossible_is_said_and_the_plan_stays() {
    let slow: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_delay(Duration::from_millis(5)));
    let phase = "freeze.schedule=[{ at = 'step 60', rules = ['freeze fc'] }]";
    let place = Place::new(&["train.steps=100000", "checkpoint.every_steps=1000", phase]);
    let handle = place.fresh(&slow).unwrap();
    let run = handle.dir().clone();
    ask(&handle, Command::Freeze { rules: owned(&["freeze **", "train fc"]) }).unwrap();
    while run.summary().step < 65 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (outcome, _) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    let said = warnings(&run.events().unwrap().0);
    assert!(said.iter().any(|w| w.contains("freeze.schedule[0] (at step 60)") && w.contains("stays")), "{said:?}");
    let (last, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(last.state.freeze_rules, ["freeze **", "train fc"]);
}

#[test]
fn a_fork_keeps_the_plan_in_force_and_leaves_the_schedule_behind() {
    let (place, parent, _) = run(&SETS);
    let checkpoint = place.home.find_checkpoint(&format!("{}@12", parent.id())).unwrap();
    let start = Start::Fork { checkpoint, optimizer: false, sets: owned(&["train.steps=12"]) };
    let handle = Session::start(fake(), &place.home, start).unwrap();
    let fork = handle.dir().clone();
    let (_, records) = to_end(handle);
    assert_eq!(plans(&records), [(0, 8)]);
    assert_eq!(fork.meta().unwrap().recipe.optimizer.lr, 0.01);
}
