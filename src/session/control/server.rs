//! The host's side of the control socket: one thread, which reads the trainer's bus and shares it out. The trainer never
//! waits for it, and it never waits for a viewer.
//!
//! Order of ending: the trainer's last act before it gives up the run's lock is to take the socket's name away, so that the
//! next owner's is not; then the bus closes, every viewer that keeps up is given the last events and a `bye`, and the
//! thread ends, a second later at most.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::socket;
use super::viewer::{Bytes, Heard, Viewer};
use crate::core::command::OVER;
use crate::core::control::{Answer, FromHost, Hello, PROTOCOL, Standing, Steps, ToHost, encode};
use crate::core::event::{Event, Record};
use crate::core::run::RunDir;
use crate::core::tree::Tree;
use crate::engine::train::{Dense, Reader};
use crate::session::inbox::{From, Inbox};

/// Time between two batches: viewers hear of steps ten times a second.
const REST: Duration = Duration::from_millis(100);
/// Time between two looks at viewers that have fallen behind, where nothing happens.
const LOOK: Duration = Duration::from_millis(500);
/// Time that the viewers have at the end to read what is left.
const GOODBYE: Duration = Duration::from_secs(1);
/// Connections at most.
const VIEWERS: usize = 256;
/// Lines of viewers that wait for the hub.
const ASKS: usize = 256;

/// The thread that serves the socket.
#[derive(Debug)]
pub struct Server {
    thread: JoinHandle<()>,
}

/// What a server serves.
pub struct Served {
    /// Where commands go.
    pub inbox: Arc<Inbox>,
    /// What the run says, from its beginning.
    pub reader: Reader,
    /// The model's layers.
    pub tree: Tree,
}

impl Server {
    /// Binds `control.sock` in the folder of a run that this process owns, and serves it until the bus is closed.
    pub fn open(run: &RunDir, served: Served) -> io::Result<Self> {
        let listener = socket::bind(&run.socket_path())?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let hello = Hello {
            protocol: PROTOCOL,
            frostline: env!("CARGO_PKG_VERSION").to_owned(),
            run: run.id().to_string(),
            pid: std::process::id(),
        };
        let work = move || {
            runtime.block_on(async {
                if let Ok(listener) = UnixListener::from_std(listener) {
                    Hub::new(served, hello).serve(listener).await;
                }
            });
            // Viewers that never read are not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(work)?;
        Ok(Self { thread })
    }

    /// Waits for its end, which the closed bus brings about.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

struct Hub {
    served: Served,
    hello: Hello,
    standing: Standing,
    viewers: Vec<Viewer>,
    next: u64,
    /// Commands whose answer is still to come: the trainer's number to the viewer and its own number.
    asked: HashMap<u64, (u64, u64)>,
}

impl Hub {
    fn new(served: Served, hello: Hello) -> Self {
        Self { served, hello, standing: Standing::default(), viewers: Vec::new(), next: 0, asked: HashMap::new() }
    }

    async fn serve(mut self, listener: UnixListener) {
        let (hub, mut asks) = mpsc::channel(ASKS);
        let (arrivals, mut arrived) = mpsc::channel(8);
        let door = tokio::spawn(answer_the_door(listener, arrivals));
        // After a batch, what comes is gathered for a while.
        let mut rest: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(stream) = arrived.recv() => self.admit(stream, &hub),
                Some((id, heard)) = asks.recv() => self.hear(id, heard),
                () = self.served.reader.changed(), if rest.is_none() => {
                    self.share_out();
                    rest = Some(Instant::now() + REST);
                }
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => {
                    rest = self.share_out().then(|| Instant::now() + REST);
                }
            }
            if rest.is_none() && self.viewers.iter().any(Viewer::is_behind) {
                rest = Some(Instant::now() + LOOK);
            }
            if self.served.reader.is_closed() {
                break;
            }
        }
        door.abort();
        self.end().await;
    }

    fn admit(&mut self, stream: UnixStream, hub: &mpsc::Sender<(u64, Heard)>) {
        if !socket::is_own(&stream) {
            return;
        }
        let viewer = Viewer::start(stream, self.next, hub.clone());
        self.next += 1;
        viewer.say(&FromHost::Hello(self.hello.clone()));
        if self.viewers.len() >= VIEWERS {
            viewer.say(&FromHost::Bye { reason: format!("{VIEWERS} viewers are connected already") });
            return;
        }
        self.viewers.push(viewer);
    }

    fn hear(&mut self, id: u64, heard: Heard) {
        let message = match heard {
            Heard::Gone => return self.drop_viewer(id),
            Heard::Mistake(message) => FromHost::Error { message },
            Heard::NoCommand(number, words) => FromHost::Answer(Answer::new(number, Err(words))),
            Heard::Ask(ToHost::Watch { steps }) => return self.stand(id, Some(steps)),
            Heard::Ask(ToHost::Snapshot) => return self.stand(id, None),
            Heard::Ask(ToHost::Gradients { on }) => return self.want_gradients(id, on),
            Heard::Ask(ToHost::Tree) => FromHost::Tree { tree: self.served.tree.clone() },
            Heard::Ask(ToHost::Command(request)) => {
                let (number, sent) = self.served.inbox.send(request.command, From::Socket);
                match sent {
                    Ok(()) => {
                        self.asked.insert(number, (id, request.id));
                        return;
                    }
                    Err(words) => FromHost::Answer(Answer::new(request.id, Err(words))),
                }
            }
        };
        self.say(id, &message);
    }

    /// Gives a viewer a snapshot, and lets it watch from there on if it wants to.
    fn stand(&mut self, id: u64, watch: Option<bool>) {
        // What waits is in the snapshot, and belongs to the others alone.
        self.share_out();
        if let Some(viewer) = self.viewers.iter_mut().find(|v| v.id == id) {
            viewer.stand(encode(&FromHost::Snapshot(self.standing.clone())));
            viewer.watching = watch.or(viewer.watching);
        }
        self.pass_on_wishes();
    }

    fn want_gradients(&mut self, id: u64, on: bool) {
        if let Some(viewer) = self.viewers.iter_mut().find(|v| v.id == id) {
            viewer.gradients = on;
        }
        self.pass_on_wishes();
    }

    /// Tells the bus what the viewers want. Where nobody watches steps, they cost next to nothing.
    fn pass_on_wishes(&self) {
        let dense = self.viewers.iter().any(|v| v.watching == Some(true));
        self.served.reader.want(if dense { Dense::All } else { Dense::Newest });
        self.served.reader.want_gradients(self.viewers.iter().any(|v| v.gradients));
    }

    /// Says something to one viewer. One that asks and does not read what comes of it is dropped.
    fn say(&mut self, id: u64, message: &FromHost) {
        if self.viewers.iter().any(|v| v.id == id && !v.say(message)) {
            self.drop_viewer(id);
        }
    }

    fn drop_viewer(&mut self, id: u64) {
        self.viewers.retain(|v| v.id != id);
        self.pass_on_wishes();
    }

    /// Hands what the run said to all viewers; whether it was anything.
    fn share_out(&mut self) -> bool {
        let (records, dropped) = self.served.reader.drain_counting();
        for record in &records {
            self.standing.fold(record);
        }
        let standing = &self.standing;
        let snapshot = || encode(&FromHost::Snapshot(standing.clone()));
        let mut batch = Batch::of(&records);
        if dropped > 0 {
            // So much came at once that not even the hub kept up.
            batch.lagged(dropped, &snapshot());
        }
        let (all, rare) = (Bytes::from(batch.all), Bytes::from(batch.rare));
        for viewer in &mut self.viewers {
            match viewer.watching {
                Some(true) => viewer.tell(&all, batch.records, snapshot),
                Some(false) => viewer.tell(&rare, batch.rares, snapshot),
                None => {}
            }
        }
        for (number, result) in batch.answers {
            if let Some((id, theirs)) = self.asked.remove(&number) {
                self.say(id, &FromHost::Answer(Answer::new(theirs, result)));
            }
        }
        !records.is_empty()
    }

    /// The bus is closed: the last events, what was never answered, and goodbye.
    async fn end(mut self) {
        self.share_out();
        for (_, (id, theirs)) in std::mem::take(&mut self.asked) {
            self.say(id, &FromHost::Answer(Answer::new(theirs, Err(OVER.to_owned()))));
        }
        let reason = match &self.standing.message {
            Some(message) if !self.standing.status.is_live() => format!("{}: {message}", self.standing.status),
            _ => self.standing.status.to_string(),
        };
        for viewer in &self.viewers {
            viewer.say(&FromHost::Bye { reason: reason.clone() });
        }
        // Their writers see the queues' end and close the connections. Whoever does not read is not waited for.
        let writers: Vec<_> = self.viewers.into_iter().filter(|v| !v.is_behind()).map(Viewer::hang_up).collect();
        let _ = timeout(GOODBYE, async {
            for writer in writers {
                let _ = writer.await;
            }
        })
        .await;
    }
}

/// What the run said since the last time, as bytes for all.
#[derive(Default)]
struct Batch {
    all: Vec<u8>,
    records: u64,
    rare: Vec<u8>,
    rares: u64,
    answers: Vec<(u64, Result<String, String>)>,
}

impl Batch {
    fn of(records: &[Record]) -> Self {
        let mut batch = Self::default();
        let mut steps = Steps::default();
        for record in records {
            match &record.event {
                Event::Step { .. } => {
                    batch.records += 1;
                    if !steps.push(record) {
                        batch.flush(&mut steps);
                        steps.push(record);
                    }
                }
                Event::Gradients { .. } => {
                    batch.flush(&mut steps);
                    batch.all.extend_from_slice(&encode(&FromHost::Event(record.clone())));
                    batch.records += 1;
                }
                // For whoever asked, alone.
                Event::Reply { id, result } => batch.answers.push((*id, result.clone())),
                _ => {
                    batch.flush(&mut steps);
                    let line = encode(&FromHost::Event(record.clone()));
                    batch.all.extend_from_slice(&line);
                    batch.rare.extend_from_slice(&line);
                    batch.records += 1;
                    batch.rares += 1;
                }
            }
        }
        batch.flush(&mut steps);
        batch
    }

    fn flush(&mut self, steps: &mut Steps) {
        if !steps.rows.is_empty() {
            self.all.extend(encode(&FromHost::Steps(std::mem::take(steps))));
        }
    }

    fn lagged(&mut self, missed: u64, snapshot: &[u8]) {
        self.records += missed;
        self.all.splice(0..0, encode(&FromHost::Lagged { missed }));
        self.all.extend_from_slice(snapshot);
    }
}

async fn answer_the_door(listener: UnixListener, arrivals: mpsc::Sender<UnixStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if arrivals.send(stream).await.is_err() {
                    return;
                }
            }
            // Such as too many open files: it would fail again at once.
            Err(_) => sleep(REST).await,
        }
    }
}
