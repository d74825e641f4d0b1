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
    let job = |name: &str| StartJob::Resume { run: run.clone(), from: Some(name.to_owned()), sets: Vec::new() };
    assert_eq!(keys(&mut model, "y"), [Effect::Start(job("step-00000080"))]);
    model.busy = Busy::default();
    assert_eq!(keys(&mut model, "g r"), [Effect::Start(job("step-00000120"))], "the newest needs no question");
}

#[test]
fn a_finished_run_asks_how_long_it_is_to_become() {
    let mut model = model();
    keys(&mut model, "j r");
    let field = |model: &Model| match model.overlays.last() {
        Some(Overlay::Ask(ask)) => (ask.title.clone(), ask.input.text.clone(), ask.preview.clone()),
        other => panic!("{other:?}"),
    };
    let (title, text, preview) = field(&model);
    assert_eq!((title.as_str(), text.as_str()), ("old is finished. Go on until", "20 epochs"));
    assert!(preview.unwrap()[0].contains("10 more epochs"));
    for (wrong, words) in [
        ("10", "10 epochs long already"),
        ("400 steps", "400 steps long already"),
        ("x", "no length"),
        ("0", "no length"),
    ] {
        keys(&mut model, "ctrl-u");
        wrong.split(' ').enumerate().for_each(|(i, word)| {
            if i > 0 {
                keys(&mut model, "space");
            }
            type_text(&mut model, word);
        });
        assert_eq!(keys(&mut model, "enter"), [], "{wrong}");
        assert!(field(&model).2.unwrap_err().contains(words), "{wrong}: {:?}", field(&model).2);
    }
    assert!(model.toasts.is_empty(), "what stands below the field is not said again");
    keys(&mut model, "ctrl-u 5 0 0 s t e p s");
    let run = sample::run(2, "", RunStatus::Finished).id.to_string();
    let job = StartJob::Resume { run, from: None, sets: vec!["train.steps=500".to_owned()] };
    assert_eq!(keys(&mut model, "enter"), [Effect::Start(job)]);
}

#[test]
fn that_a_run_crashed_is_not_said_any_more_once_it_goes_on() {
    let standing = |model: &Model| model.toasts.standing().map(|t| t.text.clone()).collect::<Vec<_>>();
    let mut model = model();
    model.opening = Some(sample::run(3, "", RunStatus::Running).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Running, 40)))));
    let runs = |status| Message::Runs(Ok(vec![sample::run(3, "broken", status)]));
    update(&mut model, runs(RunStatus::Crashed));
    assert!(standing(&model)[0].contains("broken: crashed"), "{:?}", standing(&model));
    let mut elsewhere = model.clone();
    let started = StartedRun { opened: sample::opened(3, RunStatus::Running, 40), tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    assert_eq!(standing(&model), [""; 0]);
    update(&mut elsewhere, runs(RunStatus::Running));
    assert_eq!(standing(&elsewhere), [""; 0], "resumed by another process");
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
    let from = |e: &Effect| matches!(e, Effect::Start(StartJob::Resume { run: r, from: Some(_), .. }) if *r == run);
    assert!(effects.iter().any(from), "{effects:?}");
    assert_eq!(update(&mut model, Message::Ended), [], "once");
}
