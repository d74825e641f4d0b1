//! One end of a connection to another process: sends frames, and a sign of life whenever there has been none for a while.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::wire::{self, Frame};

/// The sending end. Its thread (`beat`) ends when this is dropped, and so does what the other end receives.
pub struct Line {
    wire: Arc<Wire>,
    beat: Option<JoinHandle<()>>,
}

/// What the end and its thread share.
struct Wire {
    stream: Mutex<TcpStream>,
    over: AtomicBool,
}

impl Wire {
    fn send(&self, frame: &Frame) -> io::Result<()> {
        wire::write(&mut *self.stream.lock().unwrap_or_else(PoisonError::into_inner), frame)
    }
}

/// Sends to a line without keeping it open.
#[derive(Clone)]
pub struct Caller(Arc<Wire>);

impl Caller {
    pub fn send(&self, frame: &Frame) -> io::Result<()> {
        self.0.send(frame)
    }
}

impl Line {
    /// `heartbeat`: the silence after which the other end gives this one up. Also the longest that the receiving end of
    /// this stream waits for a byte.
    pub fn new(stream: TcpStream, heartbeat: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(heartbeat))?;
        let wire = Arc::new(Wire { stream: Mutex::new(stream), over: AtomicBool::new(false) });
        let theirs = Arc::clone(&wire);
        let body = move || {
            loop {
                std::thread::park_timeout(heartbeat / 4);
                // An error is the receiving end's to tell.
                if theirs.over.load(Ordering::Acquire) || theirs.send(&Frame::Beat).is_err() {
                    return;
                }
            }
        };
        let beat = std::thread::Builder::new().name("beat".to_owned()).spawn(body)?;
        Ok(Self { wire, beat: Some(beat) })
    }

    pub fn send(&self, frame: &Frame) -> io::Result<()> {
        self.wire.send(frame)
    }

    pub fn caller(&self) -> Caller {
        Caller(Arc::clone(&self.wire))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.wire.over.store(true, Ordering::Release);
        let _ = self.wire.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Write);
        if let Some(beat) = self.beat.take() {
            beat.thread().unpark();
            let _ = beat.join();
        }
    }
}

/// Why nothing comes any more, in words.
pub fn silence(error: &io::Error, heartbeat: Duration) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no heartbeat for {} s", heartbeat.as_secs_f64())
        }
        io::ErrorKind::InvalidData => format!("what it sends makes no sense ({error})"),
        _ => "its process ended without a word".to_owned(),
    }
}
