//! The handle to a run, the same for a trainer in this process and for a host elsewhere: commands in, events out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::control::{Client, Server};
use super::inbox::{From, Inbox};
use crate::core::command::Command;
use crate::core::control::Standing;
use crate::core::event::{Event, Record};
use crate::core::run::{RunDir, RunId};
use crate::core::tree::Tree;
use crate::engine::train::{Bus, Outcome, Reader, now_ms};

/// A live run: of this process, whose trainer it owns, or of another one, which goes on when it is dropped.
#[derive(Debug)]
pub struct RunHandle {
    run: RunDir,
    tree: Tree,
    bus: Arc<Bus>,
    reader: Reader,
    /// More came than could be taken in.
    lagged: AtomicBool,
    place: Place,
}

/// Where the trainer is.
#[derive(Debug)]
enum Place {
    Here(Here),
    Elsewhere(Box<Client>),
}

/// The threads of a run in this process.
///
/// The order of ending: the inbox is shut, the trainer sees it between two steps (or out of its pause), saves, says the
/// last event, takes the control socket's name away, gives up the run's lock, closes the bus; then its thread and the
/// socket's are joined.
#[derive(Debug)]
pub(super) struct Here {
    pub inbox: Arc<Inbox>,
    /// `None` once joined.
    pub trainer: Option<JoinHandle<Outcome>>,
    /// `None` where there is no control socket, or once joined.
    pub server: Option<Server>,
    /// The user's command for alerts, where there is one; it has half a minute to end.
    pub alerts: Option<JoinHandle<()>>,
}

impl RunHandle {
    pub(super) fn here(run: RunDir, tree: Tree, bus: Arc<Bus>, reader: Reader, here: Here) -> Self {
        Self { run, tree, bus, reader, lagged: AtomicBool::new(false), place: Place::Here(here) }
    }

    pub(super) fn elsewhere(run: RunDir, bus: Arc<Bus>, reader: Reader, mut client: Client) -> Self {
        let tree = std::mem::take(&mut client.tree);
        Self { run, tree, bus, reader, lagged: AtomicBool::new(false), place: Place::Elsewhere(Box::new(client)) }
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        self.run.id()
    }

    /// The run's folder.
    pub fn dir(&self) -> &RunDir {
        &self.run
    }

    /// The model's layer tree; empty for a run that had finished before, and for one elsewhere that it was not asked of.
    pub fn tree(&self) -> Tree {
        self.tree.clone()
    }

    /// Whether the trainer is a thread of this process.
    pub fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// The process that hosts the run.
    pub fn host_pid(&self) -> u32 {
        match &self.place {
            Place::Here(_) => std::process::id(),
            Place::Elsewhere(client) => client.hello.pid,
        }
    }

    /// Where a run of another process stood when the connection was made. What came later is in the stream.
    pub fn standing(&self) -> Option<&Standing> {
        match &self.place {
            Place::Here(_) => None,
            Place::Elsewhere(client) => Some(&client.standing),
        }
    }

    /// Sends a command and returns at once. The number is that of the [`Event::Reply`] to come; every command gets one.
    pub fn send(&self, command: Command) -> u64 {
        let (id, sent) = match &self.place {
            Place::Here(here) => here.inbox.send(command, From::Here),
            Place::Elsewhere(client) => client.send(command),
        };
        if let Err(words) = sent {
            self.bus.push(Record { time_ms: now_ms(), step: 0, event: Event::Reply { id, result: Err(words) } });
        }
        id
    }

    /// Has the trainer tell the gradients' norms once a second ([`Event::Gradients`]), or no longer.
    pub fn want_gradients(&self, on: bool) {
        match &self.place {
            Place::Here(_) => self.reader.want_gradients(on),
            Place::Elsewhere(client) => client.want_gradients(on),
        }
    }

    /// Takes all events that wait, in order. Step records are dropped, oldest first, when nobody drains; rare events never.
    /// Answers to the commands of others are left out.
    pub fn drain(&self) -> Vec<Record> {
        let (mut records, dropped) = self.reader.drain_counting();
        if dropped > 0 {
            self.lagged.store(true, Ordering::Release);
        }
        if self.is_here() {
            records.retain(|r| !matches!(r.event, Event::Reply { id, .. } if !Inbox::is_own(id)));
        }
        records
    }

    /// Whether the run said more than could be taken in since the last call: its files know what is missing.
    pub fn has_lagged(&self) -> bool {
        let there = matches!(&self.place, Place::Elsewhere(client) if client.has_lagged());
        self.lagged.swap(false, Ordering::AcqRel) | there
    }

    /// Waits until there is something to drain or the run is over; false where the time was up before.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.reader.wait(timeout)
    }

    /// [`RunHandle::wait`] for tasks, without a limit.
    pub async fn changed(&self) {
        self.reader.changed().await;
    }

    /// Whether the run has ended and its lock is free, or the connection to it has. What was said may still wait to be drained.
    pub fn is_over(&self) -> bool {
        self.reader.is_closed()
    }

    /// Waits for the run's end, whenever it comes. A paused run must be stopped or continued first.
    pub fn join(mut self) -> Outcome {
        match &mut self.place {
            Place::Here(here) => here.finish(),
            Place::Elsewhere(_) => self.end_elsewhere(),
        }
    }

    /// What became of a run elsewhere: its log says so, unless its host ended without a word.
    fn end_elsewhere(&self) -> Outcome {
        while !self.is_over() {
            self.reader.wait(Duration::from_secs(3600));
        }
        last_word(&self.run).unwrap_or_else(|| no_word(&self.run))
    }
}

/// What becomes known of a run whose host said no last word to those who watched.
pub fn no_word(run: &RunDir) -> Outcome {
    let message = match run.owner() {
        Some(_) => "the connection to its host is lost; it goes on",
        None => "its host ended without a word; `resume` goes on from the newest checkpoint",
    };
    Outcome::Failed { message: message.to_owned() }
}

/// How a run ended, as its last host said; `None` where that one lives or ended without a word.
pub fn last_word(run: &RunDir) -> Option<Outcome> {
    let events = run.events().map(|(events, _)| events).unwrap_or_default();
    let last = events.into_iter().rev().find(|r| r.event.is_end() || matches!(r.event, Event::Started { .. }))?;
    match last.event {
        Event::Finished { metrics } => Some(Outcome::Finished { step: last.step, metrics }),
        Event::Stopped { reason } => Some(Outcome::Stopped { step: last.step, reason }),
        Event::Failed { message } => Some(Outcome::Failed { message }),
        _ => None,
    }
}

impl Here {
    fn finish(&mut self) -> Outcome {
        let joined = self.trainer.take().map(JoinHandle::join);
        if let Some(server) = self.server.take() {
            server.join();
        }
        if let Some(alerts) = self.alerts.take() {
            let _ = alerts.join();
        }
        match joined {
            Some(Ok(outcome)) => outcome,
            _ => Outcome::Failed { message: "the trainer's thread broke down; this is a bug".to_owned() },
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.inbox.shut();
        if self.trainer.is_some() {
            self.finish();
        }
    }
}
