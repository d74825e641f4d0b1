//! Processes that host runs: in the foreground, in the background, told by signals and by other processes. The program is
//! this test binary itself, on the fake engine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};

use frostline::core::event::Event;
use frostline::core::run::RunStatus;
use program::{Bench, Ran, log, signal, wait_until};

/// Not a test: the program.
#[test]
fn child() {
    program::be();
}

#[test]
fn a_live_run_is_told_what_to_do_by_other_processes() {
    let bench = Bench::new();
    let host = bench.training(&["train", "r.toml"]);
    assert!(bench.ok(&["pause", "last"]).err.contains("paused after step"));
    assert_eq!(bench.status(), RunStatus::Paused);
    let id = bench.run().id().to_string();
    let saved = bench.ok(&["save", "last"]).out;
    assert!(saved.starts_with(&format!("{id}@")), "{saved}");
    bench.ok(&["verify", saved.trim()]);
    let evaluated = bench.ok(&["evaluate", "last"]);
    assert!(evaluated.out.contains("val/loss") && evaluated.err.contains("live at step"), "{evaluated:?}");
    let json: serde_json::Value = serde_json::from_str(&bench.ok(&["evaluate", "last", "--json"]).out).unwrap();
    assert!(json["metrics"]["val/top1"].is_number() && json["step"].is_number(), "{json}");
    // With a checkpoint's name it is another process's work.
    assert!(bench.ok(&["evaluate", saved.trim()]).err.contains("validation samples"));
    assert_eq!(bench.call(&["evaluate", "last", "--per-class"]).code, Some(2));
    assert!(bench.ok(&["freeze", "last", "freeze layer1"]).err.contains("tensors learn"));
    assert!(bench.ok(&["set", "last", "lr=1e-4"]).err.contains("0.0001"));
    let refused = bench.call(&["freeze", "last", "freeze **"]);
    assert!(refused.code == Some(3) && refused.err.contains("nothing would learn"), "{refused:?}");
    assert_eq!(bench.call(&["freeze", "last", "melt everything"]).code, Some(3));
    for lr in ["lr=-1", "lr=nan", "lr=inf", "lr=1e999"] {
        let refused = bench.call(&["set", "last", lr]);
        assert!(refused.code == Some(3) && refused.err.contains("a finite number"), "{lr}: {refused:?}");
    }
    assert_eq!(bench.call(&["set", "last", "momentum=0.5"]).code, Some(2));
    let refused = bench.call(&["set", "last", "devices=gpu,cuda:1"]);
    assert!(
        refused.code == Some(3) && refused.err.contains("error: `devices=gpu,cuda:1`: \"gpu\" is no device"),
        "{refused:?}"
    );
    // A second host is refused, with the first one's process.
    let second = bench.call(&["resume", "last", "--set", "train.steps=7"]);
    assert!(second.code == Some(1) && second.err.contains(&host.id().to_string()), "{second:?}");
    // resume of a paused run lets it go on where it lives.
    let resumed = bench.ok(&["resume", "last"]);
    assert!(resumed.out.trim() == id && resumed.err.contains("goes on there"), "{resumed:?}");
    bench.steps_on();
    assert_eq!(bench.call(&["resume", "last"]).code, Some(1), "one that runs is not resumed");
    assert!(bench.ok(&["stop", "last"]).err.contains("frostline resume"));
    assert_eq!(bench.status(), RunStatus::Stopped);
    assert_eq!(Ran::ended(host).code, Some(130));
    for command in ["pause", "continue", "stop", "save", "attach"] {
        let ran = bench.call(&[command, "last"]);
        assert!(ran.code == Some(3) && ran.err.contains("is not live: it is stopped"), "{command}: {ran:?}");
    }
}

#[test]
fn a_command_that_takes_too_long_is_given_up() {
    let bench = Bench::new();
    let host = bench.training(&["train", "r.toml"]);
    signal(host.id(), "STOP");
    let start = std::time::Instant::now();
    let short = bench.call(&["pause", "last", "--timeout", "2"]);
    let took = start.elapsed().as_secs();
    let ran = bench.call(&["attach", "last", "--plain"]);
    signal(host.id(), "CONT");
    assert!(short.code == Some(1) && short.err.contains("does not answer") && took < 8, "{took} s: {short:?}");
    assert!(ran.code == Some(1) && ran.err.contains("does not answer"), "{ran:?}");
    let waiting = format!("waiting for process {} to answer", host.id());
    assert!(ran.err.contains(&waiting), "{waiting}: {ran:?}");
    bench.ok(&["stop", "last", "--timeout", "60"]);
    Ran::ended(host);
}

#[test]
fn a_run_in_the_background_outlives_whoever_started_it() {
    let bench = Bench::new();
    let started = bench.ok(&["train", "r.toml", "--detach"]);
    let run = bench.run();
    assert_eq!(started.out.trim(), run.id().as_str());
    assert!(started.err.contains("frostline attach"), "{}", started.err);
    let pid = run.owner().unwrap().pid;
    assert!(started.err.contains(&pid.to_string()));
    // A session of its own, and no terminal or pipe of the caller's.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "session and terminal");
    for (fd, file) in [(0, "/dev/null".into()), (1, run.log_path()), (2, run.log_path())] {
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), file);
    }
    bench.steps_on();
    signal(pid, "HUP");
    bench.steps_on();
    // Watched until it ends.
    let watcher = bench.start(&["attach", "last", "--plain"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    bench.ok(&["stop", "last"]);
    let watched = Ran::ended(watcher);
    assert!(watched.code == Some(130) && watched.err.contains("stopped at step"), "{watched:?}");
    assert!(watched.err.contains("training on cpu"), "{watched:?}");
    assert!(log(&run).contains("stopped: frostline stop"));
    wait_until("its process ends", || run.owner().is_none());

    let resumed = bench.ok(&["resume", "last", "--detach"]);
    assert_eq!(resumed.out.trim(), run.id().as_str());
    bench.steps_on();
    bench.ok(&["stop", "last"]);
    let step = run.summary().step;
    let forked = bench.ok(&["fork", "last", "--detach", "--set", "train.steps=30"]);
    assert_ne!(forked.out.trim(), run.id().as_str());
    assert!(step > 0);
    wait_until("the fork ends", || bench.status() == RunStatus::Finished);
    let again = bench.ok(&["resume", "last", "--detach"]);
    assert!(again.out.trim() == forked.out.trim() && again.err.contains("finished already"), "{again:?}");
}

#[test]
fn what_keeps_a_run_from_starting_is_said_in_the_foreground() {
    let bench = Bench::new();
    let missing = bench.call(&["train", "missing.toml", "--detach"]);
    assert!(missing.code == Some(3) && missing.err.contains("missing.toml"), "{missing:?}");
    // Found by the process in the background alone: the data is not there.
    let set = "data={source='tensors', path='nowhere.npz'}";
    let refused = bench.call(&["train", "r.toml", "--detach", "--set", set]);
    assert!(refused.code == Some(3) && refused.err.contains("nowhere.npz"), "{refused:?}");
    assert_eq!(refused.err.matches("error:").count(), 1, "{refused:?}");
    assert!(bench.home().runs().unwrap().is_empty());
    assert_eq!(bench.call(&["train", "r.toml", "--detach", "--watch"]).code, Some(2));
}

#[test]
fn signals_stop_with_a_checkpoint_and_a_hang_up_stops_nothing() {
    for (name, reason) in [("INT", "Ctrl-C"), ("TERM", "SIGTERM"), ("USR1", "SIGUSR1")] {
        let bench = Bench::new();
        let host = bench.training(&["train", "r.toml"]);
        signal(host.id(), "HUP");
        bench.steps_on();
        signal(host.id(), name);
        let ran = Ran::ended(host);
        assert_eq!(ran.code, Some(130), "{name}: {ran:?}");
        let run = bench.run();
        let (events, _) = run.events().unwrap();
        assert!(matches!(&events.last().unwrap().event, Event::Stopped { reason: r } if r == reason), "{name}");
        assert_eq!(run.checkpoints().list().last().unwrap().step, run.summary().step);
        assert!(log(&run).contains("the terminal is gone"), "{}", log(&run));
    }
}

#[test]
fn a_second_signal_leaves_at_once() {
    let bench = Bench::new();
    // The first one waits for a step that takes a while.
    let host = bench.command(&["train", "r.toml"]).env("FAKE_DELAY_MS", "20000").spawn().unwrap();
    wait_until("the run starts", || bench.home().find("last").is_ok_and(|r| r.events().unwrap().0.len() > 1));
    signal(host.id(), "TERM");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(bench.run().owner().is_some());
    signal(host.id(), "TERM");
    assert_eq!(Ran::ended(host).code, None, "killed by the signal");
    assert_eq!(bench.status(), RunStatus::Crashed);
}

#[test]
fn a_run_that_does_not_end_after_a_signal_is_given_up() {
    let bench = Bench::new();
    let mut host = bench.command(&["train", "r.toml"]);
    let host = host.env("FAKE_DELAY_MS", "60000").env("FROSTLINE_STOP_TIMEOUT", "1").spawn().unwrap();
    wait_until("the run starts", || bench.home().find("last").is_ok_and(|r| r.events().unwrap().0.len() > 1));
    signal(host.id(), "TERM");
    let ran = Ran::ended(host);
    assert!(ran.code == Some(1) && ran.err.contains("did not end within 1 s"), "{ran:?}");
    assert!(ran.err.contains(&format!("frostline resume {}", bench.run().id())), "{ran:?}");
    assert_eq!(bench.status(), RunStatus::Crashed);
}

#[test]
fn a_scheduler_is_told_how_to_go_on() {
    let bench = Bench::new();
    let host = bench.training(&["train", "r.toml", "--requeue"]);
    signal(host.id(), "USR1");
    let ran = Ran::ended(host);
    let id = bench.run().id().to_string();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((ran.code, lines), (Some(99), vec![id.as_str(), &format!("frostline resume {id} --requeue=99")]));
    let host = bench.start(&["resume", &id, "--requeue=85"]);
    bench.steps_on();
    // A stop by the user is no reason to start again.
    bench.ok(&["stop", &id]);
    let ran = Ran::ended(host);
    assert_eq!((ran.code, ran.out.trim()), (Some(130), id.as_str()));
}

#[test]
fn a_run_whose_host_is_killed_is_resumed_by_the_process_beside_it() {
    for detach in [false, true] {
        let bench = Bench::new();
        let mut args = vec!["train", "r.toml", "--retries", "2"];
        args.extend(detach.then_some("--detach"));
        let supervisor = bench.training(&args);
        let run = bench.run();
        let mut seen = Vec::new();
        for _ in 0..2 {
            wait_until("a checkpoint", || run.checkpoints().list().len() > seen.len() && run.owner().is_some());
            let host = run.owner().unwrap().pid;
            assert!(host != supervisor.id() && !seen.contains(&host));
            seen.push(host);
            signal(host, "KILL");
            wait_until("another host", || run.owner().is_some_and(|o| o.pid != host));
            bench.steps_on();
        }
        // A scheduler signals all processes of a job: it is one signal all the same.
        let host = run.owner().unwrap().pid;
        signal(host, "TERM");
        if !detach {
            signal(supervisor.id(), "TERM");
        }
        let ran = Ran::ended(supervisor);
        assert_eq!(ran.code, Some(if detach { 0 } else { 130 }), "{ran:?}");
        wait_until("it has stopped", || bench.status() == RunStatus::Stopped);
        assert_eq!(ran.out.trim(), run.id().as_str());
        let said = if detach { log(&run) } else { ran.err };
        assert!(said.contains("was killed by signal 9; it is resumed in 1 s (try 1 of 2)"), "{said}");
    }
}

#[test]
fn a_stop_between_two_hosts_calls_the_next_one_off() {
    let bench = Bench::new();
    let mut command = bench.command(&["train", "r.toml", "--retries=9", "--detach"]);
    let ran = Ran::of(&command.env("FAKE_PANIC_AT", "30").env("FAKE_DELAY_MS", "0").output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let run = bench.run();
    // Its failures are no end for who follows it.
    let watcher = bench.start(&["attach", "last", "--plain"]);
    wait_until("a long rest", || log(&run).contains("it is resumed in 8 s"));
    let paused = bench.call(&["pause", "last"]);
    assert!(paused.code == Some(3) && paused.err.contains("resumes it soon (--retries)"), "{paused:?}");
    assert!(bench.ok(&["show", "last"]).out.contains("after a crash (--retries)"));
    let stopped = bench.ok(&["stop", "last"]);
    assert!(stopped.err.contains("it is failed, and is not resumed any more; go on with"), "{stopped:?}");
    let tries = log(&run).matches("it is resumed in").count();
    assert!(log(&run).contains("not resumed any more, as was asked") && run.supervisor().is_none(), "{}", log(&run));
    std::thread::sleep(std::time::Duration::from_secs(8));
    assert_eq!((log(&run).matches("it is resumed in").count(), run.owner()), (tries, None));
    let watched = Ran::ended(watcher);
    assert!(watched.code == Some(1) && watched.err.contains("broke down"), "{watched:?}");
    // Now there is nothing left to stop.
    let again = bench.call(&["stop", "last"]);
    assert!(again.code == Some(3) && again.err.contains("is not live"), "{again:?}");
}

#[test]
fn who_follows_a_run_follows_it_to_the_host_that_resumes_it_after_a_crash() {
    let bench = Bench::new();
    let supervisor = bench.training(&["train", "r.toml", "--retries", "2"]);
    let run = bench.run();
    let watcher = bench.start(&["attach", "last", "--plain"]);
    wait_until("a checkpoint", || !run.checkpoints().list().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(500));
    let host = run.owner().unwrap().pid;
    signal(host, "KILL");
    // One who comes while nobody hosts the run waits too.
    let mut late = bench.start(&["attach", "last", "--plain"]);
    let mut heard = BufReader::new(late.stderr.take().unwrap()).lines().map_while(Result::ok);
    wait_until("another host", || run.owner().is_some_and(|o| o.pid != host));
    bench.steps_on();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(heard.any(|line| line.contains("training on cpu")));
    bench.ok(&["stop", "last"]);
    assert!(heard.any(|line| line.contains("stopped at step")));
    assert_eq!(Ran::ended(late).code, Some(130));
    let watched = Ran::ended(watcher);
    assert!(
        watched.code == Some(130) && watched.err.contains("its host has ended; waiting until process "),
        "{watched:?}"
    );
    assert_eq!(watched.err.matches("training on cpu").count(), 2, "{watched:?}");
    assert!(watched.err.contains("stopped at step"), "{watched:?}");
    Ran::ended(supervisor);
}

#[test]
fn a_crash_that_comes_again_and_again_is_given_up_and_alerts_are_told() {
    let bench = Bench::new();
    let on_event = "sh -c 'cat >> told.jsonl; echo >> told.jsonl; echo $FROSTLINE_EVENT $FROSTLINE_NAME >> told.txt'";
    let told = || std::fs::read_to_string(bench.path().join("told.txt")).unwrap_or_default();
    let mut command = bench.command(&["train", "r.toml", "--retries=1", "--on-event", on_event]);
    let ran = Ran::of(&command.env("FAKE_PANIC_AT", "30").env("FAKE_DELAY_MS", "0").output().unwrap());
    assert!(ran.code == Some(1) && ran.err.contains("2 times without a newer checkpoint"), "{ran:?}");
    assert_eq!(bench.run().checkpoints().list().last().unwrap().step, 20);
    assert_eq!(told(), "failed mlp\ncrashed mlp\nfailed mlp\ncrashed mlp\n");
    let json = std::fs::read_to_string(bench.path().join("told.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((first["event"].as_str(), first["run"].as_str()), (Some("failed"), Some(bench.run().id().as_str())));
    assert!(first["message"].as_str().unwrap().contains("broke down"), "{first}");
}

#[test]
fn a_nan_is_told_and_not_tried_again() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("config")).unwrap();
    let settings =
        "[alerts]\non_event = \"sh -c 'echo $FROSTLINE_EVENT >> told.txt'\"\nevents = [\"nan\", \"finished\"]\n";
    std::fs::write(bench.path().join("config/config.toml"), settings).unwrap();
    let told = || std::fs::read_to_string(bench.path().join("told.txt")).unwrap_or_default();
    let mut command = bench.command(&["train", "r.toml", "--retries=3"]);
    let ran = Ran::of(&command.env("FAKE_NAN_AT", "30").env("FAKE_DELAY_MS", "0").output().unwrap());
    assert!(ran.code == Some(1) && ran.err.matches("not finite").count() == 1, "{ran:?}");
    assert_eq!(told(), "nan\n");
    bench.ok(&["train", "r.toml", "--set", "train.steps=8"]);
    assert_eq!(told(), "nan\nfinished\n");
}

#[test]
fn a_command_for_alerts_that_fails_harms_nothing() {
    let bench = Bench::new();
    let unclosed = bench.call(&["train", "r.toml", "--on-event", "mail 'me"]);
    assert!(unclosed.code == Some(2) && unclosed.err.contains("quote"), "{unclosed:?}");
    let ran = bench.ok(&["train", "r.toml", "--set", "train.steps=8", "--on-event", "/no/such/program"]);
    assert!(log(&bench.run()).contains("/no/such/program"), "{ran:?}");
    bench.ok(&["train", "r.toml", "--set", "train.steps=8", "--on-event", "false"]);
    assert!(log(&bench.run()).contains("`false` failed"));
}
