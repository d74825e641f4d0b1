//! Full disks, injected where the stores write (which only tests inside the crate can do). All else about runs is tested in
//! `tests/`.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use support::exact::{assert_same_bits, final_of};
use support::probe::Probe;
use support::{Place, to_end, warnings};

use super::Outcome;
use crate::core::event::{Event, Record};
use crate::core::io::fault;
use crate::core::run::RunStatus;
use crate::engine::Engine;
use crate::engine::fake::FakeEngine;

fn fake() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

fn failures(records: &[Record]) -> usize {
    records.iter().filter(|r| matches!(r.event, Event::CheckpointFailed { .. })).count()
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_one_checkpoint_and_no_step() {
    let (whole, place) = (Place::new(&[]), Place::new(&[]));
    let undisturbed = final_of(&whole.finished(&fake()));
    let probe = Probe::new(&fake());
    let (before, after) = (probe.gate(5), probe.gate(10));
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    // Step 8's checkpoint begins, and its weights do not fit.
    let full = before.during(|| fault::disk_full_after(run.path(), 600));
    after.during(|| {
        assert_eq!(run.checkpoints().verify("step-00000004"), []);
        drop(full);
    });
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(failures(&records), 1);
    assert!(warnings(&records).iter().any(|w| w.contains("free some space")), "{records:?}");
    let steps: Vec<u64> = run.checkpoints().list().iter().map(|i| i.step).collect();
    assert_eq!(steps, [4, 12, 16, 20, 22]);
    assert_same_bits(&undisturbed, &final_of(&run), "a full disk");
    // What could not be written in time came later, in order.
    let (events, dropped) = run.events().unwrap();
    assert_eq!((failures(&events), dropped), (1, None));
    assert!(events.is_sorted_by_key(|r| r.step));
}

#[test]
fn a_disk_that_stays_full_fails_the_run_in_words_and_old_checkpoints_stand() {
    let place = Place::new(&["train.steps=6"]);
    let probe = Probe::new(&fake());
    let held = probe.gate(5);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    let full = held.during(|| fault::disk_full_after(&run.path().join("checkpoints"), 0));
    let (outcome, records) = to_end(handle);
    let Outcome::Failed { message } = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("last checkpoint") && message.contains("free some space"), "{message}");
    assert!(failures(&records) > 1, "it is tried a few times");
    assert_eq!(run.summary().status, RunStatus::Failed);
    assert_eq!(run.checkpoints().verify("step-00000004"), []);
    drop(full);
    let (outcome, _) = to_end(place.resume(&fake(), &run).unwrap());
    assert!(matches!(outcome, Outcome::Finished { step: 6, .. }), "{outcome:?}");
}

#[test]
fn a_run_that_cannot_be_created_is_an_error_and_leaves_nothing() {
    let place = Place::new(&[]);
    let full = fault::disk_full_after(place.home.path(), 0);
    let error = place.fresh(&fake()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("free some space"), "{error}");
    drop(full);
    assert!(place.home.runs().unwrap().is_empty());
}
