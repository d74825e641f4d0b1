//! Forms: an export, a fork, a recipe; and answers that come after the user went on.

use super::checkpoints::{history, list, type_in};
use super::*;
use crate::app::effect::ExportJob;
use crate::app::form::{Form, Tensor};
use crate::app::message::{ExportProblem, RecipeProblem};
use crate::core::tensor::DType;
use crate::core::weights::{ExportFormat, Selection};

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
    keys(&mut model, "x tab y");
    type_in(&mut model, "z");
    assert_eq!(form(&model).export_job(), Some(job(false)), "it stands as it was sent");
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job(false))))));
    keys(&mut model, "n");
    assert_eq!(form(&model).file(), "out q.pth", "the form is there again, for another name");
    keys(&mut model, "enter");
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job(false))))));
    assert_eq!(keys(&mut model, "y"), [Effect::Export(job(true))]);
    update(&mut model, Message::Exporting(Exporting::Reading { done: 0, total: 0 }));
    assert_eq!(model.overlays, [], "it is under way");
    update(&mut model, Message::Exporting(Exporting::Writing { done: 30, total: 120 }));
    assert_eq!(model.busy.exporting, Some(Exporting::Writing { done: 30, total: 120 }));
    update(&mut model, Message::Exported(Ok("wrote it".to_owned())));
    assert_eq!((model.busy.is_idle(), said(&model)), (true, "wrote it"));
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

/// A history whose newest checkpoint's export was sent, and the job.
fn sent() -> (Model, String, ExportJob) {
    let (mut model, run) = history(3);
    keys(&mut model, "x");
    let tensor = Tensor { name: "w".to_owned(), elements: 1, dtype: DType::Float32 };
    let name = "step-00000120".to_owned();
    update(&mut model, Message::Tensors { run: run.clone(), name, result: Ok(vec![tensor]) });
    let Some(Effect::Export(job)) = keys(&mut model, "enter").pop() else { panic!() };
    (model, run, job)
}

#[test]
fn a_late_answer_opens_no_question_over_what_the_user_has_opened_meanwhile() {
    let (mut model, _, job) = sent();
    // Another form.
    keys(&mut model, "esc j x");
    type_in(&mut model, "other");
    let before = model.overlays.clone();
    let exists = || Message::Exported(Err(ExportProblem::Exists(Box::new(job.clone()))));
    let mut other = model.clone();
    update(&mut other, exists());
    assert_eq!(other.overlays, before);
    assert!(said(&other).contains("exists already; nothing was exported"), "{}", said(&other));
    // Nor is that form taken away, or hidden by a long error.
    let mut other = model.clone();
    update(&mut other, Message::Exporting(Exporting::Reading { done: 0, total: 0 }));
    update(&mut other, Message::Exported(Ok("wrote it".to_owned())));
    assert_eq!(other.overlays, before);
    update(&mut model, Message::Exported(Err(ExportProblem::Failed("one\ntwo".to_owned()))));
    assert_eq!((model.overlays, model.toasts.back().unwrap().text.as_str()), (before, "The export failed: one; two"));
    // Nothing at all on top: a question would take a key that is meant for the screen.
    let (mut model, _, job) = sent();
    keys(&mut model, "esc");
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job)))));
    assert_eq!(model.overlays, []);
    // Something over the form: the form takes keys again when it comes to light.
    let (mut model, _, job) = sent();
    model.overlays.push(Overlay::Messages { scroll: 0 });
    update(&mut model, Message::Exported(Err(ExportProblem::Exists(Box::new(job)))));
    keys(&mut model, "esc x");
    assert!(form(&model).file().ends_with("safetensorsx"), "{}", form(&model).file());
}

#[test]
fn a_recipe_that_is_written_late_leaves_the_user_where_they_are() {
    let mut model = model();
    let Some(Effect::WriteRecipe(job)) = keys(&mut model, "T enter").pop() else { panic!() };
    let asked = job.path.clone();
    let exists = Message::RecipeWritten { asked: asked.clone(), result: Err(RecipeProblem::Exists(job)) };
    // A form of another recipe.
    keys(&mut model, "esc T ctrl-u a . t o m l");
    let before = model.overlays.clone();
    update(&mut model, exists);
    assert_eq!(model.overlays, before);
    assert!(said(&model).contains("no recipe was written"), "{}", said(&model));
    keys(&mut model, "enter");
    let written = Message::RecipeWritten { asked, result: Ok("/work/new.toml".into()) };
    assert_eq!(update(&mut model, written), [], "it is not opened over what is typed");
    assert_eq!((model.overlays.len(), model.screen), (1, Screen::Runs));
}

#[test]
fn a_late_recipe_of_a_fork_fills_its_own_form_once() {
    let (mut model, run) = history(3);
    let base = |name: &str| {
        let result = Ok(Box::new(sample::recipe(&[])));
        Message::ForkBase { run: run.clone(), name: name.to_owned(), result }
    };
    keys(&mut model, "f esc f");
    update(&mut model, base("step-00000120"));
    keys(&mut model, "tab ctrl-u");
    update(&mut model, base("step-00000120"));
    assert_eq!(form(&model).fields[1].input.text, "", "what was erased stays so");
    keys(&mut model, "esc j f");
    let before = model.overlays.clone();
    update(&mut model, base("step-00000120"));
    assert_eq!(model.overlays, before);
}

#[test]
fn a_fork_that_starts_takes_its_own_form_away_and_no_other() {
    let (mut model, run) = history(3);
    let base = |model: &mut Model, name: &str| {
        let result = Ok(Box::new(sample::recipe(&[])));
        update(model, Message::ForkBase { run: run.clone(), name: name.to_owned(), result });
    };
    keys(&mut model, "f");
    base(&mut model, "step-00000120");
    assert_eq!(keys(&mut model, "enter").len(), 1);
    keys(&mut model, "esc j f");
    base(&mut model, "step-00000080");
    assert_eq!(keys(&mut model, "enter"), [], "a run is being started already");
    let before = model.overlays.clone();
    let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    assert_eq!(model.overlays, before);
    keys(&mut model, "- b");
    assert!(form(&model).fields[0].input.text.ends_with("-b"), "and it takes keys");
}

#[test]
fn the_layers_of_a_checkpoint_come_into_view_only_where_they_are_waited_for() {
    let (mut model, run) = history(3);
    let layers = || Message::CheckpointTree {
        run: run.clone(),
        name: "step-00000120".to_owned(),
        result: Ok((sample::tree(), Vec::new())),
    };
    keys(&mut model, "t 1");
    update(&mut model, layers());
    assert_eq!(model.screen, Screen::Runs);
    keys(&mut model, "5 t x");
    update(&mut model, layers());
    assert_eq!((model.screen, model.overlays.len()), (Screen::Checkpoints, 1));
    keys(&mut model, "esc t");
    update(&mut model, layers());
    assert_eq!(model.screen, Screen::Model);
}
