//! Who connects to rank 0: the first frame of a connection. Nobody is waited for, since a connection may come from anywhere (a
//! scanner of ports, another program) and hold its tongue.

use std::io::{Error, ErrorKind, Read, Result};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::wire::{self, Frame, Hello};

/// How long it may take to say who one is.
const TIME: Duration = Duration::from_secs(5);

/// Bytes that it takes at most.
const SIZE: usize = 4096;

/// A connection whose first frame is on its way.
pub struct Greeting {
    stream: TcpStream,
    bytes: Vec<u8>,
    until: Instant,
}

impl Greeting {
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, bytes: Vec::new(), until: Instant::now() + TIME })
    }

    /// Takes what has come; whoever it is, once it is all there.
    ///
    /// # Errors
    /// Where it is not one of ours, or takes too long.
    pub fn hear(&mut self) -> Result<Option<Hello>> {
        loop {
            if Instant::now() > self.until {
                return Err(ErrorKind::TimedOut.into());
            }
            // Never more than this frame: others come behind it.
            let whole = match self.bytes.first_chunk::<4>() {
                None => 4,
                Some(length) => 4 + u32::from_le_bytes(*length) as usize,
            };
            if whole > SIZE {
                return Err(Error::new(ErrorKind::InvalidData, format!("a greeting of {whole} bytes")));
            }
            if self.bytes.len() >= 4 && self.bytes.len() == whole {
                return match wire::read(&mut self.bytes.as_slice())? {
                    Frame::Hello(hello) => Ok(Some(hello)),
                    _ => Err(Error::new(ErrorKind::InvalidData, "not a greeting")),
                };
            }
            let more = (whole - self.bytes.len()) as u64;
            match (&self.stream).take(more).read_to_end(&mut self.bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // What came before it is kept.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// The connection, for what comes then.
    pub fn stream(self) -> Result<TcpStream> {
        self.stream.set_nonblocking(false)?;
        Ok(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::engine::parallel::line::tests::pair;

    fn hello() -> Hello {
        let word = |w: &str| w.to_owned();
        Hello { token: word("token"), rank: 1, host: word("here"), pid: 7, version: word("1") }
    }

    /// What comes of it in the end.
    fn heard(greeting: &mut Greeting) -> Result<Hello> {
        loop {
            match greeting.hear() {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Ok(Some(hello)) => return Ok(hello),
                Err(e) => return Err(e),
            }
        }
    }

    #[test]
    fn a_greeting_in_pieces_is_taken_and_what_follows_is_left() {
        let (mut there, here) = pair();
        let mut greeting = Greeting::new(here).unwrap();
        let mut all = Vec::new();
        wire::write(&mut all, &Frame::Hello(hello())).unwrap();
        wire::write(&mut all, &Frame::Beat).unwrap();
        assert!(greeting.hear().unwrap().is_none());
        for piece in all.chunks(7) {
            there.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            if greeting.bytes.len() < 20 {
                assert!(greeting.hear().unwrap().is_none());
            }
        }
        assert_eq!(heard(&mut greeting).unwrap(), hello());
        assert!(matches!(wire::read(&mut greeting.stream().unwrap()), Ok(Frame::Beat)));
    }

    #[test]
    fn one_that_drips_has_no_more_time_than_one_that_says_nothing() {
        let (mut there, here) = pair();
        let mut greeting = Greeting::new(here).unwrap();
        greeting.until = Instant::now() + Duration::from_millis(200);
        let began = Instant::now();
        let drip = std::thread::spawn(move || {
            // A length of 256, then a byte at a time.
            let _ = there.write_all(&[0, 1, 0, 0]);
            while there.write_all(b" ").is_ok() && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        assert_eq!(heard(&mut greeting).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(40));
        drop(greeting);
        drip.join().unwrap();
    }

    #[test]
    fn whoever_is_somebody_else_is_turned_away_at_once() {
        for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[255; 8], &[3, 0, 0, 0, b'x', b'y', b'z']] {
            let (mut there, here) = pair();
            let mut greeting = Greeting::new(here).unwrap();
            there.write_all(words).unwrap();
            assert_eq!(heard(&mut greeting).unwrap_err().kind(), ErrorKind::InvalidData, "{words:?}");
        }
        let (there, here) = pair();
        drop(there);
        assert_eq!(heard(&mut Greeting::new(here).unwrap()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
