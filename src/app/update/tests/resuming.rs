//! Runs that go on from a checkpoint.

use super::*;

#[test]
fn resume_from_an_older_checkpoint_asks_and_names_what_is_set_aside() {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 120)))));
    let run = model.shown.clone().unwrap();
    assert_eq!(keys(&mut model, "5"), [Effect::ReadCheckpoints(run.clone())]);
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(3) });
    assert_eq!(keys(&mut model, "j r"), []);
    let Some(Overlay::Confirm(Confirm { lines, .. })) = model.overlays.last() else { panic!("no question") };
    assert!(lines[0].contains("up to step 120"), "{lines:?}");
    let job = |name: &str| StartJob::Resume { run: run.clone(), from: Some(name.to_owned()) };
    assert_eq!(keys(&mut model, "y"), [Effect::Start(job("step-00000080"))]);
    model.busy = Busy::default();
    assert_eq!(keys(&mut model, "g r"), [Effect::Start(job("step-00000120"))], "the newest needs no question");
}

#[test]
fn a_finished_run_is_not_resumed() {
    let mut model = model();
    keys(&mut model, "j r");
    assert!(said(&model).contains("nothing to resume"), "{}", said(&model));
}

#[test]
fn a_run_that_is_winding_up_is_resumed_as_soon_as_it_has() {
    let mut model = hosting();
    let run = model.hosted.clone().unwrap();
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(3) });
    let stopped = Event::Stopped { reason: "user".to_owned() };
    update(&mut model, Message::Records(vec![sample::record(120, 0, stopped)]));
    keys(&mut model, "5 j r");
    assert_eq!(model.place(), Place::Confirm, "later checkpoints: it asks");
    assert_eq!(keys(&mut model, "y"), [], "its thread is not over yet");
    let effects = update(&mut model, Message::Ended);
    let from = |e: &Effect| matches!(e, Effect::Start(StartJob::Resume { run: r, from: Some(_) }) if *r == run);
    assert!(effects.iter().any(from), "{effects:?}");
    assert_eq!(update(&mut model, Message::Ended), [], "once");
}
