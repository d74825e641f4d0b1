//! The control socket, from both sides and from the outside, over the fake engine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostline::core::command::{Command, HANDED_OVER};
use frostline::core::control::{FromHost, MAX_ASK, ToHost, decode, encode};
use frostline::core::event::{Event, Record};
use frostline::core::run::{MetricsReader, RunDir, RunStatus};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::engine::train::now_ms;
use frostline::session::{AskError, AttachError, Outcome, RunHandle, ask, attach, attach_patiently, attach_within};
use support::probe::Probe;
use support::{Place, stop, to_end};

fn engine() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

/// Without end, and slow enough to be watched.
fn endless() -> (Place, RunHandle) {
    let place = Place::new(&["train.steps=100000000", "checkpoint.every_steps=1000", "checkpoint.keep_last=2"]);
    let engine: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_delay(Duration::from_millis(2)));
    let handle = place.fresh(&engine).unwrap();
    (place, handle)
}

/// The socket as a program in another language sees it.
struct Raw {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Raw {
    fn open(run: &RunDir) -> Self {
        let stream = UnixStream::connect(run.socket_path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { lines: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next line; `None` where the host has hung up.
    fn next(&mut self) -> Option<FromHost> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(decode(line.as_bytes()).unwrap()),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("{e}"),
        }
    }

    fn until<T>(&mut self, found: impl Fn(FromHost) -> Option<T>) -> T {
        loop {
            let line = self.next().expect("the host has hung up");
            if let Some(found) = found(line) {
                return found;
            }
        }
    }
}

#[test]
fn commands_are_done_when_they_are_answered() {
    let (_place, handle) = endless();
    let run = handle.dir().clone();
    let asked = |command| ask(&run, command, Some(Duration::from_secs(60)));
    assert!(asked(Command::Pause).unwrap().words.contains("paused"));
    assert_eq!(run.summary().status, RunStatus::Paused);
    let saved = asked(Command::Save).unwrap();
    assert!(run.checkpoints().verify(&saved.words).is_empty() && saved.words.starts_with("step-"), "{saved:?}");
    let step = run.summary().step;
    let evaluated = asked(Command::Evaluate).unwrap();
    assert!(
        evaluated.records.iter().any(|r| matches!(&r.event, Event::Validation { metrics, .. } if metrics.len() > 1))
    );
    asked(Command::SetLr { lr: 0.5 }).unwrap();
    asked(Command::Freeze { rules: vec!["freeze layer1".into()] }).unwrap();
    match asked(Command::Freeze { rules: vec!["freeze **".into()] }) {
        Err(AskError::Refused(words)) => assert!(words.contains("nothing would learn"), "{words}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(run.summary().step, step, "it stood still all the time");
    asked(Command::Continue).unwrap();
    asked(Command::Stop { reason: "test".into() }).unwrap();
    assert_eq!((run.summary().status, run.owner()), (RunStatus::Stopped, None), "its lock is free");
    assert!(!run.socket_path().exists());
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Stopped { reason, .. } if reason == "test"));
    assert!(!records.iter().any(|r| matches!(r.event, Event::Reply { .. })), "answers go to whoever asked");
    match asked(Command::Pause) {
        Err(AskError::Attach(AttachError::NotLive { status: RunStatus::Stopped, .. })) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_beside_a_stop_is_told_how_the_run_stands_and_a_second_stop_has_what_it_wants() {
    let place = Place::new(&["train.steps=100000000"]);
    let probe = Probe::new(&engine());
    let gate = probe.gate(15);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    let asked = |command| ask(&run, command, Some(Duration::from_secs(60)));
    let stop = || asked(Command::Stop { reason: "test".into() });
    let (first, second, pause) = std::thread::scope(|s| {
        let all = gate.during(|| {
            let first = s.spawn(stop);
            std::thread::sleep(Duration::from_millis(200));
            let rest = (s.spawn(stop), s.spawn(|| asked(Command::Pause)));
            std::thread::sleep(Duration::from_millis(200));
            (first, rest.0, rest.1)
        });
        (all.0.join().unwrap(), all.1.join().unwrap(), all.2.join().unwrap())
    });
    let newest = run.checkpoints().list().pop().unwrap().name;
    assert_eq!((first.unwrap().words, second.unwrap().words), (newest.clone(), newest));
    match pause {
        Err(AskError::Attach(AttachError::NotLive { status: RunStatus::Stopped, .. })) => {}
        other => panic!("{other:?}"),
    }
    to_end(handle);
}

/// A host has the lock before its socket, and after it.
#[test]
fn a_host_that_is_starting_or_ending_is_waited_for_and_not_for_ever() {
    let (_place, handle) = endless();
    let run = handle.dir().clone();
    let (socket, aside) = (run.socket_path(), run.path().join("aside"));
    std::fs::rename(&socket, &aside).unwrap();
    for tried in [attach(&run), attach_within(&run, Duration::from_millis(200))] {
        match tried {
            Err(e) => assert!(e.is_passing() && e.to_string().contains("starting or ending"), "{e}"),
            Ok(_) => panic!("through which socket?"),
        }
    }
    let asked = |timeout| ask(&run, Command::Pause, timeout);
    match asked(Some(Duration::from_millis(200))) {
        Err(AskError::Attach(e)) => assert!(e.is_passing(), "{e}"),
        other => panic!("{other:?}"),
    }
    std::thread::scope(|s| {
        let (asking, attaching) = (s.spawn(|| asked(None)), s.spawn(|| attach_patiently(&run)));
        std::thread::sleep(Duration::from_millis(300));
        std::fs::rename(&aside, &socket).unwrap();
        assert!(asking.join().unwrap().unwrap().words.contains("paused"));
        assert!(attaching.join().unwrap().is_ok());
    });
    stop(handle);
    // The last host gave the run away, and the next one has not begun: it may never do so, which the log's age tells.
    let mut log = std::fs::OpenOptions::new().append(true).open(run.path().join("events.jsonl")).unwrap();
    let mut handed_over = |ago_ms| {
        let event = Event::Stopped { reason: HANDED_OVER.to_owned() };
        let record = Record { time_ms: now_ms() - ago_ms, step: run.summary().step, event };
        writeln!(log, "{}", serde_json::to_string(&record).unwrap()).unwrap();
    };
    let mut waited = |ago_ms| {
        handed_over(ago_ms);
        let start = Instant::now();
        match asked(None) {
            Err(AskError::Attach(AttachError::NotLive { .. })) => start.elapsed(),
            other => panic!("{other:?}"),
        }
    };
    let took = waited(14_000);
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(5), "it was waited for: {took:?}");
    let took = waited(16_000);
    assert!(took < Duration::from_secs(2), "a host that died before it had the lock: {took:?}");
}

#[test]
fn gradient_norms_are_told_to_whoever_asks_here_and_elsewhere_and_reach_no_file() {
    let (_place, handle) = endless();
    let run = handle.dir().clone();
    let (viewer, other) = (attach(&run).unwrap(), attach(&run).unwrap());
    let gradients = |handle: &RunHandle| {
        let told = |r: Record| match r.event {
            Event::Gradients { norms } => Some((r.step, norms)),
            _ => None,
        };
        handle.wait(Duration::from_millis(100));
        handle.drain().into_iter().filter_map(told).collect::<Vec<_>>()
    };
    let first = |handle: &RunHandle| {
        let start = Instant::now();
        loop {
            match gradients(handle).pop() {
                Some(told) => return told,
                None => assert!(start.elapsed() < Duration::from_secs(20), "nothing is told"),
            }
        }
    };
    assert_eq!(gradients(&handle), [], "nobody has asked");
    viewer.want_gradients(true);
    let (step, norms) = first(&viewer);
    assert!(step > 0);
    let names: Vec<&String> = norms.keys().collect();
    let mut all: Vec<String> = handle.tree().parameters.iter().map(|p| p.name.clone()).collect();
    all.sort();
    assert_eq!(names, all.iter().collect::<Vec<_>>());
    assert!(norms.values().all(|norm| *norm > 0.0 && norm.is_finite()), "{norms:?}");
    assert_eq!(first(&other).1.len(), norms.len(), "everybody who watches steps hears it");
    // What is frozen gets none.
    ask(&run, Command::Freeze { rules: vec![format!("freeze {}", all[0])] }, None).unwrap();
    let start = Instant::now();
    while first(&viewer).1.len() == norms.len() {
        assert!(start.elapsed() < Duration::from_secs(20), "the frozen one is still told");
    }
    viewer.want_gradients(false);
    // A run that stands still tells its last step's, once.
    ask(&run, Command::Pause, None).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    for followed in [&handle, &viewer] {
        followed.drain();
    }
    handle.want_gradients(true);
    let (at, told) = first(&handle);
    assert_eq!((at, told.len()), (run.summary().step, norms.len() - 1));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(gradients(&handle), []);
    let kept = std::fs::read_to_string(run.path().join("events.jsonl")).unwrap();
    assert!(!kept.contains("gradients"), "{kept}");
    stop(handle);
}

#[test]
fn a_viewer_hears_what_the_files_hold_and_hanging_up_leaves_the_run_alone() {
    let (_place, handle) = endless();
    let run = handle.dir().clone();
    // The plan of the start is news until then.
    let start = Instant::now();
    while run.summary().step == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "it takes no step");
        std::thread::sleep(Duration::from_millis(10));
    }
    let viewer = attach(&run).unwrap();
    assert_eq!((viewer.tree(), viewer.host_pid()), (handle.tree(), std::process::id()));
    let from = viewer.standing().unwrap().step;
    ask(&run, Command::Pause, None).unwrap();
    drop(attach(&run).unwrap());
    ask(&run, Command::Continue, None).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    stop(handle);
    let (outcome, records) = to_end(viewer);
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    let is_step = |r: &&Record| matches!(r.event, Event::Step { .. });
    let heard: Vec<(u64, u64)> = records.iter().filter(is_step).map(|r| (r.step, value(r))).collect();
    let (table, _) = MetricsReader::read_all(&run.metrics_path()).unwrap();
    let rows = table.column("train/loss").into_iter().filter(|(step, _)| *step > from);
    assert_eq!(heard, rows.map(|(step, v)| (step, v.to_bits())).collect::<Vec<_>>());
    assert!(heard.len() > 20);
    let words: Vec<&Event> = records.iter().filter(|r| !is_step(r)).map(|r| &r.event).collect();
    assert_eq!(words[..2], [&Event::Paused, &Event::Continued]);
    assert!(matches!(words.last(), Some(Event::Stopped { .. })), "{words:?}");
    let (events, _) = run.events().unwrap();
    assert!(records.iter().filter(|r| !is_step(r)).all(|r| events.contains(r)), "word for word as in the log");
}

fn value(record: &Record) -> u64 {
    match &record.event {
        Event::Step { metrics, .. } => metrics["train/loss"].to_bits(),
        _ => 0,
    }
}

#[test]
fn nonsense_gets_an_error_and_the_host_lives() {
    let (_place, handle) = endless();
    let run = handle.dir().clone();
    let mut raw = Raw::open(&run);
    assert!(
        matches!(raw.next(), Some(FromHost::Hello(hello)) if hello.run == run.id().as_str() && hello.protocol == 1)
    );
    let mut wrong = |bytes: &[u8], words: &str| {
        raw.write(bytes);
        match raw.next() {
            Some(FromHost::Error { message }) => assert!(message.contains(words), "{message}"),
            other => panic!("{other:?}"),
        }
    };
    wrong(b"hello?\n", "expected");
    wrong(b"\xff\xfe\x00\n", "expected");
    wrong(b"{\"type\":\"format-disk\"}\n", "format-disk");
    wrong(b"{\"type\":\"command\",\"command\":\"pause\"}\n", "id");
    wrong(format!("{}\n", "[".repeat(MAX_ASK)).as_bytes(), "sequence");
    let giant = vec![b'x'; MAX_ASK + 1];
    wrong(&giant, "longer than");
    // Its rest is skipped, and the next line is heard.
    raw.write(b"and more of it\n");
    for (id, command, words) in [(1, "\"fly\"", "fly"), (2, "\"set_lr\",\"lr\":null", "null")] {
        raw.write(format!("{{\"type\":\"command\",\"id\":{id},\"command\":{command}}}\n").as_bytes());
        match raw.next() {
            Some(FromHost::Answer(answer)) => {
                assert_eq!(answer.id, id);
                assert!(answer.error.as_deref().is_some_and(|e| e.contains(words)), "{answer:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    raw.write(&encode(&ToHost::Snapshot));
    raw.until(|line| matches!(line, FromHost::Snapshot(s) if s.status == RunStatus::Running).then_some(()));
    raw.write("nonsense\n".repeat(20).as_bytes());
    while raw.next().is_some() {}
    ask(&run, Command::Pause, Some(Duration::from_secs(60))).unwrap();
    stop(handle);
}

#[test]
fn nobody_else_can_reach_a_run() {
    let (place, handle) = endless();
    let run = handle.dir().clone();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(run.path()), mode(&run.socket_path())), (0o700, 0o600));
    assert_eq!(mode(run.checkpoints().path()), 0o700);
    stop(handle);
    assert_eq!(mode(&place.home.runs().unwrap()[0].path().join("checkpoints")), 0o700);
}

#[test]
fn fifty_viewers_one_of_which_never_reads_do_not_hold_the_run_up() {
    let place =
        Place::new(&["train.steps=100000000", "checkpoint.every_steps=100000", "train.accumulate_grad_batches=1"]);
    let handle = place.fresh(&engine()).unwrap();
    let run = handle.dir().clone();
    let mut never_reads = Raw::open(&run);
    never_reads.write(&encode(&ToHost::Watch { steps: true }));
    let viewers: Vec<RunHandle> = (0..49).map(|_| attach(&run).unwrap()).collect();
    // More than the socket's buffer and the queue to it hold.
    never_reads.write(&encode(&ToHost::Snapshot).repeat(2000));
    let before = run.summary().step;
    assert!(viewers[0].wait(Duration::from_secs(60)));
    while run.summary().step < before + 100 {
        std::thread::sleep(Duration::from_millis(5));
    }
    ask(&run, Command::Pause, Some(Duration::from_secs(60))).unwrap();
    let paused_at = run.summary().step;
    // Now it reads: what it was sent at first, then that it missed something, then where the run stands.
    never_reads.until(|line| matches!(line, FromHost::Lagged { missed } if missed > 0).then_some(()));
    never_reads.until(|line| matches!(line, FromHost::Snapshot(s) if s.step == paused_at).then_some(()));
    let (outcome, _) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { .. }));
    never_reads.until(|line| matches!(line, FromHost::Bye { reason } if reason == "stopped: test").then_some(()));
    assert_eq!(never_reads.next(), None);
    for viewer in viewers {
        let (_, records) = to_end(viewer);
        assert!(records.iter().any(|r| matches!(r.event, Event::Stopped { .. })));
    }
}

#[test]
fn a_viewer_that_never_reads_does_not_keep_the_host_from_ending() {
    let (_place, handle) = endless();
    let mut raw = Raw::open(&handle.dir().clone());
    for _ in 0..2000 {
        // Answers pile up; the host gives up on it.
        if raw.stream.write_all(&encode(&ToHost::Tree)).is_err() {
            break;
        }
    }
    let (outcome, _) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { .. }));
}

#[test]
fn the_socket_of_a_killed_host_is_stale_and_the_next_host_takes_its_place() {
    let place = Place::new(&[]);
    let probe = Probe::new(&engine()).dying_at(6);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    to_end(handle);
    // As a SIGKILL leaves it.
    drop(UnixListener::bind(run.socket_path()).unwrap());
    let error = attach(&run).unwrap_err();
    assert!(error.to_string().contains("frostline resume"), "{error}");
    let held = Probe::new(&engine());
    let gate = held.gate(15);
    let handle = place.resume(&held.engine(), &run).unwrap();
    let viewer = gate.during(|| attach(&run).unwrap());
    let (outcome, _) = to_end(viewer);
    assert!(matches!(outcome, Outcome::Finished { step: 22, .. }), "{outcome:?}");
    to_end(handle);
    assert!(!run.socket_path().exists());
}

#[test]
fn a_run_home_with_a_path_too_long_for_a_socket_works_too() {
    let mut place = Place::new(&["train.steps=100000000"]);
    let deep = place.folder.path().join("a-folder-with-a-long-name/".repeat(6));
    place.home = frostline::core::run::RunHome::open(deep);
    let handle = place.fresh(&engine()).unwrap();
    let run = handle.dir().clone();
    assert!(run.socket_path().as_os_str().len() > 107);
    ask(&run, Command::Stop { reason: "test".into() }, Some(Duration::from_secs(60))).unwrap();
    to_end(handle);
}
