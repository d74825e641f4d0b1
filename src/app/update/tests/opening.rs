//! What becomes of a run that is opened.

use super::*;

#[test]
fn enter_opens_the_run_under_the_cursor_and_shows_its_charts() {
    let mut model = model();
    keys(&mut model, "j");
    let id = model.selected_run().unwrap().id.to_string();
    assert_eq!(keys(&mut model, "enter"), [Effect::OpenRun(id.clone())]);
    let opened =
        OpenedRun { summary: model.selected_run().unwrap().clone(), ..sample::opened(2, RunStatus::Finished, 80) };
    let effects = update(&mut model, Message::Opened(Ok(Box::new(opened))));
    assert_eq!(effects, [Effect::ReadCheckpoints(id.clone())]);
    assert_eq!((model.screen, model.shown.as_deref()), (Screen::Train, Some(id.as_str())));
    assert_eq!(keys(&mut model, "2"), [Effect::ReadTree(id)]);
}

#[test]
fn a_run_that_is_opened_leaves_the_user_where_they_have_gone_meanwhile() {
    let mut model = model();
    keys(&mut model, "enter 5");
    let id = model.selected_run().unwrap().clone();
    let opened = OpenedRun { summary: id, ..sample::opened(1, RunStatus::Finished, 80) };
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    assert_eq!((model.screen, model.shown.is_some()), (Screen::Checkpoints, true));
}

#[test]
fn a_run_can_be_opened_by_its_id_before_the_list_is_there() {
    let (mut model, _) = Model::new(Keymap::default(), String::new(), false);
    let opened = sample::opened(2, RunStatus::Finished, 80);
    let id = opened.summary.id.to_string();
    assert_eq!(open_by_id(&mut model, id.clone()), [Effect::OpenRun(id.clone())]);
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    assert_eq!((model.screen, model.shown), (Screen::Train, Some(id)));
}

#[test]
fn an_answer_that_comes_after_the_user_went_elsewhere_changes_nothing() {
    let mut model = model();
    keys(&mut model, "enter j enter");
    let late = sample::opened(1, RunStatus::Stopped, 40);
    assert_eq!(update(&mut model, Message::Opened(Ok(Box::new(late)))), []);
    assert_eq!((model.screen, model.shown.as_deref()), (Screen::Runs, None));
}
