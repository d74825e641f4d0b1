//! Edits of the freeze plan.

use super::*;

#[test]
fn live_edits_are_staged_and_sent_by_one_key() {
    let mut model = hosting();
    keys(&mut model, "2 G k k space"); // fc: frozen
    keys(&mut model, "g j space"); // conv1: trained
    assert_eq!(model.layers().unwrap().staged(), ["freeze fc", "train conv1"]);
    let rules = vec!["freeze fc".to_owned(), "train conv1".to_owned()];
    assert_eq!(keys(&mut model, "a"), [Effect::Send(Command::Freeze { rules: rules.clone() })]);
    assert_eq!(keys(&mut model, "a"), [], "once is enough");

    let in_force: Vec<String> = model.layers().unwrap().rules().iter().chain(&rules).cloned().collect();
    let states = model.layers().unwrap().tree().parameters.iter();
    let states = states.map(|p| if p.name.starts_with("conv1") { ParamState::Trainable } else { ParamState::Frozen });
    let changed = Event::FreezeChanged { rules: in_force, trainable: 1, frozen: 10, states: states.collect() };
    let reply = Event::Reply { id: 1, result: Ok("the plan is in force".to_owned()) };
    update(&mut model, Message::Records(vec![sample::record(5, 2, changed), sample::record(5, 1, reply)]));
    let layers = model.layers().unwrap();
    assert_eq!((layers.staged().len(), layers.totals().trainable_tensors, layers.totals().staged), (0, 1, 0));
}

#[test]
fn a_refused_edit_stays_staged_and_the_refusal_is_said() {
    let mut model = hosting();
    keys(&mut model, "2 g j space a");
    let reply = Event::Reply { id: 1, result: Err("refused: nothing would learn".to_owned()) };
    update(&mut model, Message::Records(vec![sample::record(5, 1, reply)]));
    assert_eq!(model.layers().unwrap().staged(), ["train conv1"]);
    assert!(!model.layers().unwrap().applying());
    assert!(said(&model).contains("nothing would learn"));
}

#[test]
fn escape_forgets_staged_edits_and_u_brings_them_back() {
    let mut model = hosting();
    keys(&mut model, "2 g j space esc");
    assert_eq!(model.layers().unwrap().staged(), Vec::<String>::new());
    assert_eq!(model.screen, Screen::Model, "one escape, one thing closed");
    keys(&mut model, "u");
    assert_eq!(model.layers().unwrap().staged(), ["train conv1"]);
    keys(&mut model, "x");
    assert_eq!(model.layers().unwrap().staged(), Vec::<String>::new());
}

#[test]
fn a_run_that_is_over_cannot_be_edited() {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 40)))));
    keys(&mut model, "2");
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::TreeReady { run, tree: Ok(sample::tree()) });
    keys(&mut model, "j space");
    assert_eq!(model.layers().unwrap().staged(), Vec::<String>::new());
    assert!(said(&model).contains("not live"), "{}", said(&model));
}
