//! Runs and screens that come and go: hang-ups, hand-overs, screens on runs of other processes. The program is this test
//! binary itself, on the fake engine, in a pseudo-terminal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "support/program.rs"]
mod program;
#[path = "support/pty.rs"]
mod pty;

use std::time::Duration;

use frostline::core::run::RunStatus;
use program::{Bench, Ran, cpu_ms, wait_until};
use pty::Screen;

/// Not a test: the program.
#[test]
fn child() {
    program::be();
}

/// A screen on the newest run, wide enough that the title names its process whatever the numbers before that.
fn attached(bench: &Bench) -> Screen {
    let mut screen = Screen::program(bench.path(), &["attach", "last"]);
    screen.resize(30, 130);
    screen
}

fn watched(bench: &Bench) -> Screen {
    let mut screen = Screen::program(bench.path(), &["train", "r.toml", "--watch"]);
    screen.wait_for("running mlp");
    screen.wait_for("loss");
    screen
}

#[test]
fn a_workbench_whose_terminal_goes_away_goes_on_as_a_headless_host() {
    for paused in [false, true] {
        let bench = Bench::new();
        let mut screen = watched(&bench);
        if paused {
            screen.keys("p");
            screen.wait_for("paused mlp");
        }
        let pid = screen.pid();
        // In the middle of a paste, where a reader waits for more.
        screen.keys("\x1b[200~half of it");
        std::thread::sleep(Duration::from_millis(200));
        screen.hang_up();
        wait_until("the screen's threads end", || cpu_threads(pid, "frostline-files") == 0);
        assert!(screen.is_alive());
        let run = bench.run();
        assert_eq!(run.owner().unwrap().pid, pid);
        if paused {
            assert_eq!(bench.status(), RunStatus::Paused);
            bench.ok(&["continue", "last"]);
        }
        bench.steps_on();
        // Nothing spins where the terminal was.
        let busy = |name| cpu_ms(pid, name);
        let before = busy("frostline-keys") + busy("frostline-screen");
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(busy("frostline-keys") + busy("frostline-screen"), before);

        // Found again.
        let mut again = attached(&bench);
        again.wait_for("running mlp");
        again.wait_for(&format!("(process {pid})"));
        again.keys("q");
        again.wait_exit();
        again.assert_restored();
        bench.steps_on();
        bench.ok(&["stop", "last"]);
        screen.wait_exit();
        assert_eq!(bench.status(), RunStatus::Stopped);
    }
}

fn cpu_threads(pid: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|c| c.trim() == name)).count()
}

#[test]
fn a_workbench_without_a_run_ends_with_its_terminal() {
    let bench = Bench::new();
    let mut screen = Screen::program(bench.path(), &["--home", "home"]);
    screen.wait_for("No runs yet");
    screen.hang_up();
    screen.wait_exit();
}

#[test]
fn training_in_a_terminal_that_goes_away_goes_on() {
    let bench = Bench::new();
    let mut screen = Screen::program(bench.path(), &["train", "r.toml"]);
    screen.wait_until("the first steps", || bench.home().find("last").is_ok_and(|r| r.summary().step > 2));
    screen.hang_up();
    bench.steps_on();
    wait_until("it lets go of the terminal", || program::log(&bench.run()).contains("the terminal is gone"));
    bench.steps_on();
    bench.ok(&["stop", "last"]);
    screen.wait_exit();
}

#[test]
fn training_in_a_terminal_that_takes_no_output_steps_and_obeys_signals() {
    let bench = Bench::new();
    let mut screen = Screen::program(bench.path(), &["train", "r.toml"]);
    screen.wait_until("the first steps", || bench.home().find("last").is_ok_and(|r| r.summary().step > 2));
    screen.stop_reading();
    // Until the terminal's buffer is full for sure.
    for _ in 0..3 {
        bench.steps_on();
    }
    screen.signal("TERM");
    screen.wait_exit();
    assert_eq!(bench.status(), RunStatus::Stopped);
}

/// Flow control, a line that hangs: two seconds here, sixty with `FROSTLINE_LONG=1`.
#[test]
fn a_workbench_on_a_terminal_that_takes_no_output_steps_on_idles_and_draws_again() {
    let long = std::env::var_os("FROSTLINE_LONG").is_some_and(|v| v == "1");
    let bench = Bench::new();
    let mut screen = watched(&bench);
    let pid = screen.pid();
    screen.stop_reading();
    // Until the terminal's buffer is full for sure, and the writer waits.
    let idle = || {
        let before = cpu_ms(pid, "frostline-screen");
        std::thread::sleep(Duration::from_millis(500));
        cpu_ms(pid, "frostline-screen") == before
    };
    wait_until("the screen's thread waits", idle);
    let (step, before) = (bench.run().summary().step, cpu_ms(pid, "frostline-screen"));
    std::thread::sleep(Duration::from_secs(if long { 60 } else { 2 }));
    assert_eq!(cpu_ms(pid, "frostline-screen"), before);
    assert!(bench.run().summary().step > step + 20);
    let mut other = attached(&bench);
    other.wait_for(&format!("(process {pid})"));
    other.keys("p");
    other.wait_for("paused mlp");
    other.keys("q");
    other.wait_exit();
    other.assert_restored();
    screen.read_again();
    screen.wait_for("paused mlp");
    screen.keys("qy");
    screen.wait_exit();
    screen.assert_restored();
    assert_eq!(bench.status(), RunStatus::Stopped);
}

#[test]
fn a_run_is_handed_over_at_an_exact_checkpoint_and_others_follow_it() {
    let bench = Bench::new();
    let mut screen = watched(&bench);
    let (run, pid) = (bench.run(), screen.pid());
    let mut other = attached(&bench);
    other.wait_for(&format!("(process {pid})"));
    let plain = bench.start(&["attach", "last", "--plain"]);
    screen.keys("q");
    screen.wait_for("Stop it and leave?");
    screen.keys("l");
    screen.wait_exit();
    screen.assert_restored();
    let said = screen.raw();
    assert!(said.contains("goes on in the background") && said.contains(run.id().as_str()), "{said}");
    wait_until("another process owns it", || run.owner().is_some_and(|owner| owner.pid != pid));
    let next = run.owner().unwrap().pid;
    bench.steps_on();
    other.wait_for(&format!("(process {next})"));
    assert!(!other.raw().contains("cannot be reached"), "a host that is starting is no cause for alarm");
    // The other screen commands the new host.
    other.keys("p");
    other.wait_for("paused mlp");
    // The screen hears it from the host, the status is read from the log.
    wait_until("the log says it too", || bench.status() == RunStatus::Paused);
    other.keys("p");
    other.wait_for("running mlp");
    other.keys("s");
    other.wait_for("Stop mlp?");
    other.keys("y");
    other.wait_for("stopped mlp");
    let ran = Ran::ended(plain);
    assert!(ran.code == Some(130), "{ran:?}");
    let (events, _) = run.events().unwrap();
    let log: Vec<String> = events.iter().map(|r| format!("{:?}", r.event)).collect();
    let handed = log.iter().position(|e| e.contains("handed over")).unwrap();
    let resumed = log[handed..].iter().find(|e| e.starts_with("Started")).unwrap();
    assert!(resumed.contains(&format!("resumed_from: Some({})", events[handed].step)), "{resumed}");
    other.keys("q");
    other.wait_exit();
}

/// Found by use: the process that was to take the run over went with the terminal.
#[test]
fn a_terminal_that_goes_away_during_a_hand_over_takes_nothing_with_it() {
    for ms in [0, 40, 120] {
        let bench = Bench::new();
        let mut screen = watched(&bench);
        screen.keys("q");
        screen.wait_for("Stop it and leave?");
        screen.keys("l");
        std::thread::sleep(Duration::from_millis(ms));
        screen.hang_up();
        // A key that went with the terminal leaves the run where it is; else another process has it, or will.
        wait_until("the run goes on", || bench.run().owner().is_some() && bench.status().is_live());
        bench.steps_on();
        bench.ok(&["stop", "last"]);
        assert_eq!(bench.status(), RunStatus::Stopped);
        screen.wait_exit();
    }
}

/// Found by use: the list and the other screens said "stopped" for ever.
#[test]
fn every_screen_notices_that_another_process_goes_on_with_the_run() {
    let bench = Bench::new();
    let mut host = bench.training(&["train", "r.toml"]);
    let mut screens: Vec<Screen> = ["1", "2", "3", "5"]
        .map(|key| {
            let mut screen = attached(&bench);
            screen.wait_for(&format!("(process {})", host.id()));
            screen.keys(key);
            screen
        })
        .into();
    screens.iter_mut().for_each(|screen| screen.wait_for("running 0% mlp"));
    bench.ok(&["stop", "last"]);
    host.wait().unwrap();
    screens.iter_mut().for_each(|screen| screen.wait_gone("running 0% mlp"));
    bench.ok(&["resume", "last", "--detach"]);
    for screen in &mut screens {
        screen.wait_for("running 0% mlp");
        screen.keys("4");
        screen.wait_for(&format!("(process {})", bench.run().owner().unwrap().pid));
        screen.keys("q");
        screen.wait_exit();
    }
    bench.ok(&["stop", "last"]);
}

#[test]
fn a_host_that_stands_still_is_said_to() {
    let bench = Bench::new();
    let mut host = bench.training(&["train", "r.toml"]);
    let mut screen = attached(&bench);
    screen.wait_for(&format!("(process {})", host.id()));
    program::signal(host.id(), "STOP");
    screen.wait_for("no news for 1");
    assert!(!screen.text().contains("steps/s"));
    program::signal(host.id(), "CONT");
    screen.wait_gone("no news for");
    screen.keys("q");
    screen.wait_exit();
    bench.ok(&["stop", "last"]);
    host.wait().unwrap();
}

#[test]
fn a_paused_run_is_handed_over_paused() {
    let bench = Bench::new();
    let mut screen = watched(&bench);
    screen.keys("p");
    screen.wait_for("paused mlp");
    let step = bench.run().summary().step;
    screen.keys("ql");
    screen.wait_exit();
    wait_until("it stands still", || bench.status() == RunStatus::Paused);
    assert_eq!(bench.run().summary().step, step);
    bench.ok(&["continue", "last"]);
    bench.steps_on();
    bench.ok(&["stop", "last"]);
}

#[test]
fn a_run_that_cannot_be_handed_over_stays_stopped_and_is_resumed_here() {
    let bench = Bench::new();
    let mut screen = watched(&bench);
    // The new host will not find what it needs to read.
    let meta = bench.run().path().join("run.toml");
    let text = std::fs::read_to_string(&meta).unwrap();
    std::fs::write(&meta, "nonsense").unwrap();
    screen.keys("ql");
    screen.wait_for("the run stays stopped");
    std::fs::write(&meta, text).unwrap();
    screen.keys("1r");
    screen.wait_for("running mlp");
    screen.keys("sy");
    screen.wait_for("stopped mlp");
    screen.keys("q");
    screen.wait_exit();
    screen.assert_restored();
}

#[test]
fn a_live_run_of_another_process_is_frozen_and_a_crashed_one_resumed_from_the_screen() {
    let bench = Bench::new();
    let mut host = bench.training(&["train", "r.toml"]);
    let mut screen = Screen::program(bench.path(), &["--home", "home"]);
    screen.resize(30, 130);
    // The test harness prints "running 1 test" before the program begins.
    screen.wait_for("running  mlp");
    screen.keys("\r");
    screen.wait_for(&format!("(process {})", host.id()));
    screen.keys("2j ");
    screen.wait_for("staged, a applies");
    screen.keys("a");
    screen.wait_gone("staged, a applies");
    screen.wait_for("tensors learn");
    screen.keys("4w");
    // The answer stands longer than the event's line. (A step that has its checkpoint already gets no second one.)
    screen.wait_for("│a checkpoint of step");
    host.kill().unwrap();
    host.wait().unwrap();
    screen.wait_for("crashed mlp");
    screen.wait_for("mlp: crashed; `r` on the run list");
    screen.keys("1");
    // The list has learned of it, too.
    screen.wait_for("crashed  mlp");
    screen.keys("r");
    screen.wait_for("running mlp");
    assert_eq!(bench.run().owner().unwrap().pid, screen.pid());
    screen.keys("qy");
    screen.wait_exit();
    screen.assert_restored();
}

#[test]
fn the_end_of_a_run_rings_at_every_terminal_that_follows_it_and_in_no_pipe() {
    let bench = Bench::new();
    let short = ["train", "r.toml", "--set", "train.steps=150"];
    let notified = "\x1b]9;mlp: finished";
    let mut plain = Screen::program(bench.path(), &short);
    plain.wait_exit();
    assert!(plain.raw().contains(notified), "{:?}", plain.raw());
    let mut screen = Screen::program(bench.path(), &[&short[..], &["--watch"]].concat());
    screen.wait_for("finished mlp");
    screen.keys("q");
    screen.wait_exit();
    assert!(screen.raw().contains(notified));
    let ran = bench.ok(&short);
    assert!(!ran.err.contains('\x07') && !ran.out.contains('\x07'), "{ran:?}");
}

/// `tmux kill-session` closes the terminal under the program, as a window manager or a lost server would.
#[test]
fn a_killed_tmux_session_leaves_the_run_going() {
    let tmux = |bench: &Bench, args: &[&str]| {
        let mut command = std::process::Command::new("tmux");
        command.args(["-S", "tmux.sock", "-f", "/dev/null"]).args(args).current_dir(bench.path());
        command.env("FROSTLINE_HOME", bench.path().join("home")).env("LANG", "C.UTF-8").env_remove("TMUX");
        command.stderr(std::process::Stdio::null()).status()
    };
    let bench = Bench::new();
    let program = format!("{} {} train r.toml --watch", program::exe().display(), program::CHILD.join(" "));
    if !tmux(&bench, &["new-session", "-d", "-x", "100", "-y", "30", &program]).is_ok_and(|s| s.success()) {
        println!("skipped: there is no tmux");
        return;
    }
    wait_until("the first steps", || bench.home().find("last").is_ok_and(|run| run.summary().step > 2));
    let pid = bench.run().owner().unwrap().pid;
    tmux(&bench, &["kill-session"]).unwrap();
    wait_until("the screen ends", || cpu_threads(pid, "frostline-files") == 0);
    bench.steps_on();
    let before = cpu_ms(pid, "frostline-keys");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(cpu_ms(pid, "frostline-keys"), before);
    bench.ok(&["stop", "last"]);
    tmux(&bench, &["kill-server"]).unwrap();
}
