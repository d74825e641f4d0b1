//! The history of a run: what is listed, kept, deleted and compared.

use super::*;
use crate::app::message::CheckpointRow;
use crate::app::run_view::Health;
use crate::core::checkpoint::policy::Guard;

/// A stopped run on view, with its checkpoints listed.
pub(super) fn history(n: u64) -> (Model, String) {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 120)))));
    let run = model.shown.clone().unwrap();
    keys(&mut model, "5");
    list(&mut model, sample::checkpoints(n));
    (model, run)
}

pub(super) fn list(model: &mut Model, rows: Vec<CheckpointRow>) -> Vec<Effect> {
    let run = model.shown.clone().unwrap();
    update(model, Message::Checkpoints { run, rows })
}

fn steps(model: &Model) -> Vec<u64> {
    let rows = model.shown().unwrap().checkpoints.as_ref().unwrap();
    model.checkpoint_list.shown().iter().map(|i| rows[*i].step).collect()
}

pub(super) fn type_in(model: &mut Model, text: &str) {
    update(model, Message::Paste(text.to_owned()));
}

#[test]
fn the_list_is_filtered_while_one_types_and_esc_brings_all_back() {
    let (mut model, _) = history(6);
    assert_eq!(steps(&model), [240, 200, 160, 120, 80, 40]);
    keys(&mut model, "j j /");
    type_in(&mut model, "step>=120 val/loss<0.45");
    assert_eq!((steps(&model), model.selected_checkpoint().unwrap().step), (vec![240, 200], 200));
    keys(&mut model, "enter");
    type_in(&mut model, "x");
    assert!(model.toasts.standing().next().is_some());
    keys(&mut model, "esc");
    assert_eq!((steps(&model).len(), model.toasts.standing().count()), (6, 0), "the filter, and toasts with it");
    for (filter, left) in [
        ("kept:best", vec![240]),
        ("pinned", vec![40]),
        ("why:stop", vec![240]),
        ("epoch=2 | epoch=3", vec![120, 80]),
        ("-step>40", vec![40]),
        ("damaged", vec![]),
        ("val/no<1", vec![]),
    ] {
        keys(&mut model, "/ ctrl-u");
        type_in(&mut model, filter);
        assert_eq!(steps(&model), left, "{filter}");
        keys(&mut model, "enter");
    }
    keys(&mut model, "/ ctrl-u");
    type_in(&mut model, "stpe>1");
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { panic!() };
    assert!(ask.preview.as_ref().unwrap_err().contains("did you mean `step`?"), "{ask:?}");
    keys(&mut model, "esc");
    assert!(steps(&model).is_empty(), "what was in force before is again");
    assert_eq!(keys(&mut model, "r"), []);
    assert!(said(&model).contains("no checkpoint passes the filter"), "{}", said(&model));
}

#[test]
fn the_order_goes_round_and_the_cursor_stays_on_its_checkpoint() {
    let (mut model, run) = history(4);
    let view = model.shown_mut().unwrap();
    view.health.insert("step-00000080".to_owned(), Health::Damaged(vec!["x".to_owned()]));
    keys(&mut model, "j");
    for (order, first) in [("best", 160), ("-size", 160), ("kept", 80), ("state", 80), ("-step", 160)] {
        keys(&mut model, "o");
        assert_eq!(model.checkpoint_list.order().as_str(), order);
        if order != "kept" {
            assert_eq!(steps(&model)[0], first, "{order}");
        }
        assert_eq!(model.selected_checkpoint().unwrap().step, 120);
    }
    keys(&mut model, "O");
    assert_eq!(steps(&model), [40, 80, 120, 160]);
    // A larger value is better: the best is first all the same.
    let mut opened = sample::opened(1, RunStatus::Stopped, 120);
    (opened.monitor, opened.mode) = ("val/loss".to_owned(), crate::core::recipe::Mode::Max);
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(4) });
    keys(&mut model, "o");
    assert_eq!((model.checkpoint_list.order().as_str(), steps(&model)[0]), ("best", 40));
}

#[test]
fn another_run_is_listed_whole_and_from_its_newest() {
    let (mut model, _) = history(4);
    keys(&mut model, "j j /");
    type_in(&mut model, "step<100");
    keys(&mut model, "enter");
    model.opening = Some(sample::run(2, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(2, RunStatus::Stopped, 120)))));
    keys(&mut model, "5");
    assert_eq!(model.selected_checkpoint(), None, "nothing of the run before");
    list(&mut model, sample::checkpoints(3));
    assert_eq!((steps(&model), model.checkpoint_list.cursor), (vec![120, 80, 40], 0));
}

#[test]
fn one_that_took_anothers_place_is_unchecked_again() {
    let (mut model, run) = history(3);
    keys(&mut model, "V");
    for row in sample::checkpoints(3) {
        update(&mut model, Message::Verified { run: run.clone(), name: row.name, damage: Vec::new() });
    }
    let mut rows = sample::checkpoints(3);
    rows[1].time_ms += 1;
    list(&mut model, rows);
    let health = &model.shown().unwrap().health;
    assert_eq!(health.len(), 2);
    assert!(!health.contains_key("step-00000080"));
    // What waits already is not asked for twice.
    assert_eq!(keys(&mut model, "j v").len(), 1);
    assert_eq!(keys(&mut model, "v"), []);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_listed_as_damaged() {
    let (mut model, run) = history(3);
    let mut rows = sample::checkpoints(3);
    (rows[2].problem, rows[2].guard) = (Some("state.json: its checksum does not match".to_owned()), None);
    list(&mut model, rows);
    keys(&mut model, "/");
    type_in(&mut model, "state:damaged");
    keys(&mut model, "enter");
    assert_eq!(steps(&model), [120]);
    keys(&mut model, "D y");
    let Some(effect) = keys(&mut model, "D y").pop() else { panic!() };
    assert_eq!(effect, Effect::DeleteCheckpoint { run, name: "step-00000120".to_owned() });
}

#[test]
fn details_are_read_when_they_are_shown_and_again_for_another_one() {
    let (mut model, run) = history(3);
    let time_of = |name: &str| sample::checkpoints(3).iter().find(|row| row.name == name).unwrap().time_ms;
    let read = |name: &str| Effect::ReadFacts { run: run.clone(), name: name.to_owned(), time_ms: time_of(name) };
    assert_eq!(keys(&mut model, "i"), [read("step-00000120")], "in front where there is no room beside");
    keys(&mut model, "esc");
    assert_eq!(keys(&mut model, "j"), []);
    assert_eq!(update(&mut model, Message::Resize { width: 150, height: 40 }), [read("step-00000080")]);
    let name = "step-00000080".to_owned();
    let facts = |time_ms| {
        let result = Ok(Box::new(sample::facts(80)));
        Message::Facts { run: run.clone(), name: name.clone(), time_ms, result }
    };
    update(&mut model, facts(time_of(&name) - 1));
    assert!(model.facts.as_ref().unwrap().read.is_none(), "of one that was deleted and had the same name");
    update(&mut model, facts(time_of(&name)));
    assert!(model.facts.as_ref().unwrap().read.is_some());
    assert_eq!(keys(&mut model, "j k"), [read("step-00000040"), read("step-00000080")]);
    assert_eq!(keys(&mut model, "i j"), [], "nothing is read for a pane that is hidden");
}

#[test]
fn pins_are_turned_and_the_history_is_read_again() {
    let (mut model, run) = history(6);
    let pin = |step: u64, pinned| Effect::PinCheckpoint { run: run.clone(), name: format!("step-{step:08}"), pinned };
    assert_eq!(keys(&mut model, "p"), [pin(240, true)]);
    assert_eq!(keys(&mut model, "G p"), [pin(40, false)]);
    let result = Ok("step 40 is no longer pinned".to_owned());
    let effects = update(&mut model, Message::Pinned { run: run.clone(), result });
    assert_eq!((effects, said(&model)), (vec![Effect::ReadCheckpoints(run)], "step 40 is no longer pinned"));
}

#[test]
fn only_what_the_run_can_do_without_is_deleted_and_it_asks_first() {
    let (mut model, run) = history(6);
    assert_eq!(keys(&mut model, "D"), []);
    assert!(said(&model).contains("step 240 is not deleted: it is the newest good one"), "{}", said(&model));
    keys(&mut model, "G D");
    assert!(said(&model).contains("it is pinned; unpin it first (`p`)"), "{}", said(&model));
    let mut rows = sample::checkpoints(6);
    rows[1].guard = Some(Guard::Best("val/top1".to_owned()));
    list(&mut model, rows);
    keys(&mut model, "k D");
    assert!(said(&model).contains("it is the best by val/top1"), "{}", said(&model));
    keys(&mut model, "k D");
    let Some(Overlay::Confirm(ask)) = model.overlays.last() else { panic!() };
    assert!(ask.title.contains("step 120") && ask.lines[0].contains("Epoch 3, val/loss 0.6667"), "{ask:?}");
    assert_eq!(keys(&mut model, "n"), []);
    let delete = Effect::DeleteCheckpoint { run: run.clone(), name: "step-00000120".to_owned() };
    assert_eq!(keys(&mut model, "D y"), [delete]);
    let refused = Err("checkpoint step-00000120 is not deleted: it is pinned; unpin it first".to_owned());
    update(&mut model, Message::CheckpointDeleted { run: run.clone(), result: refused });
    assert!(said(&model).contains("not deleted"), "the files have the last word");
    // A damaged one is nothing that the run could go on from.
    let damage = vec!["weights.safetensors: its checksum does not match".to_owned()];
    update(&mut model, Message::Verified { run, name: "step-00000240".to_owned(), damage });
    keys(&mut model, "g D");
    let Some(Overlay::Confirm(ask)) = model.overlays.last() else { panic!() };
    assert!(ask.lines.iter().any(|l| l.contains("damaged")), "{ask:?}");
}

#[test]
fn the_marked_one_is_compared_or_the_one_before() {
    let (mut model, _) = history(4);
    let pair = |effects: &[Effect]| match effects {
        [Effect::Diff { before, after }] => (before.step, after.step),
        other => panic!("{other:?}"),
    };
    assert_eq!(pair(&keys(&mut model, "d")), (120, 160));
    assert_eq!(model.place(), Place::Diff);
    let Some(Effect::Diff { before, after }) = keys(&mut model, "s").pop() else { panic!() };
    assert_eq!((before.step, after.step), (160, 120), "swapped");
    update(
        &mut model,
        Message::Diffed { before: after.clone(), after: before.clone(), result: Err("late".to_owned()) },
    );
    let shown = |model: &Model| match model.overlays.last() {
        Some(Overlay::Diff(view)) => (**view).clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(&model).drift, None, "an answer to what is not asked any more");
    update(&mut model, Message::Diffed { before, after, result: Ok(Box::new(sample::drift())) });
    assert_eq!(shown(&model).rows().len(), 6);
    keys(&mut model, "G k");
    assert_eq!(shown(&model).cursor, 4);
    keys(&mut model, "t");
    assert_eq!((shown(&model).rows().len(), shown(&model).cursor), (5, 0), "by tensor");
    keys(&mut model, "a o");
    assert_eq!(shown(&model).rows()[0].path, "fc.new");
    keys(&mut model, "enter esc");
    assert_eq!(model.overlays, []);

    assert_eq!(pair(&keys(&mut model, "space j j d")), (80, 160), "of one run, the older one comes first");
    keys(&mut model, "esc esc G d");
    assert_eq!(model.overlays, []);
    assert!(said(&model).contains("mark another with `space`"), "{}", said(&model));
    // A mark goes along to another run.
    keys(&mut model, "space");
    model.opening = Some(sample::run(2, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(2, RunStatus::Stopped, 120)))));
    list(&mut model, sample::checkpoints(2));
    keys(&mut model, "5");
    let Some(Effect::Diff { before, after }) = keys(&mut model, "d").pop() else { panic!() };
    assert!(before.run != after.run && (before.step, after.step) == (40, 80));
}

#[test]
fn the_mouse_chooses_a_checkpoint_and_opens_its_details() {
    let (mut model, _) = history(4);
    let click =
        |model: &mut Model, target| update(model, Message::Pointer { what: Pointer::Click, target: Some(target) });
    click(&mut model, Target::Row(2));
    assert_eq!(model.selected_checkpoint().unwrap().step, 80);
    click(&mut model, Target::Row(2));
    assert!(matches!(model.overlays.last(), Some(Overlay::Explain { .. })));
    update(&mut model, Message::Pointer { what: Pointer::Click, target: None });
    update(&mut model, Message::Pointer { what: Pointer::Wheel(-1), target: None });
    assert_eq!(model.selected_checkpoint().unwrap().step, 160);
    keys(&mut model, "d");
    let Some(Overlay::Diff(view)) = model.overlays.last_mut() else { panic!() };
    view.take(Ok(Box::new(sample::drift())));
    click(&mut model, Target::TopRow(3));
    update(&mut model, Message::Pointer { what: Pointer::Wheel(-1), target: Some(Target::Top) });
    let Some(Overlay::Diff(view)) = model.overlays.last() else { panic!() };
    assert_eq!(view.cursor, 0);
}

#[test]
fn the_cursor_stays_on_its_checkpoint_when_newer_ones_come() {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 120)))));
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(3) });
    keys(&mut model, "5 j");
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(5) });
    assert_eq!(model.selected_checkpoint().unwrap().step, 80);
    keys(&mut model, "g");
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(6) });
    assert_eq!(model.selected_checkpoint().unwrap().step, 240, "on the newest it follows the newest");
}

#[test]
fn damage_is_said_and_stays_on_its_line() {
    let mut model = model();
    model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 80)))));
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(2) });
    let effects = keys(&mut model, "5 V");
    let names = vec!["step-00000080".to_owned(), "step-00000040".to_owned()];
    assert_eq!(effects[1..], [Effect::Verify { run: run.clone(), names: names.clone() }]);
    let damage = vec!["weights.safetensors: checksum differs".to_owned()];
    update(&mut model, Message::Verified { run: run.clone(), name: names[0].clone(), damage });
    assert!(said(&model).contains("step-00000080: weights.safetensors"));
    update(&mut model, Message::Verified { run, name: names[1].clone(), damage: Vec::new() });
    assert!(said(&model).contains("1 checkpoint verified"), "{}", said(&model));
}
