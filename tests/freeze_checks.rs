//! What learns is checked before it is believed: starved parameters, refusals, the audits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use frostline::core::command::Command;
use frostline::core::event::{Event, Record};
use frostline::core::freeze::ParamState;
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::{Outcome, Session, Start, dry_run};
use support::exact::{assert_same_bits, final_of};
use support::probe::Probe;
use support::{Place, ask, owned, stop, to_end, warnings};

fn fake() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

fn refusal(place: &Place) -> String {
    let error = place.fresh(&fake()).map(|_| ()).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(place.home.runs().unwrap().is_empty());
    let words = error.to_string();
    assert!(!words.contains('\n'), "{words}");
    words
}

/// States of all plans that were said.
fn plans(records: &[Record]) -> Vec<Vec<ParamState>> {
    let states = |r: &Record| match &r.event {
        Event::FreezeChanged { states, .. } => Some(states.clone()),
        _ => None,
    };
    records.iter().filter_map(states).collect()
}

fn audits(records: &[Record]) -> Vec<(u64, usize, Vec<String>)> {
    let audit = |r: &Record| match &r.event {
        Event::Audit { moved, mismatched, .. } => Some((r.step, moved.len(), mismatched.clone())),
        _ => None,
    };
    records.iter().filter_map(audit).collect()
}

#[test]
fn the_check_changes_no_bit_of_a_run() {
    for sets in [&["data.augment=['random-crop']", "data.workers=2"][..], &["optimizer.kind=adam"], &[]] {
        let finals = ["train.probe=true", "train.probe=false"].map(|probe| {
            let place = Place::new(&[sets, &[probe]].concat());
            let seen = Probe::new(&fake());
            let mut end = final_of(&place.finished(&seen.engine()));
            end.checkpoint.state.recipe.train.probe = true;
            (end, seen.seen())
        });
        assert_same_bits(&finals[0].0, &finals[1].0, "probe");
        assert_eq!(finals[0].1, finals[1].1);
    }
}

#[test]
fn starved_parameters_are_named_before_the_first_step_and_stand_still() {
    let place = Place::new(&["freeze.rules=['no_grad layer1']"]);
    let handle = place.fresh(&fake()).unwrap();
    let (tree, run) = (handle.tree().clone(), handle.dir().clone());
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let Event::FreezeChanged { trainable: 5, frozen: 6, states, .. } = &records[1].event else {
        panic!("{:?}", records[1]);
    };
    let starved: Vec<&str> = tree
        .parameters
        .iter()
        .zip(states)
        .filter(|(_, s)| **s == ParamState::Starved)
        .map(|(p, _)| p.name.as_str())
        .collect();
    assert_eq!(starved, ["conv1.weight", "bn1.weight", "bn1.bias"]);
    let said = warnings(&records);
    assert!(said[0].contains("`conv1.weight`") && said[0].contains("behind `layer1`"), "{said:?}");
    // They are not meant to move, their norm's statistics included.
    let audits = audits(&records);
    assert_eq!(audits.len(), 1);
    assert_eq!(audits[0].2, Vec::<String>::new());
    let first = records.iter().position(|r| !r.event.is_rare()).unwrap();
    assert!(records[..first].iter().any(|r| matches!(r.event, Event::Warning { .. })), "before the first step");
    // On resume it is found again.
    let records = to_end(place.resume_with(&fake(), &run, Some("8"), &[]).unwrap()).1;
    assert_eq!(plans(&records)[0].iter().filter(|s| **s == ParamState::Starved).count(), 3);
}

#[test]
fn a_run_whose_gradients_reach_nothing_does_not_start_and_says_why() {
    let place = Place::new(&["freeze.rules=['no_grad fc']"]);
    let words = refusal(&place);
    assert!(
        words.contains("nothing would learn") && words.contains("`fc`") && words.contains("`no_grad fc`"),
        "{words}"
    );
    let dry = dry_run(&*fake(), &place.home, &place.recipe).unwrap_err();
    assert_eq!(dry.to_string(), words);
    let place = Place::new(&["freeze.rules=['freeze **', 'train conv1', 'no_grad layer1']"]);
    assert!(refusal(&place).contains("behind `layer1`"));
}

#[test]
fn a_fork_is_checked_too() {
    let place = Place::new(&[]);
    let parent = place.finished(&fake());
    let checkpoint = place.home.find_checkpoint(&format!("{}@12", parent.id())).unwrap();
    let sets = owned(&["freeze.rules=['no_grad fc']"]);
    let error = Session::start(fake(), &place.home, Start::Fork { checkpoint, optimizer: false, sets });
    let error = error.map(|_| ()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("nothing would learn"), "{error}");
    assert_eq!(place.home.runs().unwrap().len(), 1);
}

#[test]
fn a_live_edit_that_gradients_would_not_survive_is_refused_and_the_plan_before_it_stays() {
    let place = Place::new(&["train.steps=100000", "freeze.rules=['freeze conv1']"]);
    let slow: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_delay(Duration::from_millis(5)));
    let handle = place.fresh(&slow).unwrap();
    let run = handle.dir().clone();
    let freeze = |rules: &[&str]| ask(&handle, Command::Freeze { rules: owned(rules) });
    let words = freeze(&["no_grad fc"]).unwrap_err();
    assert!(words.contains("nothing would learn") && words.contains("plan before it stays"), "{words}");
    ask(&handle, Command::Pause).unwrap();
    let before = run.checkpoints().load(&ask(&handle, Command::Save).unwrap()).unwrap();
    assert_eq!(before.state.freeze_rules, ["freeze conv1"]);
    ask(&handle, Command::Continue).unwrap();
    while run.summary().step < before.state.step + 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    freeze(&["no_grad layer2"]).unwrap();
    let after = run.checkpoints().load(&ask(&handle, Command::Save).unwrap()).unwrap();
    let moved = support::differing(&before.weights, &after.weights);
    assert!(["bn1.weight", "layer1.0.conv1.weight", "fc.weight"].iter().all(|n| moved.iter().any(|m| m == n)));
    let (_, records) = stop(handle);
    assert!(audits(&records).is_empty());
    let said = run.events().unwrap().0;
    assert!(warnings(&said).iter().any(|w| w.contains("`bn1.weight`") && w.contains("behind `layer2`")), "{said:?}");
    assert_eq!(plans(&said).last().unwrap().iter().filter(|s| **s == ParamState::Starved).count(), 5);
}

#[test]
fn without_the_check_starved_parameters_count_as_trainable_and_the_audit_finds_them() {
    let place = Place::new(&["freeze.rules=['no_grad layer1']", "train.probe=false", "train.audit_after_steps=3"]);
    let (_, records) = to_end(place.fresh(&fake()).unwrap());
    assert!(plans(&records)[0].iter().all(|s| *s != ParamState::Starved));
    let audits = audits(&records);
    assert_eq!(audits.iter().map(|a| a.0).collect::<Vec<_>>(), [3, 22], "after three steps and at the end");
    for (_, _, mismatched) in audits {
        assert_eq!(mismatched, ["conv1.weight", "bn1.weight", "bn1.bias"]);
    }
    let loud = |w: &&String| w.starts_with("audit: ") && w.contains("`conv1.weight`") && w.contains("bit-equal");
    assert_eq!(warnings(&records).iter().filter(loud).count(), 2);
}

#[test]
fn an_audit_in_the_middle_changes_no_bit_and_a_rate_of_zero_is_no_mismatch() {
    let (with, without) = (Place::new(&["train.audit_after_steps=5"]), Place::new(&["train.audit_after_steps=0"]));
    let mut audited = final_of(&with.finished(&fake()));
    audited.checkpoint.state.recipe.train.audit_after_steps = 0;
    assert_same_bits(&audited, &final_of(&without.finished(&fake())), "audit");
    let (_, records) = to_end(Place::new(&["optimizer.lr=0.0"]).fresh(&fake()).unwrap());
    assert_eq!(audits(&records), [(22, 9, Vec::new())], "only statistics moved");
    assert_eq!(warnings(&records), Vec::<String>::new());
}
