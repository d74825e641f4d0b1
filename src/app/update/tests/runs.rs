//! What is kept about runs, marks, lineage, and runs side by side.

use super::*;
use crate::app::message::{RecipeProblem, RunWeight};
use crate::core::run::compare::LineageDrift;
use crate::core::run::{RunEdit, TagEdit};

fn ids(model: &Model) -> Vec<String> {
    model.runs.as_ref().unwrap().iter().map(|r| r.id.to_string()).collect()
}

fn preview(model: &Model) -> Result<String, String> {
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { panic!("nothing is asked") };
    ask.preview.clone().map(|lines| lines.join("\n"))
}

#[test]
fn a_run_gets_another_name_and_a_wrong_one_is_refused_as_it_is_typed() {
    let mut model = model();
    let id = ids(&model)[0].clone();
    keys(&mut model, "R ctrl-u");
    assert!(preview(&model).unwrap_err().contains("is empty"));
    type_text(&mut model, "a@b");
    assert!(preview(&model).unwrap_err().contains("meaning of its own"));
    assert_eq!(keys(&mut model, "enter"), []);
    assert!(model.overlays.len() == 1 && model.toasts.is_empty(), "it stands below the field: {:?}", model.toasts);
    keys(&mut model, "ctrl-u");
    type_text(&mut model, "old");
    assert!(preview(&model).unwrap().contains("Another run has this name"));
    let edit = RunEdit::Rename("old".to_owned());
    assert_eq!(keys(&mut model, "enter"), [Effect::EditRuns { runs: vec![id], edit }]);
    let read = update(&mut model, Message::Edited(Ok("the run is called old now".to_owned())));
    assert_eq!(read, [Effect::ReadRuns]);
}

#[test]
fn tags_are_added_and_taken_off_on_all_marked_runs() {
    let mut model = model();
    let all = ids(&model);
    keys(&mut model, "space space t");
    // An empty list would take the tags of both away: a sign stands there to begin with.
    assert!(preview(&model).unwrap_err().contains("a tag is to follow the sign"));
    type_text(&mut model, "good -baseline");
    let wrong = preview(&model).unwrap_err();
    assert!(wrong.contains("no tag `baseline`") && wrong.starts_with("new"), "{wrong}");
    keys(&mut model, "ctrl-u");
    type_text(&mut model, "+good");
    assert!(preview(&model).unwrap().starts_with("new: good\nold: baseline, good"), "{:?}", preview(&model));
    let edit = RunEdit::Tags(TagEdit::Change { add: vec!["good".to_owned()], remove: Vec::new() });
    assert_eq!(keys(&mut model, "enter"), [Effect::EditRuns { runs: all[..2].to_vec(), edit }]);
    // Of one run the tags stand there to be changed.
    keys(&mut model, "esc g j t");
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { panic!() };
    assert_eq!(ask.input.text, "baseline");
}

#[test]
fn deleting_asks_says_how_much_and_spares_what_is_live() {
    let mut model = model();
    let all = ids(&model);
    let effects = keys(&mut model, "D");
    assert_eq!(effects, [Effect::WeighRuns(all[..1].to_vec())]);
    update(&mut model, Message::Weighed(vec![RunWeight { run: all[0].clone(), checkpoints: 2, bytes: 3_000_000 }]));
    let Some(Overlay::Confirm(ask)) = model.overlays.last() else { panic!() };
    assert!(ask.lines.iter().any(|l| l == "2 checkpoints, 3.00 MB"), "{:?}", ask.lines);
    assert_eq!(keys(&mut model, "n"), []);
    keys(&mut model, "space j space D");
    assert_eq!(keys(&mut model, "y"), [Effect::DeleteRuns(vec![all[0].clone(), all[2].clone()])]);
    let effects =
        update(&mut model, Message::Deleted { gone: vec![all[0].clone()], problems: vec!["busy".to_owned()] });
    assert_eq!((effects, model.marks.clone()), (vec![Effect::ReadRuns], vec![all[2].clone()]));
    assert_eq!(said(&model), "busy");

    let mut model = hosting();
    let mut runs = model.runs.clone().unwrap();
    runs[0].status = RunStatus::Paused;
    update(&mut model, Message::Runs(Ok(runs)));
    keys(&mut model, "1 g");
    assert_eq!(keys(&mut model, "D"), []);
    assert!(said(&model).contains("stop it before") && model.overlays.is_empty(), "{}", said(&model));
}

#[test]
fn a_deleted_run_leaves_the_screens() {
    let mut model = model();
    let opened = sample::opened(1, RunStatus::Stopped, 40);
    let id = opened.summary.id.to_string();
    model.opening = Some(id.clone());
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    assert!(model.shown().is_some());
    update(&mut model, Message::Deleted { gone: vec![id], problems: Vec::new() });
    assert!(model.shown().is_none() && model.views.is_empty());
}

#[test]
fn marked_runs_are_compared_in_the_order_of_their_marks() {
    let mut model = model();
    let all = ids(&model);
    assert_eq!(keys(&mut model, "c"), [Effect::Compare(all[..2].to_vec())], "the newest with the next one");
    assert_eq!(model.screen, Screen::Compare);
    keys(&mut model, "1 G space g space");
    let wanted = vec![all[2].clone(), all[0].clone()];
    assert_eq!(keys(&mut model, "c"), [Effect::Compare(wanted.clone())]);
    // What was asked for before comes too late.
    let comparison = sample::comparison(2);
    update(&mut model, Message::Compared { runs: all[..2].to_vec(), result: Ok(Box::new(comparison.clone())) });
    assert!(model.compare.comparison.is_none());
    update(&mut model, Message::Compared { runs: wanted, result: Ok(Box::new(comparison)) });
    assert_eq!(model.compare.metric, "val/loss");
    keys(&mut model, "]");
    assert_eq!(model.compare.metric, "val/top1");
    keys(&mut model, "[ [");
    assert_eq!(model.compare.metric, "lr");
    let few = model.compare.lines();
    keys(&mut model, "a");
    assert!(model.compare.lines() > few + 30);
    keys(&mut model, "G");
    assert_eq!(model.compare.scroll, model.compare.lines() - 1);
    keys(&mut model, "a");
    assert!(model.compare.scroll < few);
    keys(&mut model, "esc");
    assert_eq!((model.screen, model.marks.len()), (Screen::Runs, 2));
    keys(&mut model, "esc");
    assert!(model.marks.is_empty());
}

/// Found by use: where nothing can be watched, what is on view is read now and then, and the comparison of no run was a table.
#[test]
fn no_runs_are_no_comparison() {
    let mut model = model();
    keys(&mut model, "6");
    update(&mut model, Message::Compared { runs: Vec::new(), result: Ok(Box::default()) });
    assert!(model.compare.comparison.is_none());
    assert!(!model.enabled(Action::CompareAll) && !model.enabled(Action::NextMetric));
}

#[test]
fn drift_is_measured_when_it_is_asked_for() {
    let mut model = model();
    keys(&mut model, "c");
    let runs = model.compare.runs.clone();
    let mut comparison = sample::comparison(2);
    update(&mut model, Message::Compared { runs: runs.clone(), result: Ok(Box::new(comparison.clone())) });
    assert_eq!(keys(&mut model, "d d"), [Effect::MeasureDrift(runs.clone())], "once");
    let drift = LineageDrift {
        run: comparison.runs[1].id.to_string(),
        from: "x@1".to_owned(),
        to: "y@2".to_owned(),
        tensors: 3,
        bit_equal: 1,
        relative_l2: Some(0.5),
    };
    update(&mut model, Message::Drifted { runs: runs.clone(), drifts: vec![Ok(drift)] });
    assert!(model.compare.sections().iter().any(|s| s.title == "Drift since the fork"));
    assert!(model.compare.scroll > 10, "it is on view");
    comparison.runs[1].lineage.forked_from = None;
    update(&mut model, Message::Compared { runs, result: Ok(Box::new(comparison)) });
    assert_eq!(keys(&mut model, "d"), []);
    assert!(said(&model).contains("none of these runs is a fork"), "{}", said(&model));
}

#[test]
fn with_one_run_there_is_nothing_to_compare() {
    let mut model = model();
    let one = model.runs.clone().unwrap()[..1].to_vec();
    update(&mut model, Message::Runs(Ok(one)));
    assert_eq!(keys(&mut model, "c"), []);
    assert!(said(&model).contains("no second run"));
    assert_eq!(keys(&mut model, "6"), []);
}

#[test]
fn the_lineage_jumps_to_a_run_even_where_the_filter_hides_it() {
    let mut model = model();
    let mut runs = model.runs.clone().unwrap();
    runs[0].lineage.forked_from = Some(format!("{}@40", runs[1].id));
    update(&mut model, Message::Runs(Ok(runs)));
    keys(&mut model, "/");
    type_text(&mut model, "name:new");
    keys(&mut model, "enter L k");
    let Some(Overlay::Lineage { kin, cursor }) = model.overlays.last() else { panic!() };
    assert_eq!((kin.len(), *cursor), (2, 0));
    keys(&mut model, "enter");
    assert_eq!(model.selected_run().unwrap().name, "old");
    assert!(model.run_list.filter.is_empty() && said(&model).contains("taken away"), "{}", said(&model));
}

#[test]
fn a_form_is_checked_while_one_types_and_written_when_it_is_good() {
    let mut model = model();
    keys(&mut model, "T");
    assert_eq!(model.place(), Place::Form);
    // Enter on a wrong form goes to what is wrong and says it.
    keys(&mut model, "ctrl-u tab tab enter");
    let Some(Overlay::Form(form)) = model.overlays.last() else { panic!() };
    assert_eq!(form.cursor, 0);
    assert!(form.first_problem().unwrap().1.contains("a file is to be named"));
    type_text(&mut model, "mine.toml");
    keys(&mut model, "up backtab");
    type_text(&mut model, "x");
    let Some(Overlay::Form(form)) = model.overlays.last() else { panic!() };
    assert!(!form.is_good() && form.first_problem().is_some(), "a batch of 32x");
    keys(&mut model, "backspace right left");
    let effects = keys(&mut model, "enter");
    let [Effect::WriteRecipe(job)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((job.path.to_str(), job.force), (Some("mine.toml"), false));
    let written = |result| Message::RecipeWritten { asked: "mine.toml".into(), result };
    update(&mut model, written(Err(RecipeProblem::Exists(job.clone()))));
    assert_eq!(keys(&mut model, "n enter").len(), 1, "it asks again");
    update(&mut model, written(Err(RecipeProblem::Exists(job.clone()))));
    let effects = keys(&mut model, "y");
    assert!(matches!(effects.as_slice(), [Effect::WriteRecipe(job)] if job.force), "{effects:?}");
    let effects = update(&mut model, written(Ok("mine.toml".into())));
    assert_eq!(effects, [Effect::OpenDraft("mine.toml".into())]);
    assert!(model.overlays.is_empty() && model.screen == Screen::Model);
}

#[test]
fn choices_are_not_typed_and_the_form_is_left_with_esc() {
    let mut model = model();
    keys(&mut model, "T down down down down down q right");
    let Some(Overlay::Form(form)) = model.overlays.last() else { panic!() };
    assert_eq!(form.fields[form.cursor].input.text, "image-folder");
    keys(&mut model, "esc");
    assert!(model.overlays.is_empty());
}

#[test]
fn marks_of_runs_that_are_gone_are_gone() {
    let mut model = model();
    keys(&mut model, "space space");
    let one = model.runs.clone().unwrap()[1..].to_vec();
    update(&mut model, Message::Runs(Ok(one)));
    assert_eq!(model.marks.len(), 1);
}

#[test]
fn lines_that_were_read_again_change_and_the_others_stay() {
    let mut model = model();
    keys(&mut model, "j");
    let mut newer = model.runs.as_ref().unwrap()[1].clone();
    newer.step += 7;
    let steps = |model: &Model| model.runs.as_ref().unwrap().iter().map(|r| r.step).collect::<Vec<_>>();
    let before = steps(&model);
    update(&mut model, Message::Summaries(vec![newer]));
    assert_eq!(steps(&model), [before[0], before[1] + 7, before[2]]);
    assert_eq!(model.selected_run().unwrap().name, "old");
}

#[test]
fn the_run_list_is_filtered_as_one_types_and_keeps_its_cursor() {
    let mut model = model();
    let shown = |model: &Model| -> Vec<String> {
        let runs = model.runs.as_ref().unwrap();
        model.run_list.shown().iter().map(|i| runs[*i].name.clone()).collect()
    };
    keys(&mut model, "j /");
    type_text(&mut model, "status:finished");
    assert_eq!(shown(&model), ["old"]);
    assert_eq!(model.selected_run().unwrap().name, "old");
    keys(&mut model, "enter");
    assert!(model.overlays.is_empty() && shown(&model) == ["old"]);
    // Esc brings back what stood before, what is wrong is said and refused.
    keys(&mut model, "/");
    type_text(&mut model, " nothing:here");
    keys(&mut model, "enter");
    assert!(preview(&model).unwrap_err().contains("unknown field `nothing`"));
    keys(&mut model, "ctrl-u");
    assert_eq!(shown(&model).len(), 3);
    keys(&mut model, "esc");
    assert_eq!(shown(&model), ["old"]);
    keys(&mut model, "/ ctrl-u enter o");
    assert_eq!(shown(&model), ["broken", "new", "old"], "by name");
    keys(&mut model, "O");
    assert_eq!(shown(&model), ["old", "new", "broken"]);
    assert_eq!(model.selected_run().unwrap().name, "old");
}

#[test]
fn a_filter_over_recipes_reads_them_once() {
    let mut model = model();
    keys(&mut model, "/");
    type_text(&mut model, "cfg.model.arch");
    let effects = update(&mut model, Message::Key(Key::char('=')));
    assert_eq!(effects, [], "nothing to compare with yet");
    let effects = update(&mut model, Message::Key(Key::char('m')));
    let Some(Effect::ReadRunRecipes(ids)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((ids.len(), model.run_list.shown().len()), (3, 0));
    let mut recipe = Recipe::default();
    recipe.model.arch = "m".to_owned();
    assert_eq!(update(&mut model, Message::RunRecipes(vec![(ids[1].clone(), recipe)])), []);
    assert_eq!(model.run_list.shown().len(), 1);
    assert_eq!(keys(&mut model, "p"), [], "they are not read again");
}
