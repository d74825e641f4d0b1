//! Runs of other processes.

use super::*;
use crate::app::message::AttachedRun;

/// Connected to a run of another process, whose newest event in its files is a pause at step 40.
fn attached() -> Model {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Running).id.to_string());
    let effects = update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 40)))));
    let id = model.shown.clone().unwrap();
    assert!(effects.contains(&Effect::Attach(id.clone())), "{effects:?}");
    assert_eq!(keys(&mut model, "p"), [], "not yet");
    let mut opened = sample::opened(1, RunStatus::Paused, 40);
    opened.records.push(sample::record(40, 0, Event::Paused));
    let attached = AttachedRun { opened, tree: sample::tree(), pid: 7 };
    update(&mut model, Message::Attached(Box::new(attached)));
    assert_eq!((model.attached.as_ref(), model.screen), (Some(&id), Screen::Train));
    model
}

#[test]
fn alerts_are_told_once_and_as_the_settings_ask() {
    let mut model = hosting();
    let nan = || sample::record(6, 1, Event::Step { epoch: 0, metrics: [("train/loss".to_owned(), f64::NAN)].into() });
    let effects = update(&mut model, Message::Records(vec![nan(), nan()]));
    assert!(matches!(&effects[..], [Effect::Alert(words)] if words.contains("train/loss is NaN")), "{effects:?}");
    model.alerts.kinds.clear();
    let end = sample::record(100, 0, Event::Finished { metrics: Default::default() });
    assert_eq!(update(&mut model, Message::Records(vec![end])), []);
    // A run that was followed and whose host is gone without a word.
    let mut model = attached();
    update(&mut model, Message::Heard(vec![sample::record(41, 0, Event::Continued)]));
    update(&mut model, Message::Parted);
    let crashed = || Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Crashed, 60))));
    let effects = update(&mut model, crashed());
    assert!(matches!(&effects[..], [Effect::Alert(words)] if words.contains("crashed")), "{effects:?}");
    assert_eq!(update(&mut model, crashed()), []);
    // The run list is read first after a host is gone: found by use, since nobody was told then.
    let mut listed = attached();
    update(&mut listed, Message::Parted);
    let runs = vec![sample::run(1, "new", RunStatus::Crashed)];
    let effects = update(&mut listed, Message::Runs(Ok(runs)));
    assert!(matches!(&effects[..], [Effect::Alert(words), ..] if words.contains("new: crashed")), "{effects:?}");
    assert!(said(&listed).contains("`r` on the run list"), "{}", said(&listed));
    assert!(!update(&mut listed, crashed()).iter().any(|e| matches!(e, Effect::Alert(_))), "once");
}

#[test]
fn a_run_of_another_process_is_commanded_through_the_connection() {
    let mut model = attached();
    update(&mut model, Message::Heard(vec![sample::record(40, 0, Event::Paused)]));
    assert_eq!(keys(&mut model, "p"), [Effect::Tell(Command::Continue)]);
    assert_eq!(keys(&mut model, "w e"), [Effect::Tell(Command::Save), Effect::Tell(Command::Evaluate)]);
    assert_eq!(keys(&mut model, "s y"), [Effect::Tell(Command::Stop { reason: "user".to_owned() })]);
    let freeze = Effect::Tell(Command::Freeze { rules: vec!["train conv1".to_owned()] });
    let gradients = Effect::Gradients(model.shown.clone());
    assert_eq!(keys(&mut model, "2 g j space a"), [gradients, freeze]);
    assert_eq!(keys(&mut model, "q"), [Effect::Quit], "it is not ours to stop");
    // Another run on view: the connection is given up.
    model.opening = Some(sample::run(3, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Stopped, 9)))));
    assert_eq!(model.attached, None);
}

#[test]
fn what_the_files_and_the_stream_both_say_is_shown_once() {
    let mut model = attached();
    let count = |model: &Model| model.shown().unwrap().lines.iter().filter(|l| l.text == "paused").count();
    let before = (count(&model), model.shown().unwrap().series["train/loss"].clone());
    let again = |step, loss| {
        let metrics = [("train/loss".to_owned(), loss)].into();
        sample::record(step, 0, Event::Step { epoch: 0, metrics })
    };
    update(&mut model, Message::Heard(vec![again(39, 1.0), again(40, 1.0), sample::record(40, 0, Event::Paused)]));
    assert_eq!((count(&model), model.shown().unwrap().series["train/loss"].clone()), before);
    update(&mut model, Message::Heard(vec![again(41, 0.5), sample::record(41, 0, Event::Paused)]));
    assert_eq!(count(&model), before.0 + 1);
    assert_eq!(model.shown().unwrap().series["train/loss"].last(), Some((41.0, 0.5)));
}

#[test]
fn a_connection_that_ends_shows_what_the_files_say_and_is_made_anew_where_the_run_lives() {
    let mut model = attached();
    let id = model.shown.clone().unwrap();
    let effects = update(&mut model, Message::Parted);
    assert!(effects.contains(&Effect::OpenRun(id.clone())), "{effects:?}");
    assert_eq!(keys(&mut model, "p"), []);
    let crashed = sample::opened(1, RunStatus::Crashed, 60);
    let effects = update(&mut model, Message::Opened(Ok(Box::new(crashed))));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Attach(_))), "{effects:?}");
    assert_eq!(model.shown().unwrap().status, RunStatus::Crashed);
    let alive = sample::opened(1, RunStatus::Running, 70);
    assert_eq!(update(&mut model, Message::Opened(Ok(Box::new(alive)))), [Effect::Attach(id.clone())]);
    let refused = || Message::NotAttached { run: id.clone(), problem: "it does not answer".to_owned(), passing: false };
    update(&mut model, refused());
    let toasts = model.toasts.len();
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 80)))));
    update(&mut model, refused());
    assert_eq!(model.toasts.len(), toasts, "said once");
}

/// Found by use: at a hand-over the screen warned of a process that was just starting, and the warning stayed when it was
/// reached.
#[test]
fn a_host_that_is_just_starting_is_no_cause_for_alarm() {
    let mut model = attached();
    let id = model.shown.clone().unwrap();
    update(&mut model, Message::Parted);
    let alive = || Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 70))));
    let starting = || Message::NotAttached { run: id.clone(), problem: "it is starting".to_owned(), passing: true };
    let start = model.now_ms;
    let standing = |model: &Model| model.toasts.standing().map(|t| t.text.clone()).collect::<Vec<_>>();
    for seconds in [0, 3, 6] {
        update(&mut model, Message::Now(start + 1000 * seconds));
        assert_eq!(update(&mut model, alive()), [Effect::Attach(id.clone())]);
        update(&mut model, starting());
        assert_eq!(standing(&model), <[String; 0]>::default());
    }
    assert_eq!(keys(&mut model, "p"), []);
    assert!(said(&model).contains("just being reached"), "{}", said(&model));
    update(&mut model, Message::Now(start + 11_000));
    update(&mut model, alive());
    update(&mut model, starting());
    assert!(standing(&model).contains(&"it is starting".to_owned()), "{:?}", standing(&model));
    assert_eq!(keys(&mut model, "p"), []);
    assert!(said(&model).contains("cannot be reached"), "{}", said(&model));
    let attached = AttachedRun { opened: sample::opened(1, RunStatus::Running, 70), tree: sample::tree(), pid: 8 };
    update(&mut model, Message::Attached(Box::new(attached)));
    assert_eq!(standing(&model), <[String; 0]>::default(), "it is reached");
    assert_eq!(keys(&mut model, "p"), [Effect::Tell(Command::Pause)]);
}

/// Found by use: only the Train screen noticed that a run was resumed, and only after a hand-over.
#[test]
fn a_run_that_another_process_resumed_is_followed_whatever_the_screen() {
    for screen in ["1", "2", "3", "5", "6"] {
        let mut model = attached();
        let id = model.shown.clone().unwrap();
        update(&mut model, Message::Runs(Ok(vec![sample::run(1, "", RunStatus::Running)])));
        update(&mut model, Message::Parted);
        update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 60)))));
        keys(&mut model, screen);
        assert!(
            !update(&mut model, Message::Summaries(vec![sample::run(1, "", RunStatus::Stopped)]))
                .contains(&Effect::Attach(id.clone()))
        );
        let effects = update(&mut model, Message::Summaries(vec![sample::run(1, "", RunStatus::Running)]));
        assert!(effects.contains(&Effect::Attach(id.clone())), "{screen}: {effects:?}");
    }
}

#[test]
fn staged_edits_survive_a_new_connection_unless_they_are_in_force() {
    let mut model = attached();
    let id = model.shown.clone().unwrap();
    let staged = |model: &Model| model.layers().unwrap().staged().to_vec();
    keys(&mut model, "2 j space");
    let before = staged(&model);
    assert_eq!(before.len(), 1);
    let again = |rules: &[String]| {
        let mut opened = sample::opened(1, RunStatus::Running, 70);
        opened.rules.extend_from_slice(rules);
        Message::Attached(Box::new(AttachedRun { opened, tree: sample::tree(), pid: 8 }))
    };
    update(&mut model, Message::Parted);
    update(&mut model, again(&[]));
    assert_eq!((staged(&model), model.attached.as_ref()), (before.clone(), Some(&id)));
    assert!(
        matches!(&keys(&mut model.clone(), "a")[..], [Effect::Tell(Command::Freeze { rules })] if *rules == before)
    );
    update(&mut model, Message::Parted);
    update(&mut model, again(&before));
    assert_eq!(staged(&model), [""; 0], "somebody else did the same");
}

#[test]
fn a_run_that_is_not_heard_of_has_no_pace() {
    let mut model = attached();
    let start = model.now_ms;
    let silent = |model: &Model| model.shown().unwrap().silent_for(model.now_ms);
    update(&mut model, Message::Now(start + 60_000));
    assert_eq!(silent(&model), None, "it is paused");
    update(&mut model, Message::Heard(vec![sample::record(41, 2, Event::Continued)]));
    update(&mut model, Message::Now(start + 69_000));
    assert_eq!(silent(&model), None);
    update(&mut model, Message::Now(start + 75_000));
    assert_eq!(silent(&model), Some(15));
    update(&mut model, Message::Heard(vec![sample::record(42, 2, Event::Warning { message: "w".into() })]));
    assert_eq!(silent(&model), None);
}

#[test]
fn a_stop_by_somebody_else_is_said() {
    let mut model = attached();
    let stopped = |reason: &str| sample::record(42, 2, Event::Stopped { reason: reason.to_owned() });
    update(&mut model, Message::Heard(vec![stopped("frostline stop")]));
    assert!(said(&model).contains("the run has stopped (frostline stop)"), "{}", said(&model));
}

/// The files may be read before the connection stands, or while the stream waits to be taken in.
#[test]
fn files_that_are_read_late_or_early_take_nothing_from_a_stream() {
    let mut model = attached();
    let step =
        |step| sample::record(step, 0, Event::Step { epoch: 0, metrics: [("train/loss".to_owned(), 0.5)].into() });
    update(&mut model, Message::Heard(vec![sample::record(40, 1, Event::Continued), step(41), step(42)]));
    let lines = model.shown().unwrap().lines.len();
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Paused, 40)))));
    let view = model.shown().unwrap();
    assert_eq!((view.status, view.step), (RunStatus::Running, 42));
    assert_eq!(view.series["train/loss"].last(), Some((42.0, 0.5)));
    assert!(view.lines.len() >= lines && view.lines.iter().any(|l| l.text == "goes on"));
    let mut later = sample::opened(1, RunStatus::Paused, 50);
    later.records.push(sample::record(50, 2, Event::Paused));
    update(&mut model, Message::Opened(Ok(Box::new(later))));
    assert_eq!(model.shown().unwrap().status, RunStatus::Running, "as far as the stream has come");
    update(&mut model, Message::Heard(vec![step(45), sample::record(50, 2, Event::Paused)]));
    let view = model.shown().unwrap();
    assert_eq!((view.status, view.step), (RunStatus::Paused, 50));
    assert_eq!(view.lines.iter().filter(|l| l.text == "paused" && l.step == 50).count(), 1);
}

#[test]
fn news_of_a_run_in_another_process_keep_what_the_user_did_on_its_screens() {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Running).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 40)))));
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(3) });
    keys(&mut model, "5 j 4");
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 80)))));
    let view = model.shown().unwrap();
    assert_eq!((view.step, model.checkpoint_list.cursor, model.screen), (80, 1, Screen::Train));
}
