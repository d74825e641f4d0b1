//! Another rank, as rank 0 sees it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use super::line::Line;
use super::op::{Answer, Message};
use super::wire::Frame;

/// The way to another rank.
pub enum Link {
    /// A thread of this process.
    Thread(Sender<Message>),
    /// Another process.
    Process(Line),
}

/// Another rank.
pub struct Peer {
    /// `rank 1 (cpu:1)`.
    pub name: String,
    /// Its machine, where that is another one.
    pub elsewhere: Option<String>,
    pub link: Link,
    pub answers: Receiver<Answer>,
}

impl Peer {
    /// Tells it; false where it is gone.
    pub fn send(&mut self, message: &Message) -> bool {
        match &mut self.link {
            Link::Thread(ops) => ops.send(message.clone()).is_ok(),
            Link::Process(line) => line.send(&Frame::Do(message.clone())).is_ok(),
        }
    }

    /// Tells it that the run is over.
    pub fn dismiss(&mut self) {
        if let Link::Process(line) = &self.link {
            let _ = line.send(&Frame::Bye);
        }
    }

    /// Its next answer; one is certain to come.
    pub fn answer(&self) -> Answer {
        self.answers.recv().unwrap_or_else(|_| self.gone())
    }

    /// An answer that is there already.
    pub fn heard(&self) -> Option<Answer> {
        match self.answers.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(self.gone()),
        }
    }

    /// How it failed, if that becomes known before the deadline.
    pub fn failure(&self, deadline: Instant) -> Option<Answer> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match self.answers.recv_timeout(left) {
                Ok(answer @ (Answer::Failed(_) | Answer::NoRoom(_) | Answer::Echo(_))) => return Some(answer),
                // To something that was asked before.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(self.gone()),
            }
        }
    }

    fn gone(&self) -> Answer {
        Answer::Failed("it ended without a word".to_owned())
    }
}
