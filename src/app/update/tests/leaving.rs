//! Leaving, with a live run and without one.

use super::*;
use crate::app::form::Tensor;
use crate::core::tensor::DType;

#[test]
fn quitting_with_a_live_run_asks_and_checkpoints_first() {
    let mut model = hosting();
    assert_eq!(keys(&mut model, "q esc"), []);
    assert!(!model.leaving);
    assert_eq!(keys(&mut model, "ctrl-c y"), [Effect::Send(Command::Stop { reason: "user".to_owned() })]);
    assert!(model.leaving);
    assert_eq!(keys(&mut model.clone(), "q y"), [Effect::Abandon], "asked again, it does not wait");
    let end = Event::Stopped { reason: "user".to_owned() };
    assert_eq!(update(&mut model, Message::Records(vec![sample::record(9, 0, end)])), []);
    assert_eq!(update(&mut model, Message::Ended), [Effect::Quit]);
}

#[test]
fn a_live_run_is_handed_over_when_it_has_stopped_and_the_screen_stays_where_that_fails() {
    let mut model = hosting();
    let id = model.hosted.clone().unwrap();
    update(&mut model, Message::Records(vec![sample::record(5, 2, Event::Paused)]));
    let reason = crate::core::command::HANDED_OVER.to_owned();
    assert_eq!(keys(&mut model, "q l"), [Effect::Send(Command::Stop { reason: reason.clone() })]);
    update(&mut model, Message::Records(vec![sample::record(5, 1, Event::Stopped { reason })]));
    let hand_over = Effect::HandOver { run: id, paused: true };
    assert_eq!(update(&mut model, Message::Ended), [hand_over]);
    assert_eq!(update(&mut model.clone(), Message::HandedOver(Ok(7))), [Effect::Quit]);
    assert_eq!(update(&mut model, Message::HandedOver(Err("no memory".to_owned()))), [Effect::ReadRuns]);
    assert!(!model.leaving && said(&model).contains("no memory"), "{}", said(&model));
    // A run that came to its end by itself is not handed over.
    let mut model = hosting();
    keys(&mut model, "q l");
    update(&mut model, Message::Records(vec![sample::record(100, 0, Event::Finished { metrics: Default::default() })]));
    assert_eq!(update(&mut model, Message::Ended), [Effect::Quit]);
    // One that has ended is not asked about, although its thread still does.
    let mut model = hosting();
    update(&mut model, Message::Records(vec![sample::record(100, 0, Event::Finished { metrics: Default::default() })]));
    assert_eq!((keys(&mut model, "q"), model.overlays.len()), (vec![], 0));
    assert_eq!(update(&mut model, Message::Ended), [Effect::Quit]);
    // Other questions have no second way.
    let mut model = hosting();
    assert_eq!(keys(&mut model, "s l"), []);
    assert_eq!(model.overlays.len(), 1);
}

/// A run that has stopped and is just being taken over.
fn going_over() -> Model {
    let mut model = hosting();
    let reason = crate::core::command::HANDED_OVER.to_owned();
    keys(&mut model, "q l");
    update(&mut model, Message::Records(vec![sample::record(5, 1, Event::Stopped { reason })]));
    assert!(matches!(update(&mut model, Message::Ended)[..], [Effect::HandOver { paused: false, .. }]));
    model
}

#[test]
fn a_pause_on_its_way_when_the_run_is_left_is_a_pause() {
    let mut model = hosting();
    let reason = crate::core::command::HANDED_OVER.to_owned();
    assert_eq!(keys(&mut model, "4 p q l").len(), 2);
    let said = [Event::Paused, Event::Stopped { reason }];
    update(&mut model, Message::Records(said.map(|event| sample::record(5, 1, event)).to_vec()));
    assert!(matches!(update(&mut model, Message::Ended)[..], [Effect::HandOver { paused: true, .. }]));
}

#[test]
fn a_run_that_cannot_be_left_without_loss_stays_here() {
    let mut model = hosting();
    keys(&mut model, "q l");
    keys(&mut model, "q");
    let result = Err(format!("{}: the disk is full", crate::core::command::NOT_HANDED_OVER));
    update(&mut model, Message::Records(vec![sample::record(5, 1, Event::Reply { id: 2, result })]));
    assert!(!model.leaving && model.overlays.is_empty() && said(&model).contains("goes on here: the disk is full"));
    assert_eq!(keys(&mut model, "4 p"), [Effect::Send(Command::Pause)]);
    assert_eq!(keys(&mut model, "q y"), [Effect::Send(Command::Stop { reason: "user".to_owned() })]);
}

#[test]
fn a_process_that_takes_the_run_over_is_waited_for() {
    let mut model = going_over();
    assert_eq!((keys(&mut model, "q"), model.overlays.len()), (vec![], 1), "asks first");
    assert_eq!(keys(&mut model.clone(), "y"), [Effect::Abandon]);
    assert_eq!(update(&mut model, Message::HandedOver(Ok(7))), [Effect::Quit]);
    let mut model = going_over();
    assert_eq!(update(&mut model, Message::Terminate("SIGTERM")), []);
    assert_eq!(update(&mut model.clone(), Message::HandedOver(Ok(7))), [Effect::Quit]);
    assert_eq!(update(&mut model.clone(), Message::HandedOver(Err("no memory".to_owned()))), [Effect::Quit]);
    assert_eq!(update(&mut model, Message::Terminate("SIGTERM")), [Effect::Abandon]);
}

#[test]
fn quitting_without_a_live_run_does_not_ask() {
    assert_eq!(keys(&mut model(), "q"), [Effect::Quit]);
    assert_eq!(keys(&mut model(), "ctrl-c"), [Effect::Quit]);
}

#[test]
fn a_signal_stops_the_run_first_and_a_second_one_does_not_wait() {
    let mut model = hosting();
    keys(&mut model, "?");
    let effects = update(&mut model, Message::Terminate("SIGTERM"));
    assert_eq!(effects, [Effect::Send(Command::Stop { reason: "SIGTERM".to_owned() })]);
    assert_eq!(update(&mut model, Message::Terminate("SIGTERM")), [Effect::Abandon]);
    assert_eq!(update(&mut super::tests::model(), Message::Terminate("SIGTERM")), [Effect::Quit]);
}

#[test]
fn a_signal_during_a_start_waits_for_it_and_stops_it() {
    let mut model = model();
    model.busy.starting = Some(Starting::default());
    assert_eq!(update(&mut model, Message::Terminate("SIGTERM")), []);
    let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
    let mut left = super::tests::model();
    left.busy.starting = Some(Starting::default());
    assert_eq!(keys(&mut left, "q"), []);
    for (mut model, why) in [(model, "SIGTERM"), (left, "user")] {
        let effects = update(&mut model, Message::Started(Ok(Box::new(started.clone()))));
        assert_eq!(effects.last(), Some(&Effect::Send(Command::Stop { reason: why.to_owned() })));
    }
}

#[test]
fn a_run_that_ends_by_itself_leaves_no_question_open() {
    let mut model = hosting();
    keys(&mut model, "s");
    update(&mut model, Message::Records(vec![sample::record(100, 0, Event::Finished { metrics: Default::default() })]));
    update(&mut model, Message::Ended);
    assert_eq!(model.overlays, []);
    assert_eq!((model.hosted.as_deref(), model.shown().unwrap().status), (None, RunStatus::Finished));
    assert_eq!(keys(&mut model, "q"), [Effect::Quit]);
}

#[test]
fn a_start_an_export_and_a_recipe_go_on_beside_each_other() {
    let (mut model, run) = super::checkpoints::history(3);
    open_draft(&mut model, "a.toml", Recipe::default());
    keys(&mut model, "x");
    let tensor = Tensor { name: "w".to_owned(), elements: 1, dtype: DType::Float32 };
    update(&mut model, Message::Tensors { run, name: "step-00000120".to_owned(), result: Ok(vec![tensor]) });
    assert_eq!(keys(&mut model, "enter").len(), 1);
    update(&mut model, Message::Exporting(Exporting::Reading { done: 0, total: 0 }));
    assert_eq!(keys(&mut model, "2 t").len(), 1);
    model.busy.building = Some("b.toml".into());
    assert!(model.busy.starting.is_some() && model.busy.exporting.is_some());
    // The end of one is not the end of another.
    update(&mut model, Message::Draft { path: "b.toml".into(), result: Err("b.toml: no model".to_owned()) });
    let mut failed = model.clone();
    update(&mut failed, Message::Started(Err("no memory".to_owned())));
    assert!(failed.busy.starting.is_none() && failed.busy.exporting.is_some());
    assert_eq!(keys(&mut failed, "q"), [Effect::Quit], "the loop waits for the export");
    update(&mut model, Message::Exported(Ok("wrote it".to_owned())));
    assert!(model.busy.exporting.is_none());
    assert_eq!(keys(&mut model, "t"), [], "a second start does not slip through");
    assert_eq!(keys(&mut model, "q"), [], "the start is waited for");
    assert!(model.leaving);
}
