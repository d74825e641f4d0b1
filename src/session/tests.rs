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
use crate::core::command::Command;
use crate::core::event::{Event, Record};
use crate::core::io::fault;
use crate::core::run::RunStatus;
use crate::engine::Engine;
use crate::engine::fake::FakeEngine;
use crate::engine::telemetry::FakeGpus;

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
    let full = before.during(|| {
        run.checkpoints().wait_for("step-00000004");
        fault::disk_full_after(run.path(), 600)
    });
    after.during(|| {
        fault::wait_for_refusal(run.checkpoints().path());
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
    let full = held.during(|| {
        run.checkpoints().wait_for("step-00000004");
        fault::disk_full_after(run.checkpoints().path(), 0)
    });
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
const ERRORS: [(Errno, &str); 6] = [
    (Errno::NOSPC, "free some space"),
    (Errno::DQUOT, "larger quota"),
    (Errno::IO, "check the disk"),
    (Errno::ROFS, "writable disk"),
    (Errno::ACCESS, "permissions"),
    (Errno::NOTDIR, "where a folder belongs"),
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
            let broken = before.during(|| {
                run.checkpoints().wait_for("step-00000004");
                fault::failing_after(&run.path().join(file), 0, errno)
            });
            after.during(|| {
                if file == "checkpoints" {
                    fault::wait_for_refusal(run.checkpoints().path());
                }
                drop(broken);
            });
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

#[cfg(feature = "torch")]
#[test]
fn a_torchscript_file_that_a_broken_disk_cuts_off_is_said_and_leaves_nothing() {
    let engine: Arc<dyn Engine> = Arc::new(crate::engine::torch::TorchEngine);
    let place = Place::new(&["train.steps=1"]);
    let run = place.finished(&engine);
    let loaded = run.checkpoints().load(&run.checkpoints().names().pop().unwrap()).unwrap();
    let out = place.folder.path().join("model.pt");
    let export =
        |force| super::export::export_script(&*engine, &loaded.state, &loaded.weights, &out, force, &mut |_| {});
    export(false).unwrap();
    let whole = std::fs::read(&out).unwrap();
    // A script is loaded and written again by other code than a model of the zoo.
    let mut scripted = loaded.state.clone();
    let script = place.folder.path().join("script.pt");
    std::fs::copy(&out, &script).unwrap();
    scripted.recipe.model.arch = format!("torchscript:{}", script.display());
    let resave = || super::export::export_script(&*engine, &scripted, &loaded.weights, &out, true, &mut |_| {});
    for (errno, advice) in ERRORS {
        for fits in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
            let broken = fault::failing_after(place.folder.path(), fits as u64, errno);
            let mut said = vec![export(true).unwrap_err().to_string()];
            drop(broken);
            let broken = fault::failing_after(place.folder.path(), fits as u64, errno);
            said.push(resave().unwrap_err().to_string());
            drop(broken);
            for said in said {
                assert!(said.contains("model.pt: cannot write: ") && said.contains(advice), "{fits} bytes: {said}");
                assert!(!said.contains('\n') && !said.contains(".tmp-"), "{said}");
            }
            assert!(std::fs::read(&out).unwrap() == whole, "the old file stands");
        }
    }
    resave().unwrap();
    let nowhere = out.join("none/a.pt");
    let gone = super::export::export_script(&*engine, &loaded.state, &loaded.weights, &nowhere, false, &mut |_| {});
    let said = gone.unwrap_err().to_string();
    assert!(said.contains("make the folder") && said.contains("model.pt/none"), "{said}");
    assert!(export(false).unwrap_err().to_string().contains("--force"));
    let mut left: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    left.sort();
    assert_eq!(left, ["home", "model.pt", "script.pt"]);
}

#[test]
fn a_run_whose_folder_vanishes_goes_on_and_says_so_and_finds_it_again() {
    for comes_back in [true, false] {
        let place = Place::new(&[]);
        let probe = Probe::new(&fake());
        // Step 12's checkpoint, on its way then, has waited for step 8's to fail.
        let (before, after) = (probe.gate(5), probe.gate(12));
        let handle = place.fresh(&probe.engine()).unwrap();
        let run = handle.dir().clone();
        let elsewhere = place.folder.path().join("elsewhere");
        before.during(|| {
            run.checkpoints().wait_for("step-00000004");
            std::fs::rename(run.path(), &elsewhere).unwrap();
        });
        after.during(|| comes_back.then(|| std::fs::rename(&elsewhere, run.path()).unwrap()));
        let (outcome, records) = to_end(handle);
        assert!(failures(&records) > 0);
        if comes_back {
            assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
            let steps = run.checkpoints().list().into_iter().map(|i| i.step).filter(|step| *step != 12);
            assert_eq!(steps.collect::<Vec<_>>(), [4, 16, 20, 22]);
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

#[test]
fn steps_go_on_while_a_checkpoint_is_written_and_what_is_acknowledged_is_durable() {
    let undisturbed = final_of(&Place::new(&[]).finished(&fake()));
    for command in [Command::Save, Command::Pause, Command::Stop { reason: "test".to_owned() }] {
        let place = Place::new(&[]);
        let probe = Probe::new(&fake());
        let (before, after) = (probe.gate(5), probe.gate(11));
        let handle = place.fresh(&probe.engine()).unwrap();
        let run = handle.dir().clone();
        let steps =
            |run: &crate::core::run::RunDir| run.checkpoints().list().iter().map(|i| i.step).collect::<Vec<_>>();
        let held = before.during(|| {
            run.checkpoints().wait_for("step-00000004");
            fault::hold(run.checkpoints().path())
        });
        // Step 8's checkpoint is not written, and step 11 is done.
        after.during(|| assert_eq!(steps(&run), [4]));
        let asked = handle.send(command.clone());
        std::thread::sleep(std::time::Duration::from_millis(100));
        let said = handle.drain();
        assert_eq!(said.iter().map(|r| r.step).max(), Some(12), "step 12's checkpoint waits for step 8's: {said:?}");
        let names = |records: &[Record]| -> Vec<String> {
            let name = |r: &Record| match &r.event {
                Event::CheckpointWritten { name, .. } => Some(name.clone()),
                _ => None,
            };
            records.iter().filter_map(name).collect()
        };
        let answered = |records: &[Record]| records.iter().any(|r| matches!(r.event, Event::Reply { .. }));
        assert!(names(&said) == ["step-00000004"] && !answered(&said) && !handle.is_over(), "{command:?}: {said:?}");
        drop(held);
        let mut said = Vec::new();
        while !answered(&said) {
            handle.wait(std::time::Duration::from_secs(5));
            said.extend(handle.drain());
        }
        let answer = said.iter().position(|r| matches!(r.event, Event::Reply { id, .. } if id == asked)).unwrap();
        assert_eq!(names(&said[..answer]), ["step-00000008", "step-00000012"], "{command:?}: {said:?}");
        assert_eq!(run.checkpoints().verify("step-00000012"), []);
        if command == Command::Pause {
            handle.send(Command::Continue);
        }
        to_end(handle);
        if run.summary().status != RunStatus::Finished {
            to_end(place.resume(&fake(), &run).unwrap());
        }
        assert_eq!(steps(&run), [4, 8, 12, 16, 20, 22]);
        assert_same_bits(&undisturbed, &final_of(&run), &format!("{command:?}"));
        assert!(run.events().unwrap().0.is_sorted_by_key(|r| r.step));
    }
}

#[test]
fn a_run_that_breaks_down_while_a_checkpoint_is_written_still_has_it() {
    let place = Place::new(&[]);
    let probe = Probe::new(&fake()).dying_at(10);
    let (before, after) = (probe.gate(5), probe.gate(9));
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    let held = before.during(|| {
        run.checkpoints().wait_for("step-00000004");
        fault::hold(run.checkpoints().path())
    });
    after.during(|| ());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!handle.is_over(), "the trainer has died, and waits for what is on its way");
    drop(held);
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let written = |r: &Record| matches!(&r.event, Event::CheckpointWritten { name, .. } if name == "step-00000008");
    assert!(records.iter().any(written), "{records:?}");
    assert_eq!(run.checkpoints().verify("step-00000008"), []);
}

#[test]
fn a_run_tells_what_its_device_does_and_is_the_same_run_to_the_last_bit() {
    let plain = final_of(&Place::new(&[]).finished(&fake()));
    let watched: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_gpus(FakeGpus::default()));
    let place = Place::new(&[]);
    let probe = Probe::new(&watched);
    // The last steps wait for the first reading.
    let held = probe.gate(20);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    held.during(|| std::thread::sleep(std::time::Duration::from_millis(1000)));
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let told =
        |r: &Record| matches!(&r.event, Event::Step { metrics, .. } if metrics.contains_key("device/cpu/memory"));
    assert!(records.iter().any(told), "{records:?}");
    assert!(records.iter().filter(|r| told(r)).count() < 22, "a reading is told once");
    let (table, _) = crate::core::run::MetricsReader::read_all(&run.metrics_path()).unwrap();
    let load = table.rows().flat_map(|r| r.values().collect::<Vec<_>>()).find(|(n, _)| *n == "device/cpu/load");
    assert!(load.is_some_and(|(_, load)| (0.0..=1.0).contains(&load)), "{load:?}");
    assert_same_bits(&plain, &final_of(&run), "telemetry");
}
