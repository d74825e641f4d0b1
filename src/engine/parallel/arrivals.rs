//! How rank 0 waits for the others: each connects, says who it is (`greet`), and is listened to from then on.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::greet::Greeting;
use super::line::{Line, silence};
use super::op::Answer;
use super::peer::{Link, Peer};
use super::wire::{self, Frame, Hello};
use super::{MEET, VERSION, here};
use crate::engine::api::EngineError;

type Result<T> = std::result::Result<T, EngineError>;

/// Connections whose greeting is awaited at a time; others wait until one of them is through.
const GREETINGS: usize = 256;

/// Who has come so far.
pub struct Arrivals {
    /// By rank, from 1.
    found: Vec<Option<Peer>>,
    greetings: Vec<Greeting>,
    token: String,
    heartbeat: Duration,
    alarm: Arc<Alarm>,
}

impl Arrivals {
    /// Of so many ranks, which know the token.
    pub fn new(size: usize, token: String, heartbeat: Duration, alarm: Arc<Alarm>) -> Self {
        Self { found: (1..size).map(|_| None).collect(), greetings: Vec::new(), token, heartbeat, alarm }
    }

    /// Waits for all.
    ///
    /// # Errors
    /// In words, of which those that have come know nothing yet.
    pub fn wait(&mut self, listener: &TcpListener, master: &str) -> Result<Vec<Peer>> {
        let deadline = Instant::now() + MEET;
        while self.found.iter().any(Option::is_none) {
            if self.greetings.len() < GREETINGS
                && let Ok((stream, _)) = listener.accept()
            {
                self.greetings.extend(Greeting::new(stream).ok());
                continue;
            }
            self.hear()?;
            self.still_there()?;
            if Instant::now() > deadline {
                return Err(self.too_late(master));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(std::mem::take(&mut self.found).into_iter().flatten().collect())
    }

    fn hear(&mut self) -> Result<()> {
        let mut waiting = Vec::new();
        for mut greeting in std::mem::take(&mut self.greetings) {
            match greeting.hear() {
                Ok(None) => waiting.push(greeting),
                Ok(Some(hello)) if hello.token == self.token => {
                    let stream = greeting.stream().map_err(|e| cannot_talk(&e))?;
                    self.welcome(&hello, stream)?;
                }
                // It is not one of ours.
                Ok(Some(_)) | Err(_) => {}
            }
        }
        self.greetings = waiting;
        Ok(())
    }

    /// From now on it hears that rank 0 lives, however long the others take.
    fn welcome(&mut self, hello: &Hello, mut stream: TcpStream) -> Result<()> {
        let place = hello.rank.checked_sub(1).and_then(|i| self.found.get_mut(i));
        let words = match place {
            _ if hello.version != VERSION => format!(
                "rank {} on {} runs frostline {}, rank 0 {VERSION}: start the same build everywhere",
                hello.rank, hello.host, hello.version
            ),
            Some(place @ None) => {
                *place = Some(peer(hello, stream, self.heartbeat, &self.alarm).map_err(|e| cannot_talk(&e))?);
                return Ok(());
            }
            _ => format!(
                "two processes are rank {}, or it is not below WORLD_SIZE={}: check RANK",
                hello.rank,
                self.found.len() + 1
            ),
        };
        // The others are told by whoever called.
        let _ = wire::write(&mut stream, &Frame::Abort(format!("rank 0: {words}")));
        Err(EngineError::Failed(words))
    }

    /// Nobody waits for the rest where one has gone again.
    fn still_there(&self) -> Result<()> {
        let fault = |peer: &Peer| Some(format!("{}: {}", peer.name, peer.heard()?.fault()?));
        self.found.iter().flatten().find_map(fault).map_or(Ok(()), |words| Err(EngineError::Failed(words)))
    }

    fn too_late(&self, master: &str) -> EngineError {
        let missing = self.found.iter().enumerate().filter(|(_, f)| f.is_none());
        let missing: Vec<String> = missing.map(|(i, _)| (i + 1).to_string()).collect();
        EngineError::Failed(format!(
            "rank {} of {} did not come within {} s; look at what they say, and whether their machines reach {master}",
            missing.join(", "),
            self.found.len() + 1,
            MEET.as_secs()
        ))
    }
}

fn cannot_talk(error: &std::io::Error) -> EngineError {
    EngineError::Failed(format!("cannot talk to the other ranks: {error}"))
}

fn peer(hello: &Hello, stream: TcpStream, heartbeat: Duration, alarm: &Arc<Alarm>) -> std::io::Result<Peer> {
    let Hello { rank, host, pid, .. } = hello;
    let name = format!("rank {rank} (process {pid} on {host})");
    let (say, answers) = channel();
    let receiving = stream.try_clone()?;
    let line = Line::new(stream, heartbeat)?;
    alarm.add(line.caller());
    let (theirs, called) = (Arc::clone(alarm), name.clone());
    let body = move || listen(receiving, heartbeat, &called, &say, &theirs);
    std::thread::Builder::new().name(format!("rank-{rank}")).spawn(body)?;
    let elsewhere = (*host != here()).then(|| host.clone());
    Ok(Peer { name, elsewhere, link: Link::Process(line), answers })
}

/// The body of the thread that listens to a rank; it ends with the connection.
fn listen(mut stream: TcpStream, heartbeat: Duration, name: &str, say: &Sender<Answer>, alarm: &Arc<Alarm>) {
    loop {
        match wire::read(&mut stream) {
            Ok(Frame::Say(answer)) => {
                if say.send(answer).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                let words = silence(&error, heartbeat);
                let _ = say.send(Answer::Failed(words.clone()));
                // Nothing more is sent there, and whoever does so comes back.
                let _ = stream.shutdown(Shutdown::Both);
                alarm.ring(&format!("{name}: {words}"));
                return;
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::engine::parallel::line::tests::pair;

    /// Rank 1 as rank 0 has it, and its own end of the connection.
    pub fn rank_1(alarm: &Arc<Alarm>) -> (Peer, TcpStream) {
        let (here, there) = pair();
        let hello = Hello { token: String::new(), rank: 1, host: super::here(), pid: 7, version: VERSION.to_owned() };
        (peer(&hello, here, Duration::from_secs(20), alarm).unwrap(), there)
    }

    /// Why it is to end.
    pub fn said(there: &mut TcpStream) -> String {
        loop {
            match wire::read(there) {
                Ok(Frame::Abort(words)) => return words,
                Ok(_) => {}
                Err(e) => panic!("it was told nothing: {e}"),
            }
        }
    }

    fn hello(rank: usize, token: &str, version: &str) -> Frame {
        let (token, host, version) = (token.to_owned(), "there".to_owned(), version.to_owned());
        Frame::Hello(Hello { token, rank, host, pid: 7, version })
    }

    /// What comes of greetings to one of three ranks, and of one's own connection.
    fn wait(say: &[&dyn Fn(&mut TcpStream)]) -> (Result<Vec<String>>, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let connect = |say: &&dyn Fn(&mut TcpStream)| {
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            say(&mut stream);
            stream
        };
        let streams = say.iter().map(connect).collect();
        let mut arrivals = Arrivals::new(3, "token".to_owned(), Duration::from_secs(20), Arc::default());
        let found = arrivals.wait(&listener, "node1");
        arrivals.alarm.notice();
        (found.map(|found| found.into_iter().map(|p| p.name).collect()), streams)
    }

    #[test]
    fn strangers_that_say_nothing_hold_nobody_up() {
        let began = Instant::now();
        let send = |frame: Frame| move |to: &mut TcpStream| wire::write(to, &frame).unwrap();
        let silent = |_: &mut TcpStream| {};
        let (one, two) = (send(hello(1, "token", VERSION)), send(hello(2, "token", VERSION)));
        let stranger = send(hello(1, "guess", VERSION));
        let (found, _) = wait(&[&silent, &silent, &stranger, &two, &silent, &one]);
        let found = found.unwrap();
        assert!(found.len() == 2 && found[0].starts_with("rank 1 (process 7 on there"), "{found:?}");
        // One after the other they would take 5 s each.
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    }

    #[test]
    fn a_rank_that_does_not_fit_is_told_so() {
        let send = |frame: Frame| move |to: &mut TcpStream| wire::write(to, &frame).unwrap();
        for (frame, what) in
            [(hello(1, "token", "0.0.0"), "runs frostline 0.0.0"), (hello(3, "token", VERSION), "check RANK")]
        {
            let (found, mut streams) = wait(&[&send(frame)]);
            assert!(found.unwrap_err().to_string().contains(what));
            assert!(said(&mut streams[0]).contains(what));
        }
    }

    #[test]
    fn a_rank_that_goes_again_is_named() {
        let gone = |to: &mut TcpStream| {
            wire::write(to, &hello(2, "token", VERSION)).unwrap();
            to.shutdown(Shutdown::Both).unwrap();
        };
        let words = wait(&[&gone]).0.unwrap_err().to_string();
        assert_eq!(words, "rank 2 (process 7 on there): its process ended without a word");
    }
}
