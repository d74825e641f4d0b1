//! Disks that fail, injected where the stores write (which only tests inside the crate can do). All else about runs is tested in
//! `tests/`.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use rustix::io::Errno;
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

/// What a disk may say, and what the user is told to do.
const ERRORS: [(Errno, &str); 5] = [
    (Errno::NOSPC, "free some space"),
    (Errno::DQUOT, "larger quota"),
    (Errno::IO, "check the disk"),
    (Errno::ROFS, "writable disk"),
    (Errno::ACCESS, "permissions"),
];

#[test]
fn whatever_a_disk_says_for_a_while_the_run_ends_with_the_same_bits_and_says_what_was_wrong() {
    let undisturbed = final_of(&Place::new(&[]).finished(&fake()));
    for (errno, advice) in ERRORS {
        // The first three are needed; the others nothing depends on.
        for (file, said) in [
            ("events.jsonl", true),
            ("metrics.bin", true),
            ("checkpoints", true),
            ("pins.json", false),
            ("run.toml", false),
            ("log.txt", false),
        ] {
            let place = Place::new(&[]);
            let probe = Probe::new(&fake());
            let (before, after) = (probe.gate(5), probe.gate(10));
            let handle = place.fresh(&probe.engine()).unwrap();
            let run = handle.dir().clone();
            let broken = before.during(|| fault::failing_after(&run.path().join(file), 0, errno));
            after.during(|| drop(broken));
            let (outcome, records) = to_end(handle);
            let when = format!("{file}: {errno}");
            assert!(matches!(outcome, Outcome::Finished { .. }), "{when}: {outcome:?}");
            assert_same_bits(&undisturbed, &final_of(&run), &when);
            let failed = records.iter().filter_map(|r| match &r.event {
                Event::CheckpointFailed { message } | Event::Warning { message } => Some(message.as_str()),
                _ => None,
            });
            assert_eq!(failed.into_iter().any(|m| m.contains(advice)), said, "{when}: {records:?}");
            let (events, dropped) = run.events().unwrap();
            assert!(dropped.is_none() && events.last().unwrap().event.is_end(), "{when}");
            let (table, dropped) = crate::core::run::MetricsReader::read_all(&run.metrics_path()).unwrap();
            assert_eq!((table.column("train/loss").len(), dropped), (22, None), "{when}: no row is lost");
        }
    }
}

#[test]
fn what_a_user_asks_for_on_a_broken_disk_fails_in_words_and_changes_nothing() {
    let place = Place::new(&["train.steps=4"]);
    let run = place.finished(&fake());
    let (name, meta) = (run.checkpoints().names().pop().unwrap(), run.meta().unwrap());
    for (errno, advice) in ERRORS {
        let broken = fault::failing_after(place.folder.path(), 0, errno);
        let tagged = crate::core::run::RunMeta { tags: vec!["new".to_owned()], ..meta.clone() };
        let said = [
            run.save_meta(&tagged).unwrap_err().to_string(),
            run.checkpoints().pin(&name, true).unwrap_err().to_string(),
        ];
        assert!(said.iter().all(|s| s.contains(advice)), "{said:?}");
        let out = place.folder.path().join("out.safetensors");
        let weights = run.checkpoints().load(&name).unwrap().weights;
        let exported = crate::core::weights::write_safetensors(&out, &weights, &Default::default(), false);
        let said = exported.unwrap_err().to_string();
        assert!(said.contains("out.safetensors: cannot write") && !out.exists(), "{said}");
        let resumed = place.resume_with(&fake(), &run, None, &["train.steps=8"]).map(|handle| to_end(handle).0);
        assert!(matches!(&resumed, Err(e) if e.to_string().contains(advice)), "{resumed:?}");
        drop(broken);
        assert_eq!((run.meta().unwrap(), run.owner()), (meta.clone(), None));
        assert!(!run.checkpoints().list()[0].pinned && run.checkpoints().verify(&name).is_empty());
    }
    let left: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["home"]);
}

#[test]
fn a_run_whose_folder_vanishes_goes_on_and_says_so_and_finds_it_again() {
    for comes_back in [true, false] {
        let place = Place::new(&[]);
        let probe = Probe::new(&fake());
        let (before, after) = (probe.gate(5), probe.gate(10));
        let handle = place.fresh(&probe.engine()).unwrap();
        let run = handle.dir().clone();
        let elsewhere = place.folder.path().join("elsewhere");
        before.during(|| std::fs::rename(run.path(), &elsewhere).unwrap());
        after.during(|| comes_back.then(|| std::fs::rename(&elsewhere, run.path()).unwrap()));
        let (outcome, records) = to_end(handle);
        assert!(failures(&records) > 0);
        if comes_back {
            assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
            let steps: Vec<u64> = run.checkpoints().list().iter().map(|i| i.step).collect();
            assert_eq!(steps, [4, 12, 16, 20, 22]);
            continue;
        }
        let Outcome::Failed { message } = outcome else { panic!("{outcome:?}") };
        assert!(message.contains("check that the folder still exists"), "{message}");
        assert!(!run.path().exists(), "a folder with checkpoints and nothing else is no run");
        std::fs::rename(&elsewhere, run.path()).unwrap();
        let (outcome, _) = to_end(place.resume(&fake(), &run).unwrap());
        assert!(matches!(outcome, Outcome::Finished { step: 22, .. }), "{outcome:?}");
    }
}
