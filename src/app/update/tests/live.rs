//! The run that lives in this process.

use super::*;

#[test]
fn pause_goes_on_when_paused() {
    let mut model = hosting();
    assert_eq!(keys(&mut model, "p"), [Effect::Send(Command::Pause)]);
    update(&mut model, Message::Records(vec![sample::record(5, 1, Event::Paused)]));
    assert_eq!(keys(&mut model, "p"), [Effect::Send(Command::Continue)]);
    assert_eq!(keys(&mut model, "w e"), [Effect::Send(Command::Save), Effect::Send(Command::Evaluate)]);
}

#[test]
fn stop_asks_first() {
    let mut model = hosting();
    assert_eq!(keys(&mut model, "s n"), []);
    assert_eq!(keys(&mut model, "s y"), [Effect::Send(Command::Stop { reason: "user".to_owned() })]);
}

#[test]
fn steps_of_the_live_run_fill_its_charts_also_while_another_run_is_on_view() {
    let mut model = hosting();
    let hosted = model.hosted.clone().unwrap();
    step(&mut model, 1, 2.0);
    keys(&mut model, "1 j j enter");
    model.opening = Some(sample::run(3, "", RunStatus::Crashed).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Crashed, 40)))));
    step(&mut model, 2, 1.0);
    assert_ne!(model.shown.as_deref(), Some(hosted.as_str()));
    assert_eq!(model.view(&hosted).unwrap().series["train/loss"].last(), Some((2.0, 1.0)));
    assert_eq!(keys(&mut model, "p"), [], "a run that is not live here takes no command");
    assert_eq!(model.runs.as_ref().unwrap().len(), 3);
}

#[test]
fn the_pace_tells_the_time_left() {
    let mut model = hosting();
    for n in 1..=20 {
        let event = Event::Step { epoch: 0, metrics: [("train/loss".to_owned(), 1.0)].into() };
        update(&mut model, Message::Records(vec![sample::record(n, 100_000 - n * 100, event)]));
    }
    let view = model.shown().unwrap();
    assert!((view.rate().unwrap() - 10.0).abs() < 1e-9, "{:?}", view.rate());
    assert!((view.seconds_left().unwrap() - 8.0).abs() < 1e-9);
    assert_eq!(view.epoch(), Some((3, 10)));
}

#[test]
fn the_answer_to_save_says_what_was_done() {
    let mut model = hosting();
    let reply = Event::Reply { id: 1, result: Ok("step-00000120".to_owned()) };
    update(&mut model, Message::Records(vec![sample::record(120, 0, reply)]));
    assert_eq!(said(&model), "a checkpoint of step 120 is written");
}

/// Found by use: with every checkpoint of a live run the column went until the new pair was compared, and others took its place.
#[test]
fn what_moved_stays_on_view_until_the_next_checkpoint_is_compared() {
    let mut model = hosting();
    let run = model.shown.clone().unwrap();
    let moved = |pair| Message::Drift(Drifted { pair, moved: [("conv1".to_owned(), Moved::Not)].into() });
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(2) });
    keys(&mut model, "2");
    assert!(model.moved().is_none());
    let first = model.wanted_pair().unwrap();
    update(&mut model, moved(first.clone()));
    assert_eq!(model.moved().unwrap().pair, first);
    let effects = update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(3) });
    let second = model.wanted_pair().unwrap();
    assert!(second != first && effects.contains(&Effect::ReadDrift(second.clone())), "{effects:?}");
    assert_eq!(model.moved().unwrap().pair, first, "what is known is shown as what it is");
    update(&mut model, moved(first.clone()));
    update(&mut model, moved(second.clone()));
    assert_eq!(model.moved().unwrap().pair, second);
    // Checkpoints that cannot be compared have no column.
    let effects = update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(4) });
    let third = model.wanted_pair().unwrap();
    assert!(effects.contains(&Effect::ReadDrift(third.clone())));
    update(&mut model, Message::Drift(Drifted { pair: third, moved: Default::default() }));
    assert!(model.moved().is_none());
}
