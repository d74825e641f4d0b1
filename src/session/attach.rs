//! Reaching a run that lives in another process: to watch it, or to have something done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RunHandle;
use super::control::{AttachError, Client, GONE, PATIENCE as GREETING, Wish};
use crate::core::command::{Command, HANDED_OVER, OVER};
use crate::core::event::{Event, Record};
use crate::core::run::{RunDir, RunStatus};
use crate::engine::train::{Bus, Dense, now_ms};

/// Between two tries to reach a host that is starting or ending.
const PAUSE: Duration = Duration::from_millis(50);
/// Time that a host has for its first words however short a wait was asked for: a live one needs no more, and a command with
/// no time at all still reaches it.
const FIRST_WORDS: Duration = Duration::from_millis(500);
/// Time that a host has to start or to end before what is wanted of it fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time that a process in the background has to take over a run; then it has said so, or will not.
const HAND_OVER: Duration = Duration::from_secs(60);
/// Time of that in which nobody need hold the run's lock: a process starts, which takes a few seconds on a busy machine.
const BETWEEN: Duration = Duration::from_secs(15);

/// A handle to a live run of another process (or of this one, through its socket). Everything that it says from now on is in the handle's stream; what it said
/// before is in the run's folder. Dropping the handle leaves the run alone.
///
/// # Errors
/// Where no host lives, or it cannot be reached.
pub fn attach(run: &RunDir) -> Result<RunHandle, AttachError> {
    connect(run, Wish { steps: true, tree: true }, GREETING)
}

/// The same, also at a moment at which the host is starting or ending, or at which the run goes over to another process:
/// it is tried again for as long as that may last.
///
/// # Errors
/// As [`attach`].
pub fn attach_patiently(run: &RunDir) -> Result<RunHandle, AttachError> {
    connect_patiently(run, Wish { steps: true, tree: true }, PATIENCE, HAND_OVER, None)
}

/// The same for a while alone.
///
/// # Errors
/// As [`attach`].
pub fn attach_within(run: &RunDir, patience: Duration) -> Result<RunHandle, AttachError> {
    connect_patiently(run, Wish { steps: true, tree: true }, patience, patience, None)
}

fn connect_patiently(
    run: &RunDir,
    wish: Wish,
    passing: Duration,
    hand_over: Duration,
    end: Option<Instant>,
) -> Result<RunHandle, AttachError> {
    let start = Instant::now();
    loop {
        let left = end.map_or(GREETING, |e| e.saturating_duration_since(Instant::now()).max(FIRST_WORDS).min(GREETING));
        let error = match connect(run, wish, left) {
            Ok(handle) => return Ok(handle),
            Err(error) => error,
        };
        let waited = start.elapsed();
        let passing = error.is_passing() && waited < passing;
        if !passing && (waited >= hand_over || !is_between(&error, since_hand_over(run))) {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

/// How long ago the last host gave the run to another process; `None` where that was not the last thing that it said.
fn since_hand_over(run: &RunDir) -> Option<Duration> {
    let last = run.events().ok().and_then(|(mut events, _)| events.pop())?;
    let handed_over = matches!(last.event, Event::Stopped { reason } if reason == HANDED_OVER);
    handed_over.then(|| Duration::from_millis(now_ms().saturating_sub(last.time_ms)))
}

/// Whether the next host may still come: for long where it has the run's lock already.
fn is_between(error: &AttachError, since: Option<Duration>) -> bool {
    let limit = match error {
        AttachError::NotLive { .. } => BETWEEN,
        AttachError::Unreachable { passing: true, .. } => HAND_OVER,
        AttachError::Unreachable { .. } => return false,
    };
    since.is_some_and(|age| age < limit)
}

fn connect(run: &RunDir, wish: Wish, patience: Duration) -> Result<RunHandle, AttachError> {
    let bus = Arc::new(Bus::default());
    let reader = bus.reader(Dense::All);
    let client = Client::connect(run, wish, Arc::clone(&bus), patience)?;
    Ok(RunHandle::elsewhere(run.clone(), bus, reader, client))
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What was done, in words.
    pub words: String,
    /// Everything that the run said from the command to its answer.
    pub records: Vec<Record>,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The run cannot be reached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The host says no.
    #[error("{0}")]
    Refused(String),
    /// It was not done in time; it may still be.
    #[error(
        "run {run} has not answered after {seconds} s; the command stands, and it may still be done (--timeout waits longer)"
    )]
    Late {
        /// The run.
        run: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The host ended before it answered.
    #[error("run {run}: its host ended before it answered; `frostline show {run}` tells how it stands")]
    Lost {
        /// The run.
        run: String,
    },
}

/// Has a command done by the host of a run, and waits until it is: a checkpoint is on disk, a paused run stands still, a
/// stopped one has given up its lock. One that came when the run was ending anyway goes to the next host where the run was
/// handed over; else a stop has what it wants.
///
/// # Errors
/// Where there is no host, it refuses, or the time is up.
pub fn ask(run: &RunDir, command: Command, timeout: Option<Duration>) -> Result<Done, AskError> {
    let end = timeout.map(|t| Instant::now() + t);
    loop {
        let records = match ask_host(run, command.clone(), timeout, end) {
            Ok(Heard::Done(done)) => return Ok(done),
            Ok(Heard::Over(records)) => records,
            Err(AskError::Attach(AttachError::NotLive { .. }))
                if matches!(command, Command::Stop { .. }) && run.supervisor().is_some() =>
            {
                if call_off(run, timeout, end)? {
                    return Ok(Done { words: CALLED_OFF.to_owned(), records: Vec::new() });
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        if since_hand_over(run).is_some_and(|age| age < BETWEEN) {
            continue;
        }
        let id = run.id().to_string();
        return match run.summary().status {
            RunStatus::Crashed => Err(AskError::Lost { run: id }),
            // Somebody resumed it at once.
            status if status.is_live() => continue,
            _ if matches!(command, Command::Stop { .. }) => {
                let newest = run.checkpoints().list().pop();
                Ok(Done { words: newest.map(|c| c.name).unwrap_or_default(), records })
            }
            _ => Err(AttachError::not_live(run).into()),
        };
    }
}

/// What a stop has done where a run had crashed and was about to be resumed.
pub const CALLED_OFF: &str = "it is not resumed";

/// Has the process that would resume a crashed run end. False where the next host was faster, which is to be asked then.
fn call_off(run: &RunDir, timeout: Option<Duration>, end: Option<Instant>) -> Result<bool, AskError> {
    let Some(leaving) = run.call_off() else { return Ok(false) };
    let end = end.unwrap_or_else(|| Instant::now() + PATIENCE);
    while !leaving.is_over() {
        if run.owner().is_some() {
            return Ok(false);
        }
        if Instant::now() >= end {
            return Err(AskError::Late { run: run.id().to_string(), seconds: timeout.unwrap_or(PATIENCE).as_secs() });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(run.owner().is_none())
}

/// What a host did about a command.
enum Heard {
    Done(Done),
    /// It was ending, did nothing, and has ended now. With what it said meanwhile.
    Over(Vec<Record>),
}

fn ask_host(
    run: &RunDir,
    command: Command,
    timeout: Option<Duration>,
    end: Option<Instant>,
) -> Result<Heard, AskError> {
    let left = || end.map(|e| e.saturating_duration_since(Instant::now()));
    let within = |patience: Duration| left().map_or(patience, |t| t.min(patience));
    let handle = connect_patiently(run, Wish::default(), within(PATIENCE), within(HAND_OVER), end)?;
    let stops = matches!(command, Command::Stop { .. });
    let number = handle.send(command);
    let mut records = Vec::new();
    let mut answer = None;
    loop {
        let over = handle.is_over();
        for record in handle.drain() {
            match record.event {
                Event::Reply { id, result } if id == number => answer = Some(result),
                _ => records.push(record),
            }
        }
        match answer.take() {
            Some(Err(words)) if words == OVER || words.starts_with(GONE) => {
                if over {
                    return Ok(Heard::Over(records));
                }
                answer = Some(Err(words));
            }
            Some(Err(words)) => return Err(AskError::Refused(words)),
            Some(Ok(words)) if over || !stops => return Ok(Heard::Done(Done { words, records })),
            kept => answer = kept,
        }
        if over {
            return Err(AskError::Lost { run: run.id().to_string() });
        }
        let left = left().unwrap_or(Duration::from_secs(3600));
        if left.is_zero() {
            let seconds = timeout.unwrap_or_default().as_secs();
            return Err(AskError::Late { run: run.id().to_string(), seconds });
        }
        handle.wait(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_host_is_waited_for_longer_once_it_holds_the_run() {
        let nobody = AttachError::NotLive { run: "r".into(), status: RunStatus::Stopped, supervisor: None };
        let somebody = |passing| AttachError::Unreachable {
            run: "r".into(),
            pid: 1,
            host: "here".into(),
            why: "it does not listen".into(),
            passing,
        };
        let between = |error: &AttachError, seconds| is_between(error, Some(Duration::from_secs(seconds)));
        assert!(between(&nobody, 14) && !between(&nobody, 15));
        assert!(between(&somebody(true), 59) && !between(&somebody(true), 60));
        assert!(!between(&somebody(false), 0) && !is_between(&nobody, None));
    }
}
