//! The way of commands into a trainer of this process: from its own screen and from the control socket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::core::command::{Command, OVER, Request};

/// Commands that wait at most; more are refused at once.
const COMMANDS: usize = 256;

/// Who asks: the numbers of the two differ, so that each hears its own answers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The process that hosts the run.
    Here,
    /// The control socket.
    Socket,
}

/// The senders' end. Once it is shut, the trainer saves and ends.
#[derive(Debug)]
pub struct Inbox {
    sender: Mutex<Option<SyncSender<Request>>>,
    next: AtomicU64,
}

impl Inbox {
    /// Both ends.
    pub fn new() -> (Self, Receiver<Request>) {
        let (sender, receiver) = sync_channel(COMMANDS);
        (Self { sender: Mutex::new(Some(sender)), next: AtomicU64::new(1) }, receiver)
    }

    /// Numbers a command and hands it over; never waits. The number comes back with the answer; `Err` is the answer.
    pub fn send(&self, command: Command, from: From) -> (u64, Result<(), String>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) * 2 + u64::from(from == From::Socket);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match &*sender {
            Some(sender) => sender.try_send(Request { id, command }),
            None => Err(TrySendError::Disconnected(Request { id, command })),
        };
        let sent = sent.map_err(|e| match e {
            TrySendError::Full(_) => "too many commands wait already".to_owned(),
            TrySendError::Disconnected(_) => OVER.to_owned(),
        });
        (id, sent)
    }

    /// Whether an answer with this number is for the host's own process.
    pub fn is_own(id: u64) -> bool {
        id.is_multiple_of(2)
    }

    /// No more commands: the trainer finishes its step, saves and ends.
    pub fn shut(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
