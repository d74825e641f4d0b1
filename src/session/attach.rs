//! Reaching a run that lives in another process: to watch it, or to have something done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RunHandle;
use super::control::{AttachError, Client, PATIENCE as GREETING, Wish};
use crate::core::command::{Command, HANDED_OVER};
use crate::core::event::{Event, Record};
use crate::core::run::RunDir;
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
        let patience = match error {
            _ if is_between(run, &error) => hand_over,
            _ if error.is_passing() => passing,
            _ => Duration::ZERO,
        };
        if start.elapsed() >= patience {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the last host gave the run to another process just now.
fn is_between(run: &RunDir, error: &AttachError) -> bool {
    if !matches!(error, AttachError::NotLive { .. }) && !error.is_passing() {
        return false;
    }
    let last = run.events().ok().and_then(|(mut events, _)| events.pop());
    last.is_some_and(|r| {
        let age = u128::from(now_ms().saturating_sub(r.time_ms));
        age < HAND_OVER.as_millis() && matches!(r.event, Event::Stopped { reason } if reason == HANDED_OVER)
    })
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
/// stopped one has given up its lock.
///
/// # Errors
/// Where there is no host, it refuses, or the time is up.
pub fn ask(run: &RunDir, command: Command, timeout: Option<Duration>) -> Result<Done, AskError> {
    let end = timeout.map(|t| Instant::now() + t);
    let within = |patience: Duration| timeout.map_or(patience, |t| t.min(patience));
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
            Some(Err(words)) => return Err(AskError::Refused(words)),
            Some(Ok(words)) if over || !stops => return Ok(Done { words, records }),
            kept => answer = kept,
        }
        if over {
            return Err(AskError::Lost { run: run.id().to_string() });
        }
        let left = end.map_or(Duration::from_secs(3600), |e| e.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            let seconds = timeout.unwrap_or_default().as_secs();
            return Err(AskError::Late { run: run.id().to_string(), seconds });
        }
        handle.wait(left);
    }
}
