//! What every screen has: the mouse, themes, copying, the place where the last session ended.

use super::*;
use crate::app::memory::Memory;
use crate::app::pointer::{Pointer, Target};

fn point(model: &mut Model, what: Pointer, target: Option<Target>) -> Vec<Effect> {
    update(model, Message::Pointer { what, target })
}

#[test]
fn the_mouse_chooses_opens_scrolls_and_closes() {
    let mut model = model();
    assert_eq!(point(&mut model, Pointer::Click, Some(Target::Row(2))), []);
    assert_eq!(model.run_cursor, 2);
    let opened = point(&mut model, Pointer::Click, Some(Target::Row(2)));
    assert!(matches!(opened.as_slice(), [Effect::OpenRun(_)]), "a click on what is chosen opens it: {opened:?}");
    point(&mut model, Pointer::Wheel(-1), None);
    assert_eq!(model.run_cursor, 0);
    point(&mut model, Pointer::Click, Some(Target::Tab(Screen::Train)));
    assert_eq!(model.screen, Screen::Train);
    point(&mut model, Pointer::Click, Some(Target::Hint(Action::Help)));
    assert_eq!(model.place(), Place::Popup);
    point(&mut model, Pointer::Wheel(1), Some(Target::Top));
    assert_eq!(model.overlays, [Overlay::Help { scroll: 3 }]);
    point(&mut model, Pointer::Click, Some(Target::Top));
    assert_eq!(model.overlays.len(), 1, "inside it nothing happens");
    point(&mut model, Pointer::Click, Some(Target::Tab(Screen::Runs)));
    assert!(model.overlays.is_empty() && model.screen == Screen::Train, "beside it, it goes away and no more");
    // A question is not answered by a click beside it.
    let mut model = hosting();
    keys(&mut model, "q");
    point(&mut model, Pointer::Click, None);
    assert_eq!(model.place(), Place::Confirm);
}

#[test]
fn themes_are_seen_while_they_are_chosen() {
    let mut model = model();
    assert_eq!(keys(&mut model, "ctrl-t"), [Effect::ListThemes]);
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    update(&mut model, Message::Themes { names: names.clone(), current: "b".to_owned() });
    assert_eq!(keys(&mut model, "j"), [Effect::Theme("c".to_owned())]);
    assert_eq!(keys(&mut model, "esc"), [Effect::Theme("b".to_owned())]);
    update(&mut model, Message::Themes { names, current: "b".to_owned() });
    let chosen = keys(&mut model, "k enter");
    let theme = Effect::Theme("a".to_owned());
    assert_eq!(chosen, [theme.clone(), theme, Effect::KeepTheme("a".to_owned())]);
    assert!(model.overlays.is_empty());
}

#[test]
fn what_is_under_the_cursor_is_copied() {
    let mut model = model();
    let id = model.selected_run().unwrap().id.to_string();
    assert_eq!(keys(&mut model, "y"), [Effect::Copy(id)]);
    let mut model = hosting();
    keys(&mut model, "2 j");
    assert_eq!(keys(&mut model, "y"), [Effect::Copy("conv1".to_owned())]);
    keys(&mut model, "5");
    assert_eq!(keys(&mut model, "y"), []);
    assert!(said(&model).contains("nothing to copy"));
}

#[test]
fn a_session_is_taken_up_where_it_ended() {
    let mut model = model();
    keys(&mut model, "/");
    type_text(&mut model, "status:crashed");
    keys(&mut model, "enter o enter");
    update(&mut model, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Crashed, 40)))));
    keys(&mut model, "5");
    let memory = Memory::of(&model);
    let (mut next, _) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    let effects = memory.restore(&mut next);
    assert!(matches!(effects.as_slice(), [Effect::OpenRun(_)]), "{effects:?}");
    assert_eq!(next.screen, Screen::Runs, "until it is read");
    update(&mut next, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Crashed, 40)))));
    assert_eq!(next.screen, Screen::Checkpoints);
    assert_eq!((next.run_list.filter.as_str(), next.run_list.order()), ("status:crashed", "name"));
    // A run that is gone is no error; a user who goes elsewhere meanwhile stays there.
    let memory = Memory::of(&next);
    let (mut gone, _) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    memory.clone().restore(&mut gone);
    update(&mut gone, Message::Opened(Err("no such run".to_owned())));
    assert!(gone.overlays.is_empty() && gone.screen == Screen::Runs);
    let (mut elsewhere, _) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    memory.restore(&mut elsewhere);
    keys(&mut elsewhere, "2");
    update(&mut elsewhere, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Crashed, 40)))));
    assert_eq!(elsewhere.screen, Screen::Model);
    // Keys for the list, before the run is read.
    let (mut there, _) = Model::new(Keymap::default(), "/home/me/runs".to_owned(), false);
    Memory::of(&next).restore(&mut there);
    keys(&mut there, "1 j");
    update(&mut there, Message::Opened(Ok(Box::new(sample::opened(3, RunStatus::Crashed, 40)))));
    assert_eq!(there.screen, Screen::Runs);
}

#[test]
fn pasted_lines_are_words_or_rules_beside_each_other() {
    let mut model = hosting();
    keys(&mut model, "2 f");
    update(&mut model, Message::Paste("freeze conv1\r\n\ttrain fc\n".to_owned()));
    assert!(matches!(model.overlays.last(), Some(Overlay::Ask(ask)) if ask.input.text == "freeze conv1; train fc"));
    keys(&mut model, "esc 1 N");
    update(&mut model, Message::Paste("two\nlines".to_owned()));
    assert!(matches!(model.overlays.last(), Some(Overlay::Ask(ask)) if ask.input.text.ends_with("two lines")));
}

#[test]
fn devices_are_read_when_they_come_into_view_and_picked_ones_go_into_the_draft_that_starts() {
    let mut model = model();
    assert_eq!(keys(&mut model, "3"), [Effect::SampleDevices, Effect::ReadDevices]);
    update(&mut model, Message::Survey(sample::survey(2)));
    update(&mut model, Message::Devices(Ok(Vec::new())));
    assert_eq!(keys(&mut model, "1 3"), [Effect::SampleDevices], "the engine is asked once");
    assert_eq!(keys(&mut model, "f5"), [Effect::SampleDevices, Effect::ReadDevices]);
    keys(&mut model, "j j space");
    assert_eq!(model.devices.picked(), ["cuda:1"]);
    keys(&mut model, "k k space");
    assert!(model.toasts.back().unwrap().text.contains("cannot share one run"));
    keys(&mut model, "esc");
    assert_eq!((model.devices.picked().len(), model.screen), (0, Screen::Devices));
    keys(&mut model, "j space");
    open_draft(&mut model, "flowers.toml", Recipe::default());
    let effects = keys(&mut model, "2 t");
    let started = effects.iter().find_map(|e| match e {
        Effect::Start(StartJob::Fresh { recipe, .. }) => Some(recipe.train.devices.clone()),
        _ => None,
    });
    assert_eq!(started.unwrap(), ["cuda:0"]);
    // A start that fails has lost nothing; one that comes off has taken them.
    update(&mut model, Message::Started(Err("no memory".to_owned())));
    assert_eq!(model.devices.picked(), ["cuda:0"]);
    let started = || {
        let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
        Message::Started(Ok(Box::new(started)))
    };
    let mut other = model.clone();
    keys(&mut model, "t");
    update(&mut model, started());
    assert_eq!(model.devices.picked().len(), 0, "picked for one run");
    // What was picked while it started is for the next one.
    keys(&mut other, "t 3 j space");
    update(&mut other, started());
    assert_eq!(other.devices.picked(), ["cuda:0", "cuda:1"]);
    // A run that goes on takes none.
    let mut resumed = self::model();
    resumed.devices = other.devices.clone();
    keys(&mut resumed, "r");
    update(&mut resumed, started());
    assert_eq!(resumed.devices.picked().len(), 2);
}

#[test]
fn a_live_run_moves_to_the_device_under_the_cursor_once_it_is_agreed_to() {
    let mut model = hosting();
    keys(&mut model, "3");
    update(&mut model, Message::Survey(sample::survey(2)));
    update(&mut model, Message::Devices(Ok(Vec::new())));
    keys(&mut model, "enter");
    assert!(said(&model).contains("is on cpu already"), "{}", said(&model));
    keys(&mut model, "j enter");
    assert_eq!(model.place(), Place::Confirm);
    let devices = vec!["cuda:0".to_owned()];
    assert_eq!(keys(&mut model, "enter"), [Effect::Send(Command::SetDevices { devices })]);
}

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
fn the_palette_finds_the_actions_of_all_screens_and_goes_there() {
    let mut model = hosting();
    keys(&mut model, "1 :");
    type_text(&mut model, "pause");
    assert_eq!(keys(&mut model, "enter"), [Effect::Send(Command::Pause)]);
    assert_eq!(model.screen, Screen::Train, "what it did is seen");
    // With a line that nobody has looked at nothing is done.
    keys(&mut model, "1 :");
    type_text(&mut model, "toggle-freeze");
    keys(&mut model, "enter");
    assert_eq!((model.screen, model.layers().unwrap().staged().len()), (Screen::Model, 0));
    // Nor is what cannot be done.
    let mut idle = self::model();
    keys(&mut idle, ":");
    type_text(&mut idle, "export");
    keys(&mut idle, "enter");
    assert_eq!((idle.screen, idle.overlays.len()), (Screen::Checkpoints, 0));
}

#[test]
fn the_palette_puts_what_is_called_so_first_and_says_why_it_is_empty() {
    use crate::app::palette::{elsewhere, nothing, offer};
    let mut model = hosting();
    keys(&mut model, "4");
    let found = offer(&model, "export");
    assert_eq!((found[0], elsewhere(&model, found[0])), (Action::Export, Some(Screen::Checkpoints)));
    assert_eq!(offer(&model, "")[0].info().place, Place::Train, "those of the screen first");
    assert_eq!(offer(&model, "zzz"), []);
    assert_eq!(nothing(&model, "zzz"), "no action is called that");
    keys(&mut model, "1");
    model.runs = Some(Vec::new());
    model.arrange_runs(None);
    assert_eq!(nothing(&model, "delete-runs"), "delete-runs: not now");
}

#[test]
fn esc_closes_what_is_open_and_takes_toasts_alone_where_nothing_is() {
    let mut model = hosting();
    keys(&mut model, "2 j space");
    model.say(Level::Info, "hello");
    keys(&mut model, "?");
    keys(&mut model, "esc");
    assert!(model.overlays.is_empty() && model.toasts.standing().next().is_some(), "what is on top first");
    keys(&mut model, "esc");
    assert!(model.toasts.standing().next().is_none() && !model.layers().unwrap().staged().is_empty());
    keys(&mut model, "esc");
    assert!(model.layers().unwrap().staged().is_empty());
}

#[test]
fn toasts_fall_after_a_while_and_stay_in_the_messages() {
    let mut model = model();
    model.say(Level::Info, "hello");
    update(&mut model, Message::Now(NOW + 1_699));
    assert_eq!(model.toasts.standing().count(), 1);
    update(&mut model, Message::Now(NOW + 1_700));
    assert_eq!((model.toasts.standing().count(), model.toasts.len()), (0, 1));
    assert!(!model.wants_ticks(), "an idle screen asks for no wake-up");
}

#[test]
fn folds_of_runs_and_recipes_are_remembered_from_one_session_to_the_next() {
    let open = |model: &mut Model| {
        model.opening = Some(sample::run(1, "", RunStatus::Stopped).id.to_string());
        update(model, Message::Opened(Ok(Box::new(sample::opened(1, RunStatus::Stopped, 40)))));
        keys(model, "2");
        let run = model.shown.clone().unwrap();
        update(model, Message::TreeReady { run, tree: Ok(sample::tree()) });
    };
    let rows = |model: &Model| model.layers().unwrap().rows().len();
    let mut first = model();
    open(&mut first);
    keys(&mut first, "z");
    open_draft(&mut first, "a.toml", Recipe::default());
    keys(&mut first, "2 j h");
    let (run, draft) = (first.shown().unwrap().layers.as_ref().unwrap().rows().len(), rows(&first));
    let memory = Memory::of(&first);
    let mut next = model();
    let whole = {
        open_draft(&mut next, "b.toml", Recipe::default());
        rows(&next)
    };
    memory.restore(&mut next);
    open_draft(&mut next, "a.toml", Recipe::default());
    assert_eq!((rows(&next), draft), (whole - 1, whole - 1), "conv1 is folded");
    open(&mut next);
    assert_eq!((rows(&next), run), (7, 7), "the first level");
    // A run that starts here, and one of another process, are folded as they were left too.
    let started = StartedRun { opened: sample::opened(1, RunStatus::Running, 0), tree: sample::tree() };
    update(&mut next, Message::Started(Ok(Box::new(started))));
    assert_eq!(next.hosted().unwrap().layers.as_ref().unwrap().rows().len(), 7);
}
