//! Transitions, by the keys a user types.

mod runs;

use super::*;
use crate::app::effect::StartJob;
use crate::app::keys::Keymap;
use crate::app::message::{DraftReady, OpenedRun, RecipeEntry, StartedRun};
use crate::app::model::Busy;
use crate::app::overlay::Confirm;
use crate::app::pointer::{Pointer, Target};
use crate::app::sample::{self, NOW};
use crate::core::command::Command;
use crate::core::event::Event;
use crate::core::freeze::ParamState;
use crate::core::recipe::Recipe;
use crate::core::run::RunStatus;

/// A screen with three runs.
fn model() -> Model {
    let (mut model, effects) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    assert_eq!(effects, [Effect::ReadRuns]);
    let runs = [("new", RunStatus::Stopped), ("old", RunStatus::Finished), ("broken", RunStatus::Crashed)];
    let runs = runs.iter().zip(1..).map(|((name, status), n)| sample::run(n, name, *status)).collect();
    update(&mut model, Message::Now(NOW));
    update(&mut model, Message::Runs(Ok(runs)));
    model
}

/// Types keys, written as in the keys file with spaces between; the effects of all of them.
fn keys(model: &mut Model, text: &str) -> Vec<Effect> {
    let keys = text.split_whitespace().map(|k| k.parse().unwrap());
    keys.flat_map(|key| update(model, Message::Key(key))).collect()
}

fn type_text(model: &mut Model, text: &str) {
    text.chars().for_each(|c| assert_eq!(update(model, Message::Key(Key::char(c))), []));
}

fn said(model: &Model) -> &str {
    model.toasts.back().map_or("", |t| &t.text)
}

/// A screen that hosts a live run.
fn hosting() -> Model {
    let mut model = model();
    let opened = sample::opened(7, RunStatus::Running, 0);
    let started = StartedRun { opened, tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    let rules = vec!["freeze **".to_owned(), "train fc".to_owned()];
    let states = model.layers().unwrap().tree().parameters.iter();
    let states = states.map(|p| if p.name.starts_with("fc") { ParamState::Trainable } else { ParamState::Frozen });
    let changed = Event::FreezeChanged { rules, trainable: 2, frozen: 9, states: states.collect() };
    let start = Event::Started { steps: 100, steps_per_epoch: 10, devices: vec!["cpu".to_owned()], resumed_from: None };
    update(&mut model, Message::Records(vec![sample::record(0, 10, start), sample::record(0, 9, changed)]));
    model
}

fn step(model: &mut Model, step: u64, loss: f64) {
    let event = Event::Step { epoch: 0, metrics: [("train/loss".to_owned(), loss)].into() };
    update(model, Message::Records(vec![sample::record(step, 1000 - step, event)]));
}

mod charts;
mod checkpoints;
mod everywhere;

#[test]
fn number_keys_and_tab_go_to_the_screens() {
    let mut model = model();
    for (key, screen) in [
        ("2", Screen::Model),
        ("3", Screen::Devices),
        ("4", Screen::Train),
        ("5", Screen::Checkpoints),
        ("6", Screen::Compare),
        ("1", Screen::Runs),
    ] {
        keys(&mut model, key);
        assert_eq!(model.screen, screen);
    }
    keys(&mut model, "tab tab tab");
    assert_eq!(model.screen, Screen::Train);
    keys(&mut model, "backtab backtab backtab backtab");
    assert_eq!(model.screen, Screen::Compare);
    keys(&mut model, "esc");
    assert_eq!(model.screen, Screen::Runs);
}

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

#[test]
fn a_recipe_becomes_a_draft_whose_edits_are_its_rules_at_the_start() {
    let mut model = model();
    assert_eq!(keys(&mut model, "n"), [Effect::ListRecipes]);
    let entry = |name: &str, summary: Result<&str, &str>| RecipeEntry {
        path: name.into(),
        summary: summary.map(str::to_owned).map_err(str::to_owned),
    };
    update(&mut model, Message::Recipes(vec![entry("a.toml", Err("a.toml:3: bad")), entry("b.toml", Ok("mlp"))]));
    assert_eq!(keys(&mut model, "enter"), [], "a broken recipe shows what is wrong");
    assert!(matches!(model.overlays.last(), Some(Overlay::Text { lines, .. }) if lines[0].contains("a.toml:3")));
    assert_eq!(keys(&mut model, "esc j enter"), [Effect::OpenDraft("b.toml".into())]);
    assert_eq!(model.busy, Some(Busy::Draft("b.toml".into())));

    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze conv1".to_owned()];
    let ready = DraftReady { path: "b.toml".into(), recipe, tree: sample::tree(), checksum: String::new(), kept: None };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    assert_eq!((model.screen, model.busy.clone()), (Screen::Model, None));
    // The module under the cursor is the root, which is mixed: it is trained whole, then frozen whole.
    keys(&mut model, "space space");
    assert_eq!(keys(&mut model, "t"), [], "nothing would learn");
    assert!(said(&model).contains("nothing would learn"));
    keys(&mut model, "G k k space");
    let effects = keys(&mut model, "t");
    let [Effect::Start(StartJob::Fresh(recipe))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(recipe.freeze.rules, ["freeze conv1", "freeze **", "train fc"]);
    assert_eq!(keys(&mut model, "t"), [], "it is being started already");
}

#[test]
fn a_started_run_is_hosted_and_on_view() {
    let model = hosting();
    assert_eq!((model.screen, model.hosted.is_some(), model.draft.is_none()), (Screen::Train, true, true));
    assert_eq!(model.shown().unwrap().status, RunStatus::Running);
}

#[test]
fn a_start_that_fails_leaves_the_draft_and_says_why() {
    let mut model = model();
    let ready = DraftReady {
        path: "b.toml".into(),
        recipe: Recipe::default(),
        tree: sample::tree(),
        checksum: String::new(),
        kept: None,
    };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    model.screen = Screen::Model;
    keys(&mut model, "t");
    update(&mut model, Message::Started(Err("b.toml: data.path: no such folder".to_owned())));
    assert!(model.draft.is_some() && model.busy.is_none());
    assert!(said(&model).contains("no such folder"));
}

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
    let attached = crate::app::message::AttachedRun { opened, tree: sample::tree(), pid: 7 };
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
}

#[test]
fn a_run_of_another_process_is_commanded_through_the_connection() {
    let mut model = attached();
    update(&mut model, Message::Heard(vec![sample::record(40, 0, Event::Paused)]));
    assert_eq!(keys(&mut model, "p"), [Effect::Tell(Command::Continue)]);
    assert_eq!(keys(&mut model, "w e"), [Effect::Tell(Command::Save), Effect::Tell(Command::Evaluate)]);
    assert_eq!(keys(&mut model, "s y"), [Effect::Tell(Command::Stop { reason: "user".to_owned() })]);
    let freeze = Effect::Tell(Command::Freeze { rules: vec!["train conv1".to_owned()] });
    assert_eq!(keys(&mut model, "2 g j space a"), [freeze]);
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
    let refused = || Message::NotAttached { run: id.clone(), problem: "it does not answer".to_owned() };
    update(&mut model, refused());
    let toasts = model.toasts.len();
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Running, 80)))));
    update(&mut model, refused());
    assert_eq!(model.toasts.len(), toasts, "said once");
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
    model.busy = Some(Busy::Starting);
    assert_eq!(update(&mut model, Message::Terminate("SIGTERM")), []);
    let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
    let effects = update(&mut model, Message::Started(Ok(Box::new(started))));
    assert!(matches!(effects.last(), Some(Effect::Send(Command::Stop { .. }))), "{effects:?}");
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
    let job = |name: &str| StartJob::Resume { run: run.clone(), from: Some(name.to_owned()) };
    assert_eq!(keys(&mut model, "y"), [Effect::Start(job("step-00000080"))]);
    model.busy = None;
    assert_eq!(keys(&mut model, "g r"), [Effect::Start(job("step-00000120"))], "the newest needs no question");
}

#[test]
fn a_finished_run_is_not_resumed() {
    let mut model = model();
    keys(&mut model, "j r");
    assert!(said(&model).contains("nothing to resume"), "{}", said(&model));
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
fn the_palette_does_what_it_names() {
    let mut model = hosting();
    keys(&mut model, ":");
    type_text(&mut model, "paus");
    assert_eq!(keys(&mut model, "enter"), [Effect::Send(Command::Pause)]);
    keys(&mut model, ": q");
    assert_eq!(model.overlays.len(), 1, "a letter is typed, not obeyed");
    keys(&mut model, "esc");
    assert_eq!(model.overlays, []);
}

#[test]
fn toasts_fall_after_a_while_and_stay_in_the_messages() {
    let mut model = model();
    model.say(Level::Info, "hello");
    update(&mut model, Message::Now(NOW + 4_999));
    assert_eq!(model.standing_toasts().count(), 1);
    update(&mut model, Message::Now(NOW + 5_000));
    assert_eq!((model.standing_toasts().count(), model.toasts.len()), (0, 1));
    assert!(!model.wants_ticks(), "an idle screen asks for no wake-up");
}

#[test]
fn long_errors_are_a_text_to_read() {
    let mut model = model();
    update(&mut model, Message::Draft(Err("a.toml:1: one\na.toml:2: two".to_owned())));
    assert!(matches!(model.overlays.last(), Some(Overlay::Text { lines, .. }) if lines.len() == 2));
}

#[test]
fn a_recipe_whose_rules_fit_nothing_is_no_draft() {
    let mut model = model();
    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze nowhere".to_owned()];
    let ready = DraftReady { path: "b.toml".into(), recipe, tree: sample::tree(), checksum: String::new(), kept: None };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    assert!(model.draft.is_none());
    assert!(said(&model).contains("b.toml") && said(&model).contains("nowhere"), "{}", said(&model));
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
    assert!(said(&model).contains("unknown field `nothing`") && model.overlays.len() == 1, "{}", said(&model));
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
    let from = |e: &Effect| matches!(e, Effect::Start(StartJob::Resume { run: r, from: Some(_) }) if *r == run);
    assert!(effects.iter().any(from), "{effects:?}");
    assert_eq!(update(&mut model, Message::Ended), [], "once");
}
