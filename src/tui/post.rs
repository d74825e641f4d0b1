//! What wakes the loop, and how the other threads do it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::input::Input;
use super::watch::Changed;
use crate::app::Message;
use crate::session::RunHandle;

/// Wakes that wait for the loop at most; whoever sends more waits.
pub const WAITING: usize = 1024;

/// What wakes the loop.
pub enum Wake {
    /// Keyboard, window, signals.
    Input(Input),
    /// Work is done.
    Message(Box<Message>),
    /// A run was started here: its handle, and what the model is told of it before anything that the run says.
    Hosted(Box<(RunHandle, Message)>),
    /// This screen was connected to a run of another process: the handle, and what its files say.
    Attached(Box<(RunHandle, Message)>),
    /// The followed run with this number has something to say.
    Stirred(u64),
    /// It is over, or the connection to it.
    Over(u64),
    /// The terminal has taken the last frame.
    Written,
    /// Something changed on disk.
    Changed(Changed),
}

/// A way to wake the loop, from any thread. False when the loop has ended.
#[derive(Clone)]
pub struct Post(SyncSender<Wake>);

impl Post {
    /// A way in, and the loop's end of it.
    pub fn new() -> (Self, Receiver<Wake>) {
        let (sender, wakes) = sync_channel(WAITING);
        (Self(sender), wakes)
    }

    /// Sends a message to the model.
    pub fn message(&self, message: Message) -> bool {
        self.0.send(Wake::Message(Box::new(message))).is_ok()
    }

    /// Hands over a run's handle. One that comes too late is dropped, which stops the run with a checkpoint.
    pub fn hosted(&self, handle: RunHandle, started: Message) -> bool {
        self.0.send(Wake::Hosted(Box::new((handle, started)))).is_ok()
    }

    /// Hands over the handle of a run of another process. One that comes too late is dropped; the run goes on.
    pub fn attached(&self, handle: RunHandle, attached: Message) -> bool {
        self.0.send(Wake::Attached(Box::new((handle, attached)))).is_ok()
    }

    /// Wakes the loop.
    pub fn wake(&self, wake: Wake) -> bool {
        self.0.send(wake).is_ok()
    }

    /// Wakes the loop, unless too much waits for it; false then.
    pub fn try_wake(&self, wake: Wake) -> bool {
        !matches!(self.0.try_send(wake), Err(TrySendError::Full(_)))
    }

    /// Tells of a change on disk; when the loop is busy, another one will tell.
    pub fn changed(&self, changed: Changed) {
        let _ = self.0.try_send(Wake::Changed(changed));
    }
}
