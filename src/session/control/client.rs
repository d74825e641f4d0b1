//! The viewer's side of the control socket: a connection to the host of a run, and the thread that reads it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::socket;
use crate::core::command::{Command, Request};
use crate::core::control::{FromHost, Hello, Lines, MAX_SAID, PROTOCOL, Standing, ToHost, decode, encode};
use crate::core::event::{Event, Record};
use crate::core::run::{Owner, RunDir, RunStatus};
use crate::core::tree::Tree;
use crate::engine::train::{Bus, now_ms};

/// Time that a host has for its first words and for the tree. A live one answers at once, whatever its trainer does.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How the answer to a command begins that did not reach the host.
pub const GONE: &str = "the host is gone";

/// Why a run cannot be reached. The text says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No process hosts it.
    #[error("run {run} is not live: it is {status}{}", advice(*status, run, *supervisor))]
    NotLive {
        /// The run.
        run: String,
        /// What it is.
        status: RunStatus,
        /// The process that is about to resume it after a crash.
        supervisor: Option<u32>,
    },
    /// Its host is there and cannot be spoken to.
    #[error("run {run} belongs to process {pid} on {host}, which cannot be reached: {why}")]
    Unreachable {
        /// The run.
        run: String,
        /// The host's process id.
        pid: u32,
        /// Its machine.
        host: String,
        /// Why, and what to do.
        why: String,
        /// It is starting or ending, as far as can be seen: a moment later it can be reached, or is gone.
        passing: bool,
    },
}

impl AttachError {
    /// That nobody hosts a run.
    pub fn not_live(run: &RunDir) -> Self {
        let supervisor = run.supervisor().map(|owner| owner.pid);
        Self::NotLive { run: run.id().to_string(), status: run.summary().status, supervisor }
    }

    /// Whether it is worth another try at once.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { passing: true, .. })
    }
}

fn advice(status: RunStatus, run: &str, supervisor: Option<u32>) -> String {
    if let Some(pid) = supervisor {
        return format!("; process {pid} resumes it soon (--retries)");
    }
    match status {
        RunStatus::Finished => format!("; `frostline show {run}` tells what became of it"),
        _ => format!("; `frostline resume {run}` goes on from its newest checkpoint"),
    }
}

/// A connection to a host.
#[derive(Debug)]
pub struct Client {
    stream: Mutex<UnixStream>,
    next: AtomicU64,
    lagged: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    /// Who answers.
    pub hello: Hello,
    /// Where the run stood when the connection was made.
    pub standing: Standing,
    /// The layers; empty unless asked for.
    pub tree: Tree,
}

/// What is wanted of a host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// Step records.
    pub steps: bool,
    /// The layer tree.
    pub tree: bool,
}

impl Client {
    /// Connects to the host of a run, which has `patience` to say how the run stands. What the run says from the snapshot
    /// on is pushed to the bus, which is closed when the connection ends.
    ///
    /// # Errors
    /// Where no host lives, or it does not answer.
    pub fn connect(run: &RunDir, wish: Wish, bus: Arc<Bus>, patience: Duration) -> Result<Self, AttachError> {
        let end = Instant::now() + patience;
        let id = run.id().to_string();
        let owner = run.owner();
        let stream = match (socket::connect(&run.socket_path()), &owner) {
            (Ok(stream), _) => stream,
            (Err(_), None) => return Err(AttachError::not_live(run)),
            (Err(e), Some(owner)) => return Err(unreachable(run, owner, &e)),
        };
        let told = |why: String, passing: bool| {
            let (pid, host) = owner.as_ref().map_or((0, String::new()), |o| (o.pid, o.host.clone()));
            AttachError::Unreachable { run: id.clone(), pid, host, why, passing }
        };
        if !socket::is_own(&stream) {
            return Err(told("its socket is another user's".to_owned(), false));
        }
        let io = |e: std::io::Error| told(e.to_string(), false);
        stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
        let reading = stream.try_clone().map_err(io)?;
        let lagged = Arc::new(AtomicBool::new(false));
        let (first, firsts) = sync_channel(4);
        let theirs = Arc::clone(&lagged);
        let work = move || read(reading, &first, &bus, &theirs);
        let reader = std::thread::Builder::new().name("attach".to_owned()).spawn(work).map_err(io)?;
        let mut client = Self {
            stream: Mutex::new(stream),
            next: AtomicU64::new(1),
            lagged,
            reader: Some(reader),
            hello: Hello { protocol: 0, frostline: String::new(), run: String::new(), pid: 0 },
            standing: Standing::default(),
            tree: Tree::default(),
        };
        // From here on the client's end closes the connection and joins the thread.
        client.greet(wish, &firsts, end).map_err(|(why, passing)| told(why, passing))?;
        Ok(client)
    }

    /// Why it fails, and whether because the host is just ending.
    fn greet(&mut self, wish: Wish, firsts: &Receiver<FromHost>, end: Instant) -> Result<(), (String, bool)> {
        let for_good = |why: String| (why, false);
        let silent = |e| match e {
            RecvTimeoutError::Timeout => for_good("it does not answer; is it stopped (Ctrl-Z)?".to_owned()),
            RecvTimeoutError::Disconnected => ("it hung up: it is ending; try again in a moment".to_owned(), true),
        };
        let next = || firsts.recv_timeout(end.saturating_duration_since(Instant::now())).map_err(silent);
        match next()? {
            FromHost::Hello(hello) if hello.protocol <= PROTOCOL => self.hello = hello,
            FromHost::Hello(hello) => {
                return Err(for_good(format!(
                    "it speaks version {} of the protocol; use frostline {}",
                    hello.protocol, hello.frostline
                )));
            }
            FromHost::Bye { reason } => return Err((reason, true)),
            _ => return Err(for_good("it does not speak like a frostline host".to_owned())),
        }
        let ending = |why| (why, true);
        if wish.tree {
            self.write(&ToHost::Tree).map_err(ending)?;
        }
        self.write(&ToHost::Watch { steps: wish.steps }).map_err(ending)?;
        loop {
            match next()? {
                FromHost::Tree { tree } => self.tree = tree,
                FromHost::Snapshot(standing) => {
                    self.standing = standing;
                    return Ok(());
                }
                FromHost::Bye { reason } => return Err((reason, true)),
                _ => {}
            }
        }
    }

    fn write(&self, message: &ToHost) -> Result<(), String> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&encode(message)).map_err(|e| format!("{GONE}: {e}"))
    }

    /// Sends a command; its answer comes on the bus under the number. `Err` is the answer.
    pub fn send(&self, command: Command) -> (u64, Result<(), String>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id, self.write(&ToHost::Command(Request { id, command })))
    }

    /// Has the gradients' norms told, or no longer. A host that is gone says so otherwise.
    pub fn want_gradients(&self, on: bool) {
        let _ = self.write(&ToHost::Gradients { on });
    }

    /// Whether records were left out since the last call, because this process read too slowly.
    pub fn has_lagged(&self) -> bool {
        self.lagged.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Client {
    /// Hangs up. The run goes on.
    fn drop(&mut self) {
        let _ = self.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn unreachable(run: &RunDir, owner: &Owner, e: &std::io::Error) -> AttachError {
    let (why, passing) = if owner.host == Owner::this_process().host {
        match e.kind() {
            std::io::ErrorKind::NotFound => (
                "it is starting or ending, or could not make its control socket (log.txt in the run's folder tells); \
                 try again in a moment"
                    .to_owned(),
                true,
            ),
            std::io::ErrorKind::ConnectionRefused => {
                ("it does not listen: it is starting or ending; try again in a moment".to_owned(), true)
            }
            _ => (e.to_string(), false),
        }
    } else {
        (format!("it is on another machine; use frostline there ({e})"), false)
    };
    AttachError::Unreachable { run: run.id().to_string(), pid: owner.pid, host: owner.host.clone(), why, passing }
}

/// The thread: until the first snapshot all goes to whoever connects, after it to the bus.
fn read(mut stream: UnixStream, first: &SyncSender<FromHost>, bus: &Bus, lagged: &AtomicBool) {
    let mut lines = Lines::new(MAX_SAID);
    let mut buffer = vec![0; 64 << 10];
    let mut greeted = false;
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        lines.feed(&buffer[..n], |line| {
            let Some(message) = line.ok().and_then(|l| decode::<FromHost>(l).ok()) else { return };
            if greeted {
                take(message, bus, lagged);
            } else {
                greeted = matches!(message, FromHost::Snapshot(_));
                let _ = first.try_send(message);
            }
        });
    }
    bus.close();
}

fn take(message: FromHost, bus: &Bus, lagged: &AtomicBool) {
    match message {
        FromHost::Event(record) => bus.push(record),
        FromHost::Steps(steps) => steps.records().for_each(|r| bus.push(r)),
        FromHost::Answer(answer) => {
            let (id, result) = (answer.id, answer.result());
            bus.push(Record { time_ms: now_ms(), step: 0, event: Event::Reply { id, result } });
        }
        FromHost::Lagged { .. } => lagged.store(true, Ordering::Release),
        // After a lag: so that at least the newest values are on view.
        FromHost::Snapshot(standing) => {
            let Standing { time_ms, step, epoch, mut metrics, .. } = standing;
            metrics.retain(|name, _| !name.starts_with("val/"));
            bus.push(Record { time_ms, step, event: Event::Step { epoch, metrics } });
        }
        // The connection's end says the same.
        FromHost::Bye { .. } => {}
        FromHost::Hello(_) | FromHost::Tree { .. } | FromHost::Error { .. } | FromHost::Unknown => {}
    }
}
