//! One connection on the host's side: a task that reads lines, a task that writes them, and what the hub keeps of it.
//!
//! The queue to a viewer is bounded. When it is full, the viewer is too slow: nothing more is queued until it has read
//! all, and then it is told how much it missed and given a snapshot. It is never waited for.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::core::control::{FromHost, Lines, MAX_ASK, ToHost, decode, encode};

/// Bytes that several viewers may share.
pub type Bytes = Arc<[u8]>;

/// Batches that wait for a viewer at most.
const QUEUE: usize = 32;

/// Lines that cannot be understood before the connection is ended.
const MISTAKES: u32 = 16;

/// What a viewer's reading task tells the hub.
#[derive(Debug)]
pub enum Heard {
    /// A line.
    Ask(ToHost),
    /// A line that is none.
    Mistake(String),
    /// A command that is none, with its number: whoever sent it waits for the answer.
    NoCommand(u64, String),
    /// It has hung up, or was too often not understood.
    Gone,
}

/// A viewer, as the hub keeps it.
pub struct Viewer {
    /// The hub's number for it.
    pub id: u64,
    out: mpsc::Sender<Bytes>,
    writer: JoinHandle<()>,
    /// What it asked to be told: nothing, rare events, or steps too.
    pub watching: Option<bool>,
    /// It wants to know the gradients' norms.
    pub gradients: bool,
    /// Records left out since it fell behind; `None` while it keeps up.
    missed: Option<u64>,
}

impl Viewer {
    /// Starts the two tasks of a connection. They end with it, or when the hub drops the viewer.
    pub fn start(stream: UnixStream, id: u64, hub: mpsc::Sender<(u64, Heard)>) -> Self {
        let (read, write) = stream.into_split();
        let (out, queue) = mpsc::channel(QUEUE);
        tokio::spawn(listen(read, id, hub));
        let writer = tokio::spawn(speak(write, queue));
        Self { id, out, writer, watching: None, gradients: false, missed: None }
    }

    /// Queues something that must not be left out; false when there is no room, and then the viewer is to be dropped.
    pub fn say(&self, message: &FromHost) -> bool {
        self.out.try_send(encode(message).into()).is_ok()
    }

    /// Queues a snapshot, or leaves it until the viewer has read what waits.
    pub fn stand(&mut self, snapshot: Vec<u8>) {
        if self.missed.is_none() && self.out.try_send(snapshot.into()).is_err() {
            self.missed = Some(0);
        }
    }

    /// Queues a batch of so many records. Whoever has no room for it falls behind; whoever has read all catches up with
    /// a snapshot that holds the batch already.
    pub fn tell(&mut self, batch: &Bytes, records: u64, snapshot: impl FnOnce() -> Vec<u8>) {
        match &mut self.missed {
            Some(missed) => {
                *missed += records;
                self.catch_up(snapshot);
            }
            None if batch.is_empty() => {}
            None => {
                if self.out.try_send(Arc::clone(batch)).is_err() {
                    self.missed = Some(records);
                }
            }
        }
    }

    fn catch_up(&mut self, snapshot: impl FnOnce() -> Vec<u8>) {
        if let Some(missed) = self.missed.filter(|_| self.out.capacity() == self.out.max_capacity()) {
            let mut lines = encode(&FromHost::Lagged { missed });
            lines.extend(snapshot());
            if self.out.try_send(lines.into()).is_ok() {
                self.missed = None;
            }
        }
    }

    /// Whether it has fallen behind.
    pub fn is_behind(&self) -> bool {
        self.missed.is_some()
    }

    /// Ends the connection when everything that is queued was handed to the system, which the task's end tells.
    pub fn hang_up(self) -> JoinHandle<()> {
        self.writer
    }
}

async fn listen(mut read: OwnedReadHalf, id: u64, hub: mpsc::Sender<(u64, Heard)>) {
    let mut lines = Lines::new(MAX_ASK);
    let mut buffer = vec![0; 4096];
    let mut mistakes = 0;
    while mistakes < MISTAKES {
        let Ok(n @ 1..) = read.read(&mut buffer).await else { break };
        let mut heard = Vec::new();
        lines.feed(&buffer[..n], |line| {
            let one = line.map_or_else(|e| Heard::Mistake(e.to_string()), understood);
            mistakes += u32::from(!matches!(one, Heard::Ask(_)));
            heard.push(one);
        });
        for heard in heard {
            // A full queue holds up this connection alone: the rest of its lines stay in the system.
            if hub.send((id, heard)).await.is_err() {
                return;
            }
        }
    }
    let _ = hub.send((id, Heard::Gone)).await;
}

fn understood(line: &[u8]) -> Heard {
    /// What a command has in every version.
    #[derive(serde::Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Numbered {
        Command { id: u64 },
    }
    let why = match decode(line) {
        Ok(asked) => return Heard::Ask(asked),
        Err(why) => why,
    };
    match decode(line) {
        Ok(Numbered::Command { id }) => Heard::NoCommand(id, format!("the command was not understood: {why}")),
        Err(_) => Heard::Mistake(why),
    }
}

async fn speak(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}
