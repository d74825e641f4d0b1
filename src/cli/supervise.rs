//! `--retries`: a process beside the host that resumes the run when the host crashes.
//!
//! The host is a process of its own, so that nothing which kills it (a broken driver, the kernel that is out of memory)
//! reaches this one. It leads a group of its own and gets the signals that come here, each once.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signal_hook::iterator::Signals;

use super::context::Context;
use super::detach::DAEMON;
use super::error::{CliError, Done};
use super::follow::FollowArgs;
use super::settings;
use crate::core::alerts::{Alert, Kind};
use crate::core::checkpoint::policy::Reason;
use crate::core::event::Metrics;
use crate::core::run::{RunDir, Supervision};
use crate::session::{self, Begun, leave_terminal};

/// The hidden option of a host that is looked after.
pub const SUPERVISED: &str = "--supervised";

/// Longest wait before the next try.
const LONGEST: Duration = Duration::from_secs(60);
/// How often a wait looks whether it was called off.
const LOOK: Duration = Duration::from_millis(50);

/// Runs this command line in a process of its own, and resumes its run after crashes: `retries` in a row without a newer
/// checkpoint are the end.
pub fn start(retries: u32, args: &FollowArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let alerts = settings::alerts(args.on_event.as_deref(), false, cx)?;
    let signals = Forward::start().map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
    let mut line = in_process(&cx.args);
    let mut crashes = Crashes::default();
    loop {
        let (child, out) = spawn(&line, args.daemon, cx)?;
        signals.to(&child);
        let run = relay(out, args.daemon, &mut crashes, cx)?;
        let status = signals.wait(child).map_err(CliError::failed)?;
        let Some(run) = run.or_else(|| crashes.run.clone()) else { return ended(status) };
        crashes.run = Some(run.clone());
        if signals.stopped() || !is_crash(status, &run) {
            return ended(status);
        }
        let how = in_words(status);
        let tries = crashes.one_more(&run);
        session::alert(&alerts, &run, &crashed(&run, &how));
        if tries > retries {
            let id = run.id();
            return Err(CliError::Failed(format!(
                "run {id}: its process {how}, {tries} times without a newer checkpoint; go on with: frostline resume {id}"
            )));
        }
        let rest = Duration::from_secs(1 << tries.saturating_sub(1).min(6)).min(LONGEST);
        cx.io.say(&format!(
            "run {}: its process {how}; it is resumed in {} s (try {tries} of {retries})",
            run.id(),
            rest.as_secs()
        ));
        if crashes.called_off(&signals, rest) {
            cx.io.say(&format!("run {}: it is not resumed any more, as was asked", run.id()));
            return Ok(Done::Stopped);
        }
        if let Some(owner) = run.owner() {
            let (id, pid, host) = (run.id(), owner.pid, owner.host);
            let words = format!("run {id}: process {pid} on {host} has resumed it; this one looks after it no more");
            return Err(CliError::Failed(words));
        }
        line = resume(&run, args, cx);
    }
}

/// What has gone wrong so far.
#[derive(Default)]
struct Crashes {
    run: Option<RunDir>,
    all: u32,
    /// Since the run last got on.
    in_a_row: u32,
    /// The newest checkpoint at the last crash.
    newest: Option<u64>,
    known: Option<Supervision>,
}

impl Crashes {
    /// Counts a crash; how many there were since the run last wrote a newer checkpoint.
    fn one_more(&mut self, run: &RunDir) -> u32 {
        let newest = run.checkpoints().list().last().map(|c| c.step);
        if newest > self.newest {
            self.in_a_row = 0;
        }
        (self.newest, self.all, self.in_a_row) = (newest, self.all + 1, self.in_a_row + 1);
        self.in_a_row
    }

    /// Waits before the next try; true where a signal or another process calls it off.
    fn called_off(&self, signals: &Forward, rest: Duration) -> bool {
        let end = Instant::now() + rest;
        let called_off = || signals.stopped() || self.known.as_ref().is_some_and(Supervision::is_called_off);
        while Instant::now() < end && !called_off() {
            std::thread::sleep(LOOK);
        }
        called_off()
    }
}

/// The arguments of the host: as here, without the supervision.
fn in_process(args: &[OsString]) -> Vec<OsString> {
    let end = args.iter().position(|a| a == "--").unwrap_or(args.len());
    let mut kept = Vec::new();
    let mut skip = false;
    for (i, arg) in args.iter().enumerate() {
        let text = if i < end { arg.to_str().unwrap_or_default() } else { "" };
        match text {
            _ if std::mem::take(&mut skip) => {}
            "--retries" => skip = true,
            _ if text.starts_with("--retries=") => {}
            _ => kept.push(arg.clone()),
        }
    }
    let end = kept.iter().position(|a| a == "--").unwrap_or(kept.len());
    kept.insert(end, SUPERVISED.into());
    kept
}

fn resume(run: &RunDir, args: &FollowArgs, cx: &Context<'_>) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["--home".into(), cx.home().path().into(), "resume".into()];
    line.extend([run.id().as_str().into(), SUPERVISED.into()]);
    line.extend(args.daemon.then(|| DAEMON.into()));
    line.extend(args.quiet.then(|| "--quiet".into()));
    line.extend(args.requeue.map(|code| format!("--requeue={code}").into()));
    line.extend(args.on_event.as_ref().map(|command| format!("--on-event={command}").into()));
    line
}

fn spawn(line: &[OsString], daemon: bool, cx: &Context<'_>) -> Result<(Child, ChildStdout), CliError> {
    let mut command = cx.io.program.command(line);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if !daemon {
        // A terminal's Ctrl-C comes here, and is handed on. In the background the host makes itself a session of its own.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|e| CliError::Failed(format!("the host cannot be started: {e}")))?;
    let out = child.stdout.take().ok_or_else(|| CliError::Failed("the host has no output".to_owned()))?;
    Ok((child, out))
}

/// Reads the host's output until its end. Its first word is the run; the first host's is told to whoever started this.
fn relay(
    out: ChildStdout,
    daemon: bool,
    crashes: &mut Crashes,
    cx: &mut Context<'_>,
) -> Result<Option<RunDir>, CliError> {
    let first = crashes.all == 0;
    let mut found = None;
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let Some(begun) = Begun::parse(&line) else {
            // The command that goes on, for a scheduler. What test harnesses print comes before the run has begun.
            if found.is_some() && !line.is_empty() {
                let _ = cx.io.print(&line).and_then(|()| cx.io.flush());
            }
            continue;
        };
        let (Begun::Started { run, .. } | Begun::AlreadyFinished { run }) = &begun;
        found = cx.home().find(run).ok();
        // Between two hosts there is nobody else whom a stop could reach.
        crashes.known = crashes.known.take().or_else(|| found.as_ref().and_then(RunDir::supervise));
        if daemon && first {
            let _ = begun.say(cx.io.out());
            if let Some(run) = &found {
                leave_terminal(&run.log_path());
            }
        } else if first && !daemon {
            // A script may close its end as soon as it has the id.
            let _ = cx.io.print(run).and_then(|()| cx.io.flush());
        }
    }
    Ok(found)
}

/// Whether the host died of something that another try may not die of.
fn is_crash(status: ExitStatus, run: &RunDir) -> bool {
    let nan = || run.checkpoints().list().last().is_some_and(|c| c.reason == Reason::Nan.as_str());
    match status.code() {
        None => true,
        Some(1) => !nan(),
        Some(_) => false,
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed (exit code {code})"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn crashed(run: &RunDir, how: &str) -> Alert {
    let summary = run.summary();
    let time_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let message = format!("crashed: its process {how}");
    Alert { kind: Kind::Crashed, step: summary.step, time_ms, message, metrics: Metrics::new() }
}

/// The host's exit code is ours; it has said what there is to say.
fn ended(status: ExitStatus) -> Result<Done, CliError> {
    match status.code() {
        Some(0) => Ok(Done::Ok),
        Some(code) => Err(CliError::Said(u8::try_from(code).unwrap_or(1))),
        None => Err(CliError::Failed(format!("the host {}", in_words(status)))),
    }
}

/// Hands signals on to the host.
struct Forward {
    child: Arc<Mutex<Option<Pid>>>,
    /// One that asks for an end was among them.
    stopped: Arc<AtomicBool>,
}

impl Forward {
    /// Starts the thread that does so. It ends with the process.
    fn start() -> std::io::Result<Self> {
        let this = Self { child: Arc::default(), stopped: Arc::default() };
        let (child, stopped) = (Arc::clone(&this.child), Arc::clone(&this.stopped));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGTSTP, SIGCONT])?;
        let work = move || {
            for number in signals.forever() {
                let (signal, ends) = match number {
                    SIGINT => (Signal::INT, true),
                    SIGTERM => (Signal::TERM, true),
                    SIGUSR1 => (Signal::USR1, true),
                    SIGHUP => (Signal::HUP, false),
                    SIGTSTP => (Signal::STOP, false),
                    _ => (Signal::CONT, false),
                };
                stopped.fetch_or(ends, Ordering::AcqRel);
                if let Some(pid) = *child.lock().unwrap_or_else(PoisonError::into_inner) {
                    let _ = kill_process(pid, signal);
                }
                if signal == Signal::STOP {
                    let _ = kill_process(rustix::process::getpid(), Signal::STOP);
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(work)?;
        Ok(this)
    }

    fn to(&self, child: &Child) {
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pid::from_child(child));
    }

    /// Waits for the host's end.
    fn wait(&self, mut child: Child) -> std::io::Result<ExitStatus> {
        let status = child.wait();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = std::io::stdout().flush();
        status
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gets_the_command_line_without_the_supervision() {
        let of = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            in_process(&args).into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&["train", "--retries", "3", "r.toml"]), "train r.toml --supervised");
        assert_eq!(of(&["train", "r.toml", "--retries=3", "-q"]), "train r.toml -q --supervised");
        assert_eq!(of(&["train", "--", "--retries=3"]), "train --supervised -- --retries=3");
    }
}
