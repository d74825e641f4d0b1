//! Whether a run fits: the estimate, the largest batch, and a run that meets the end of its memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use frostline::core::command::Command;
use frostline::core::event::Event;
use frostline::core::recipe::AUTO_BATCH;
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::{Outcome, SessionError, dry_run};
use support::exact::final_of;
use support::probe::Probe;
use support::{Place, ask, owned, stop, to_end, warnings};

fn engine(fake: FakeEngine) -> Arc<dyn Engine> {
    Arc::new(fake)
}

fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { message } => message,
        other => panic!("{other:?}"),
    }
}

fn refusal(started: Result<frostline::session::RunHandle, SessionError>) -> String {
    match started {
        Err(e) if e.is_refusal() => e.to_string(),
        Err(e) => panic!("not a refusal: {e}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn a_run_that_is_out_of_memory_keeps_its_last_state_and_says_how_to_go_on() {
    let place = Place::new(&[]);
    let handle = place.fresh(&engine(FakeEngine::new(1).without_memory_at(6))).unwrap();
    let run = handle.dir().clone();
    let message = failure(to_end(handle).0);
    assert!(message.starts_with("step 7: out of memory on cpu with a batch of 24 ("), "{message}");
    assert!(message.contains("checkpoint step-00000006 holds the state before it"), "{message}");
    let remedy =
        format!("frostline resume {} --set train.batch_size=12 --set train.accumulate_grad_batches=4", run.id());
    assert!(message.ends_with(&remedy), "{message}");
    let (checkpoint, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!((checkpoint.state.step, checkpoint.state.reason.as_str()), (6, "out_of_memory"));
}

#[test]
fn reports_that_are_late_are_taken_before_the_state_is_saved() {
    let place = Place::new(&[]);
    let handle = place.fresh(&engine(FakeEngine::new(1).without_memory_at(6).with_lag(3))).unwrap();
    let run = handle.dir().clone();
    failure(to_end(handle).0);
    let last = final_of(&run);
    assert_eq!((last.checkpoint.state.step, last.rows.iter().map(|r| r.0).max()), (6, Some(6)));
}

#[test]
fn the_remedy_of_the_message_goes_on_with_the_same_samples_a_step() {
    let place = Place::new(&[]);
    let undisturbed = final_of(&place.finished(&engine(FakeEngine::new(1))));
    let place = Place::new(&[]);
    let handle = place.fresh(&engine(FakeEngine::new(1).without_memory_at(6))).unwrap();
    let run = handle.dir().clone();
    failure(to_end(handle).0);
    let sets = ["train.batch_size=12", "train.accumulate_grad_batches=4"];
    let handle = place.resume_with(&engine(FakeEngine::new(1).with_room_for(12)), &run, None, &sets).unwrap();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 22, .. }), "{outcome:?}");
    let said = warnings(&records);
    assert!(said.iter().any(|w| w.contains("shared out anew (train.batch_size = 12")), "{said:?}");
    let (ours, theirs) = (final_of(&run).checkpoint.state, undisturbed.checkpoint.state);
    assert_eq!(
        (ours.samples_seen, ours.epoch, ours.step_in_epoch),
        (theirs.samples_seen, theirs.epoch, theirs.step_in_epoch)
    );
    let recipe = run.meta().unwrap().recipe.train;
    assert_eq!((recipe.batch_size, recipe.accumulate_grad_batches), (12, 4), "the next resume knows it");
}

#[test]
fn a_resume_that_would_change_the_samples_of_a_step_is_refused() {
    let place = Place::new(&["train.steps=4"]);
    let run = place.finished(&engine(FakeEngine::new(1)));
    let try_with =
        |place: &Place, sets: &[&str]| refusal(place.resume_with(&engine(FakeEngine::new(1)), &run, None, sets));
    let words = try_with(&place, &["train.batch_size=12"]);
    assert!(words.contains("a step of the run has 48 samples and would have 24"), "{words}");
    let dropping = Place::new(&["train.steps=4", "train.drop_last=true"]);
    let run = dropping.finished(&engine(FakeEngine::new(1)));
    let sets = ["train.batch_size=12", "train.accumulate_grad_batches=4"];
    let words = refusal(dropping.resume_with(&engine(FakeEngine::new(1)), &run, None, &sets));
    assert!(words.contains("train.drop_last"), "{words}");
}

#[test]
fn a_batch_that_cannot_be_halved_is_told_with_another_remedy() {
    let place = Place::new(&["train.batch_size=9"]);
    let handle = place.fresh(&engine(FakeEngine::new(1).without_memory_at(0))).unwrap();
    let message = failure(to_end(handle).0);
    assert!(message.contains("freeze more, choose a smaller model, or another device"), "{message}");
}

#[test]
fn a_run_whose_first_look_does_not_fit_does_not_start() {
    let place = Place::new(&[]);
    let error = place.fresh(&engine(FakeEngine::new(1).with_room_for(8))).err().unwrap();
    assert!(!error.is_refusal());
    assert!(error.to_string().contains("out of memory on cpu with a batch of 24 (there is room for 8"), "{error}");
    assert!(place.home.runs().unwrap().is_empty());
}

#[test]
fn auto_finds_the_largest_batch_and_the_run_keeps_the_number() {
    let place = Place::new(&["train.batch_size=auto", "train.steps=3"]);
    assert_eq!(place.recipe.train.batch_size, AUTO_BATCH);
    let fake = engine(FakeEngine::new(1).with_room_for(100));
    let dry = dry_run(&*fake, &place.home, &place.recipe).unwrap();
    assert_eq!((dry.batches.global, dry.batches.accumulate), (96, 2));
    let handle = place.fresh(&fake).unwrap();
    let run = handle.dir().clone();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let said = warnings(&records);
    assert!(said.iter().any(|w| w.starts_with("train.batch_size = \"auto\": 96 samples fit on cpu")), "{said:?}");
    assert_eq!(run.meta().unwrap().recipe.train.batch_size, 96);
    let (checkpoint, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(
        (checkpoint.state.samples_seen, checkpoint.state.recipe.train.batch_size),
        (430, 96),
        "two steps of 192 and the rest"
    );
}

#[test]
fn auto_says_so_where_not_even_one_sample_fits() {
    let place = Place::new(&["train.batch_size=auto"]);
    let error = place.fresh(&engine(FakeEngine::new(1).with_room_for(0))).err().unwrap().to_string();
    let why = "(there is room for 0 samples and not for 1)";
    assert!(error.contains(&format!("not even one sample fits on cpu {why}; freeze more")), "{error}");
}

#[test]
fn auto_changes_no_bit_of_the_run_that_it_leads_to() {
    let auto = Place::new(&["train.batch_size=auto", "train.steps=6"]);
    let fixed = Place::new(&["train.batch_size=96", "train.steps=6"]);
    let fake = engine(FakeEngine::new(1).with_room_for(100));
    let (a, b) = (final_of(&auto.finished(&fake)), final_of(&fixed.finished(&fake)));
    support::exact::assert_same_bits(&a, &b, "auto");
}

#[test]
fn a_live_run_goes_over_to_another_device_and_ends_with_the_same_bits() {
    let undisturbed = final_of(&Place::new(&[]).finished(&engine(FakeEngine::new(1))));
    let place = Place::new(&[]);
    let mut probe = Probe::new(&engine(FakeEngine::new(1).with_gpu()));
    probe.warns = true;
    let held = probe.gate(9);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    let devices = owned(&["cuda:0"]);
    held.during(|| handle.send(Command::SetDevices { devices: devices.clone() }));
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 22, .. }), "{outcome:?}");
    let moved = records.iter().find(|r| matches!(&r.event, Event::DevicesChanged { devices: d } if *d == devices));
    assert_eq!(moved.unwrap().step, 10);
    let answer = records.iter().find_map(|r| match &r.event {
        Event::Reply { result, .. } => Some(result.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(Ok("goes on on cuda:0 from step-00000010".to_owned())));
    assert_eq!(run.meta().unwrap().recipe.train.devices, devices);
    let slow = warnings(&records).into_iter().filter(|w| w.starts_with("slow on"));
    assert_eq!(slow.collect::<Vec<_>>(), ["slow on cpu", "slow on cuda:0"], "what each learner warns of");
    let places = ["built on cpu", "room on cpu", "built on cuda:0"];
    assert_eq!(*probe.places.lock().unwrap(), places, "the old one makes room first");
    let mut ours = final_of(&run);
    ours.checkpoint.state.recipe.train.devices = undisturbed.checkpoint.state.recipe.train.devices.clone();
    support::exact::assert_same_bits(&undisturbed, &ours, "devices");
}

#[test]
fn a_device_that_is_not_there_is_refused_and_the_run_stays() {
    let place = Place::new(&["train.steps=100000"]);
    let handle = place.fresh(&engine(FakeEngine::new(1))).unwrap();
    let run = handle.dir().clone();
    let ask_for = |devices: &[&str]| ask(&handle, Command::SetDevices { devices: owned(devices) });
    let words = ask_for(&["cuda:3"]).unwrap_err();
    assert!(words.contains("`cuda:3`") && words.ends_with("; the run stays on cpu"), "{words}");
    let words = ask_for(&["gpu"]).unwrap_err();
    assert!(words.contains("is no device"), "{words}");
    assert_eq!(ask_for(&["cpu"]), Ok("it is on cpu already".to_owned()));
    let (outcome, _) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    assert_eq!(run.meta().unwrap().recipe.train.devices, ["cpu"]);
}

#[test]
fn the_dry_run_tells_what_memory_is_for() {
    let place = Place::new(&[]);
    let dry = dry_run(&*engine(FakeEngine::new(1)), &place.home, &place.recipe).unwrap();
    assert!(dry.memory.measured && dry.memory.activations > 0);
    assert_eq!(dry.memory.optimizer, dry.memory.gradients, "momentum");
    assert_eq!(dry.memory_bytes, dry.memory.total());
    let lines: Vec<String> = dry.lines().into_iter().map(|(_, value)| value).collect();
    assert!(lines.iter().any(|l| l == "48 a step: 2 batches of 24"), "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("activations") && l.contains("measured on a batch")), "{lines:?}");
}
