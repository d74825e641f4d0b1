//! The history of a run: what is listed, kept, deleted and compared.

use super::*;
use crate::app::effect::ExportJob;
use crate::app::form::{Form, Tensor};
use crate::app::message::{CheckpointRow, ExportProblem};
use crate::app::run_view::Health;
use crate::core::checkpoint::policy::Guard;
use crate::core::tensor::DType;
use crate::core::weights::{ExportFormat, Selection};

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

fn list(model: &mut Model, rows: Vec<CheckpointRow>) -> Vec<Effect> {
    let run = model.shown.clone().unwrap();
    update(model, Message::Checkpoints { run, rows })
}

fn steps(model: &Model) -> Vec<u64> {
    let rows = model.shown().unwrap().checkpoints.as_ref().unwrap();
    model.checkpoint_list.shown().iter().map(|i| rows[*i].step).collect()
}

fn type_in(model: &mut Model, text: &str) {
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
    keys(&mut model, "esc esc");
    assert_eq!(steps(&model).len(), 6, "toasts go first, then the filter");
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
    let read = |name: &str| Effect::ReadFacts { run: run.clone(), name: name.to_owned() };
    assert_eq!(keys(&mut model, "i"), [read("step-00000120")], "in front where there is no room beside");
    keys(&mut model, "esc");
    assert_eq!(keys(&mut model, "j"), []);
    assert_eq!(update(&mut model, Message::Resize { width: 150, height: 40 }), [read("step-00000080")]);
    let facts = Box::new(sample::facts(80));
    update(&mut model, Message::Facts { run: run.clone(), name: "step-00000080".to_owned(), result: Ok(facts) });
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

/// The uppermost form.
fn form(model: &Model) -> &Form {
    match model.overlays.last() {
        Some(Overlay::Form(form)) => form,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_export_is_filled_in_and_asks_before_it_overwrites_a_file() {
    let (mut model, run) = history(3);
    let name = "step-00000120".to_owned();
    assert_eq!(keys(&mut model, "x"), [Effect::ReadTensors { run: run.clone(), name: name.clone() }]);
    assert_eq!(form(&model).file(), "digits-head-step-120.safetensors");
    let tensor = |name: &str| Tensor { name: name.to_owned(), elements: 10, dtype: DType::Float32 };
    let result = Ok(vec![tensor("conv1.weight"), tensor("fc.weight"), tensor("fc.bias")]);
    update(&mut model, Message::Tensors { run: run.clone(), name: name.clone(), result });
    assert_eq!(form(&model).notes[0], "3 of 3 tensors, 120 B");
    keys(&mut model, "ctrl-u");
    type_in(&mut model, "out q.pth");
    keys(&mut model, "tab tab right right tab");
    type_in(&mut model, "layr");
    assert_eq!(keys(&mut model, "backtab enter"), [], "a form that is wrong is not sent");
    assert_eq!(form(&model).fields[form(&model).cursor].label, "only", "the cursor goes to what is wrong");
    keys(&mut model, "ctrl-u f c");
    let selection = Selection { only: vec!["fc".to_owned()], dtype: Some(DType::Float16), ..Selection::default() };
    let job = |force| ExportJob {
        run: run.clone(),
        checkpoint: name.clone(),
        path: "out q.pth".into(),
        format: ExportFormat::Pth,
        selection: selection.clone(),
        force,
    };
    assert_eq!(keys(&mut model, "enter"), [Effect::Export(job(false))]);
    assert_eq!(keys(&mut model, "enter"), [], "one at a time");
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job(false))))));
    keys(&mut model, "n");
    assert_eq!(form(&model).file(), "out q.pth", "the form is there again, for another name");
    keys(&mut model, "enter");
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job(false))))));
    assert_eq!(keys(&mut model, "y"), [Effect::Export(job(true))]);
    update(&mut model, Message::Exporting { done: 0, total: 0 });
    assert_eq!(model.overlays, [], "it is under way");
    update(&mut model, Message::Exporting { done: 30, total: 120 });
    assert_eq!(model.busy, Some(Busy::Exporting { done: 30, total: 120 }));
    update(&mut model, Message::Exported(Ok("wrote it".to_owned())));
    assert_eq!((model.busy.clone(), said(&model)), (None, "wrote it"));
}

#[test]
fn a_fork_is_filled_in_and_started_with_what_was_changed() {
    let (mut model, run) = history(3);
    assert_eq!(keys(&mut model, "j f"), [Effect::ReadForkBase { run: run.clone(), name: "step-00000080".to_owned() }]);
    assert_eq!(keys(&mut model, "enter"), [], "not before the recipe is read");
    let (name, result) = ("step-00000080".to_owned(), Ok(Box::new(sample::recipe(&[]))));
    update(&mut model, Message::ForkBase { run: run.clone(), name: name.clone(), result });
    keys(&mut model, "- b tab ctrl-u 1 e - 4 tab tab f r o o");
    assert_eq!(form(&model).first_problem().map(|(at, _)| at), Some(3));
    keys(&mut model, "ctrl-u tab right");
    let sets = vec!["name=\"digits-head-b\"".to_owned(), "optimizer.lr=1e-4".to_owned()];
    let job = StartJob::Fork { run, from: name, optimizer: true, sets };
    assert_eq!(keys(&mut model, "enter"), [Effect::Start(job)]);
    update(&mut model, Message::Started(Err("data.path: no such folder".to_owned())));
    assert_eq!(form(&model).fields[0].input.text, "digits-head-b", "what was typed is not lost");
    keys(&mut model, "enter");
    let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    assert_eq!((model.overlays.len(), model.screen), (0, Screen::Train), "the fork is shown");
    keys(&mut model, "5");
    list(&mut model, sample::checkpoints(1));
    assert_eq!(keys(&mut model, "f"), []);
    assert!(said(&model).contains("is live here"), "{}", said(&model));
}

#[test]
fn the_mouse_chooses_a_field_and_turns_its_choice() {
    let (mut model, _) = history(3);
    keys(&mut model, "x");
    let click = |model: &mut Model| {
        update(model, Message::Pointer { what: Pointer::Click, target: Some(Target::TopRow(1)) });
    };
    click(&mut model);
    assert_eq!((form(&model).cursor, form(&model).fields[1].input.text.as_str()), (1, "safetensors"));
    click(&mut model);
    assert_eq!(form(&model).file(), "digits-head-step-120.pth");
    update(&mut model, Message::Pointer { what: Pointer::Wheel(1), target: Some(Target::Top) });
    assert_eq!(form(&model).cursor, 2);
    update(&mut model, Message::Pointer { what: Pointer::Click, target: None });
    assert_eq!(model.overlays.len(), 1, "a click beside a form loses nothing");
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
