//! One end of a connection to another process: sends frames, and a sign of life whenever there has been none for a while.
//! What cannot be sent ends the line, in both directions.

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
    /// Waits for an end that takes nothing as long as for one that says nothing.
    fn send(&self, frame: &Frame) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = wire::write(&mut *stream, frame);
        if sent.is_err() {
            // Half a frame may be on its way, which no other one can follow.
            let _ = stream.shutdown(Shutdown::Both);
        }
        sent
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
    /// `heartbeat`: the silence after which the other end gives this one up. Also the longest that this stream waits for a
    /// byte to come or to go.
    pub fn new(stream: TcpStream, heartbeat: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(heartbeat))?;
        stream.set_write_timeout(Some(heartbeat))?;
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

#[cfg(test)]
pub mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;
    use crate::core::tensor::HostTensor;
    use crate::engine::parallel::op::{Message, Op};

    /// Two ends of a connection.
    pub fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (here, listener.accept().unwrap().0)
    }

    /// More than a connection holds.
    pub fn big() -> Frame {
        let tensor = HostTensor::from_f32("a", &[8 << 20], &vec![0.0; 8 << 20]);
        Frame::Do(Message { op: Op::Weights, tensors: Arc::new(vec![tensor]) })
    }

    #[test]
    fn an_end_that_takes_nothing_is_given_up_and_gets_no_half_frame_with_another_behind_it() {
        let heartbeat = Duration::from_millis(400);
        let (here, mut there) = pair();
        let mut receiving = here.try_clone().unwrap();
        let line = Line::new(here, heartbeat).unwrap();
        let began = Instant::now();
        assert!(line.send(&big()).is_err());
        assert!(line.send(&Frame::Bye).is_err());
        assert!(wire::read(&mut receiving).is_err(), "the line is over in both directions");
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        there.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut frames = std::iter::from_fn(|| Some(wire::read(&mut there)));
        let odd = frames.find(|f| !matches!(f, Ok(Frame::Beat))).unwrap();
        assert_eq!(odd.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_was_said_before_the_line_broke_is_still_heard() {
        let (here, mut there) = pair();
        let mut receiving = here.try_clone().unwrap();
        let line = Line::new(here, Duration::from_secs(5)).unwrap();
        wire::write(&mut there, &Frame::Abort("why".to_owned())).unwrap();
        there.shutdown(Shutdown::Both).unwrap();
        drop(there);
        while line.send(&Frame::Beat).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(wire::read(&mut receiving), Ok(Frame::Abort(words)) if words == "why"));
    }
}
