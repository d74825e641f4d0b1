//! The whole screen on the fake engine, driven through a pseudo-terminal as a person would. The program in the terminal
//! is this test binary itself, told by its environment to be [`child`]:
//! `SCREEN_HOME=/tmp/home target/debug/deps/screen-… --exact child --nocapture` shows it to a person too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/pty.rs"]
mod pty;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frostline::core::recipe::Recipe;
use frostline::core::run::RunHome;
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::Start;
use frostline::tui::{self, Options};
use pty::Screen;

const RECIPE: &str = r#"
[model]
arch = "resnet8"
[data]
source = "digits"
workers = 0
[train]
epochs = 1000
devices = ["cpu"]
[checkpoint]
every_steps = 20
keep_last = 1000
"#;

/// The program in the terminal.
#[test]
fn child() {
    let Some(home) = std::env::var_os("SCREEN_HOME") else { return };
    let engine = FakeEngine::new(0).with_delay(Duration::from_millis(5));
    let mut options = Options::new(Box::new(move || Ok(Arc::new(engine) as Arc<dyn Engine>)), RunHome::open(home));
    if let Some(recipe) = std::env::var_os("SCREEN_WATCH") {
        options.watch = Some(Start::Fresh { recipe: Recipe::load(Path::new(&recipe), &[]).unwrap() });
    }
    match tui::run(options) {
        Ok(exit) => println!("left: run {:?}, {:?}", exit.run, exit.outcome),
        Err(e) => println!("error: {e}"),
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("digits.toml"), RECIPE).unwrap();
        Self(dir)
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn screen(&self) -> Screen {
        Screen::start(self.path(), &[])
    }
}

fn start_a_run(screen: &mut Screen) {
    screen.wait_for("No runs yet");
    screen.keys("n");
    screen.wait_for("digits.toml");
    screen.keys("\r");
    screen.wait_for("draft");
    screen.keys("t");
    screen.wait_for("running digits");
    screen.wait_for("loss");
    // What the run says first, before the screen has made room for it, is not lost: epochs and device.
    screen.wait_for("/1000  ");
    screen.wait_for("cpu");
}

#[test]
fn a_run_is_started_frozen_paused_stopped_resumed_and_exported_from_the_keyboard() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    start_a_run(&mut screen);

    // Freeze a layer: staged, then applied between two steps.
    screen.keys("2j ");
    screen.wait_for("staged, a applies");
    screen.wait_for("conv1");
    screen.keys("a");
    screen.wait_for("rule 1 `freeze conv1`");
    screen.wait_for("frost line");
    screen.wait_gone("staged, a applies");

    screen.keys("4p");
    screen.wait_for("paused digits");
    screen.keys("w");
    screen.wait_for("save)");
    screen.keys("p");
    screen.wait_for("running digits");
    let before = pty::checkpoints(&folder.path().join("home")).len();
    screen.wait_until("it goes on", || pty::checkpoints(&folder.path().join("home")).len() > before);
    screen.keys("s");
    screen.wait_for("Stop digits?");
    screen.keys("y");
    screen.wait_for("stopped digits");

    // Resume from an older checkpoint: it asks, and sets the later ones aside.
    screen.keys("5j");
    screen.wait_for("unchecked");
    screen.keys("r");
    screen.wait_for("are set aside, none is deleted");
    screen.keys("y");
    screen.wait_for("running digits");
    screen.keys("sy");
    screen.wait_for("stopped digits");
    let run =
        std::fs::read_dir(folder.path().join("home/runs")).unwrap().flatten().find(|f| f.path().is_dir()).unwrap();
    assert!(std::fs::read_dir(run.path().join("set-aside")).unwrap().next().is_some());

    screen.keys("5v");
    screen.wait_for("verified");
    screen.keys("x");
    screen.wait_for("Export the weights");
    screen.keys("\x15out.safetensors\r");
    screen.wait_for("wrote");
    assert!(folder.path().join("out.safetensors").is_file());
    // Over a file only after a question; after a no the form is there again, for other choices.
    screen.keys("x");
    screen.wait_for("tensors, ");
    screen.keys("\x15out.safetensors\r");
    screen.wait_for("Overwrite");
    screen.keys("n");
    screen.wait_gone("Overwrite");
    screen.keys("\x15head.pth\t\t\x1b[C\x1b[C\tfc");
    screen.wait_for("2 of ");
    screen.keys("\r");
    screen.wait_until("it is written", || folder.path().join("head.pth").is_file());

    screen.keys("q");
    screen.wait_exit();
    screen.assert_restored();
    assert!(screen.raw().contains("left: run"), "the words after the screen are on the terminal");
}

#[test]
fn checkpoints_are_compared_kept_deleted_and_forked_from_the_keyboard() {
    let folder = Folder::new();
    let home = folder.path().join("home");
    let mut screen = folder.screen();
    start_a_run(&mut screen);
    screen.wait_until("some checkpoints are written", || pty::checkpoints(&home).len() >= 5);
    screen.keys("sy");
    screen.wait_for("stopped digits");
    screen.keys("5");
    screen.wait_for("unchecked");

    screen.keys("d");
    screen.wait_for("relative L2");
    screen.wait_for("the whole model");
    screen.keys("t");
    screen.wait_for("conv1.weight");
    screen.keys("\x1b");
    screen.wait_gone("relative L2");

    screen.keys("D");
    screen.wait_for("it is the newest good one");
    screen.keys("G");
    screen.keys("p");
    screen.wait_for("step 20 is kept for ever");
    screen.wait_for("pinned");
    screen.keys("D");
    screen.wait_for("unpin it first");
    screen.keys("kD");
    screen.wait_for("Delete the checkpoint of step 40?");
    screen.keys("y");
    screen.wait_for("step-00000040 deleted");
    assert!(!pty::checkpoints(&home).contains(&"step-00000040".to_owned()));

    screen.keys("/");
    screen.wait_for("Show the checkpoints that pass");
    screen.keys("pinned\r");
    screen.wait_gone("Show the checkpoints that pass");
    screen.keys("f");
    screen.wait_for("Fork from step 20");
    screen.wait_for("Nothing changes");
    screen.keys("-b\t\x15fast");
    screen.wait_for("number");
    screen.keys("\x151e-4");
    screen.wait_for("changes name, optimizer.lr");
    screen.keys("\r");
    screen.wait_for("running digits-b");
    screen.keys("sy");
    screen.wait_for("stopped digits-b");
    screen.keys("q");
    screen.wait_exit();
    screen.assert_restored();
    let recipes = std::fs::read_dir(home.join("runs")).unwrap().flatten().map(|run| run.path().join("run.toml"));
    let fork = recipes.filter_map(|path| std::fs::read_to_string(path).ok()).find(|text| text.contains("digits-b"));
    let fork = fork.expect("the fork is a run of its own");
    assert!(fork.contains("lr = 0.0001") && fork.contains("@20"), "{fork}");
}

#[test]
fn leaving_with_a_live_run_asks_and_leaves_a_checkpoint() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    start_a_run(&mut screen);
    screen.keys("\x03");
    screen.wait_for("Stop it and leave?");
    screen.keys("\x1b");
    screen.wait_gone("Stop it and leave?");
    screen.keys("qy");
    screen.wait_exit();
    screen.assert_restored();
    assert!(screen.raw().contains("Stopped"), "{}", screen.raw());
    assert!(!pty::checkpoints(&folder.path().join("home")).is_empty());
}

#[test]
fn a_termination_signal_checkpoints_restores_and_leaves() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    start_a_run(&mut screen);
    screen.signal("TERM");
    screen.wait_exit();
    screen.assert_restored();
    assert!(screen.raw().contains("SIGTERM"), "{}", screen.raw());
    assert!(!pty::checkpoints(&folder.path().join("home")).is_empty());
}

#[test]
fn a_terminal_that_takes_no_output_holds_up_neither_the_run_nor_a_signal() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    start_a_run(&mut screen);
    screen.stop_reading();
    let before = pty::checkpoints(&folder.path().join("home")).len();
    screen.wait_until("checkpoints go on being written", || {
        pty::checkpoints(&folder.path().join("home")).len() >= before + 3
    });
    screen.signal("TERM");
    screen.wait_exit();
}

#[test]
fn watching_a_recipe_starts_it_and_a_resize_storm_breaks_nothing() {
    let folder = Folder::new();
    let mut screen = Screen::start(folder.path(), &[("SCREEN_WATCH", "digits.toml"), ("LANG", "C")]);
    screen.wait_for("running digits");
    for (rows, cols) in [(5, 20), (1, 1), (60, 200), (2, 3), (24, 80), (0, 0), (30, 100)] {
        screen.resize(rows, cols);
    }
    screen.wait_for("running digits");
    assert!(screen.text().is_ascii(), "a locale without UTF-8 sees ASCII: {}", screen.text());
    screen.keys("qy");
    screen.wait_exit();
    screen.assert_restored();
}

#[test]
fn a_drafts_recipe_is_edited_in_a_form_and_its_comments_stay() {
    let folder = Folder::new();
    let file = folder.path().join("digits.toml");
    std::fs::write(&file, RECIPE.replace("epochs = 1000", "epochs = 1000 # long")).unwrap();
    let mut screen = folder.screen();
    screen.wait_for("No runs yet");
    screen.keys("n");
    screen.wait_for("digits.toml");
    screen.keys("\r");
    screen.wait_for("draft");
    screen.keys("e");
    screen.wait_for("Values of digits.toml");
    screen.keys("\t\t\t\t\t\t\t\t\t\x157");
    screen.wait_for("changes train.epochs");
    screen.keys("\r");
    screen.wait_gone("Values of digits.toml");
    let after = RECIPE.replace("epochs = 1000", "epochs = 7 # long");
    screen.wait_until("it is written", || std::fs::read_to_string(&file).unwrap() == after);
    // What is started is the recipe as it is now.
    screen.wait_for("digits.toml written");
    screen.wait_gone("building the model");
    screen.keys("t");
    screen.wait_for("/7  ");
    screen.keys("qy");
    screen.wait_exit();
}

#[test]
fn the_first_key_after_a_resize_is_seen_at_once() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    screen.wait_for("No runs yet");
    for (i, (rows, cols)) in [(24, 90), (30, 100), (40, 120), (20, 60)].into_iter().cycle().take(24).enumerate() {
        screen.resize(rows, cols);
        // Long after the resize, or with it: each has its own way to be lost.
        if i < 4 {
            std::thread::sleep(Duration::from_millis(150));
        }
        screen.keys("?");
        screen.wait_for(" Keys (");
        screen.resize(rows + 1, cols);
        screen.keys("q");
        screen.wait_gone(" Keys (");
    }
    screen.keys("q");
    screen.wait_exit();
}

#[test]
fn where_no_screen_can_be_drawn_the_headless_commands_are_named() {
    let folder = Folder::new();
    let mut screen = Screen::start(folder.path(), &[("TERM", "dumb")]);
    screen.wait_exit();
    assert!(screen.raw().contains("frostline train"), "{}", screen.raw());
    assert!(!screen.raw().contains("\x1b[?1049h"));
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(pty::CHILD).env("SCREEN_HOME", "home").current_dir(folder.path()).stdin(std::process::Stdio::null());
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(out.contains("not a terminal") && out.contains("frostline ls"), "{out}");
}

#[test]
fn bad_settings_are_said_on_the_screen_and_the_rest_is_in_force() {
    let folder = Folder::new();
    let config = folder.path().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("keys.toml"), "quit = \"Q\"\nhlep = \"h\"\n").unwrap();
    let mut screen = folder.screen();
    screen.wait_for("did you mean `help`?");
    screen.keys("q");
    std::thread::sleep(Duration::from_millis(50));
    screen.keys("Q");
    screen.wait_exit();
    screen.assert_restored();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_screen_back() {
    let folder = Folder::new();
    let mut screen = Screen::start_in_a_shell(folder.path());
    screen.wait_for("No runs yet");
    screen.keys("\x1a");
    screen.wait_for("$ ");
    screen.keys("echo is $((40 + 2))\r");
    screen.wait_for("is 42");
    screen.keys("fg\r");
    screen.wait_for("No runs yet");
    // Raw again: a key is obeyed at once and not echoed.
    screen.keys("n");
    screen.wait_for("digits.toml");
    screen.keys("\x1b");
    screen.keys("q");
    screen.wait_for("left: run None");
    screen.keys("exit\r");
    screen.wait_exit();
}

#[test]
fn a_checkpoint_that_another_process_removes_leaves_the_list() {
    let folder = Folder::new();
    let mut screen = folder.screen();
    start_a_run(&mut screen);
    screen.wait_until("a third checkpoint", || pty::checkpoints(&folder.path().join("home")).len() >= 3);
    screen.keys("sy");
    screen.wait_for("stopped digits");
    screen.keys("5G");
    screen.wait_for("       40 ");
    let home = folder.path().join("home/runs");
    let run = std::fs::read_dir(home).unwrap().flatten().find(|f| f.path().is_dir()).unwrap().path();
    std::fs::remove_dir_all(run.join("checkpoints/step-00000040")).unwrap();
    screen.wait_gone("       40 ");
    screen.keys("q");
    screen.wait_exit();
}
