//! Rank 0 of several processes: waits for the others, and makes a [`Leader`] of them.
//!
//! All meet in a c10d store, where rank 0 leaves the port that it listens at and a token. Each other rank connects to it, and the
//! connection stays for the whole run: it carries operations, answers and signs of life, and its end tells that a process
//! has died.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::line::{Line, silence};
use super::op::{Answer, Op};
use super::peer::{Link, Peer};
use super::wire::{self, Frame, Hello};
use super::{Leader, MEET, PATIENCE, VERSION, device_of, here};
use crate::core::recipe::Recipe;
use crate::core::tensor::HostTensor;
use crate::engine::api::{DeviceInfo, Engine, EngineError, InputSpec, Learner};
use crate::engine::data::Dataset;
use crate::engine::ffi::c10d::{Group, Store};
use crate::engine::seat::Seat;
use crate::engine::telemetry::Telemetry;
use crate::engine::torch::{TorchEngine, TorchLearner};

type Result<T> = std::result::Result<T, EngineError>;

/// The store that all meet in.
pub(super) fn store(seat: &Seat) -> Result<Store> {
    let serve = seat.rank == 0 && !seat.agent;
    Store::tcp(&seat.master, seat.port, serve, &seat.prefix, MEET).map_err(|e| {
        let what = if serve { "serve" } else { "reach" };
        EngineError::Failed(format!(
            "rank {}: cannot {what} the store at {}:{} (MASTER_ADDR, MASTER_PORT): {e}",
            seat.rank, seat.master, seat.port
        ))
    })
}

/// The group of ranks.
pub(super) fn group(seat: &Seat, store: &Store) -> Result<Group> {
    let host = if seat.is_loopback() { "127.0.0.1" } else { "" };
    Ok(Group::gloo(store, seat.rank, seat.size, host, &seat.interface, PATIENCE)?)
}

/// All ranks, connected and waiting.
struct World {
    store: Store,
    peers: Vec<Peer>,
    alarm: Arc<Alarm>,
}

/// libtorch on several processes, of which this one is rank 0.
pub struct LeadingEngine {
    seat: Seat,
    world: Mutex<Option<World>>,
}

impl LeadingEngine {
    /// Waits for all other ranks.
    pub fn new(seat: Seat) -> Result<Self> {
        let world = Mutex::new(Some(World::gather(&seat)?));
        Ok(Self { seat, world })
    }
}

impl Drop for World {
    /// There was no run, where it still has the ranks.
    fn drop(&mut self) {
        if !self.peers.is_empty() {
            self.alarm.notice();
            self.peers.iter_mut().for_each(Peer::dismiss);
        }
    }
}

impl World {
    fn gather(seat: &Seat) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| EngineError::Failed(format!("rank 0: {what}: {e}"));
        let address = if seat.is_loopback() { "127.0.0.1:0" } else { "[::]:0" };
        let listener = TcpListener::bind(address).or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let listener = listener.map_err(|e| failed("cannot listen for the other ranks", e))?;
        let port = listener.local_addr().map_err(|e| failed("no address", e))?.port();
        listener.set_nonblocking(true).map_err(|e| failed("cannot listen for the other ranks", e))?;
        let token = token();
        let store = store(seat)?;
        store.set("control", &format!("{port} {token}"))?;
        let alarm = Arc::new(Alarm::default());
        let mut found: Vec<Option<Peer>> = (1..seat.size).map(|_| None).collect();
        let deadline = Instant::now() + MEET;
        while found.iter().any(Option::is_none) {
            match listener.accept() {
                Ok((stream, _)) => {
                    let Some((hello, stream)) = greet(stream, &token) else { continue };
                    if hello.version != VERSION {
                        return Err(EngineError::Failed(format!(
                            "rank {} on {} runs frostline {}, rank 0 {VERSION}: start the same build everywhere",
                            hello.rank, hello.host, hello.version
                        )));
                    }
                    match hello.rank.checked_sub(1).and_then(|i| found.get_mut(i)) {
                        // From now on it hears that rank 0 lives, however long the others take.
                        Some(place @ None) => {
                            let peer = peer(&hello, stream, seat.heartbeat, &alarm);
                            *place = Some(peer.map_err(|e| failed("cannot talk to the other ranks", e))?);
                        }
                        _ => {
                            return Err(EngineError::Failed(format!(
                                "two processes are rank {}, or it is not below WORLD_SIZE={}: check RANK",
                                hello.rank, seat.size
                            )));
                        }
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(_) => {
                    let missing = found.iter().enumerate().filter(|(_, f)| f.is_none());
                    let missing: Vec<String> = missing.map(|(i, _)| (i + 1).to_string()).collect();
                    return Err(EngineError::Failed(format!(
                        "rank {} of {} did not come within {} s; look at what they say, and whether their machines reach {}",
                        missing.join(", "),
                        seat.size,
                        MEET.as_secs(),
                        seat.master
                    )));
                }
            }
        }
        Ok(Self { store, peers: found.into_iter().flatten().collect(), alarm })
    }
}

/// 128 bits that nobody guesses.
fn token() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

/// Who has connected; nobody where it is not one of ours.
fn greet(stream: TcpStream, token: &str) -> Option<(Hello, TcpStream)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    match wire::read(&mut &stream) {
        Ok(Frame::Hello(hello)) if hello.token == token => Some((hello, stream)),
        _ => None,
    }
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
                alarm.ring(&format!("{name}: {words}"));
                return;
            }
        }
    }
}

impl Engine for LeadingEngine {
    fn name(&self) -> String {
        TorchEngine.name()
    }

    fn devices(&self) -> Vec<DeviceInfo> {
        TorchEngine.devices()
    }

    fn telemetry(&self) -> Option<Telemetry> {
        TorchEngine.telemetry()
    }

    fn architectures(&self) -> Vec<String> {
        TorchEngine.architectures()
    }

    fn input_channels(&self, arch: &str) -> Option<usize> {
        TorchEngine.input_channels(arch)
    }

    /// This process's own.
    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>> {
        Ok(vec![device_of(&self.seat, asked)?])
    }

    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>> {
        TorchEngine.learner(recipe, input, device)
    }

    fn learner_on(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        _data: &Dataset,
        devices: &[String],
    ) -> Result<Box<dyn Learner>> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(mut world), Some(device)) = (world, devices.first()) else {
            return Err(EngineError::Refused(
                "the devices of a run of several processes stay as they are; stop it, and resume it on others"
                    .to_owned(),
            ));
        };
        let build = Op::Build { recipe: Box::new(recipe.clone()), input: input.clone() };
        let message = build.into();
        if let Some(gone) = world.peers.iter_mut().find_map(|p| (!p.send(&message)).then(|| p.name.clone())) {
            return Err(EngineError::Failed(format!("{gone} is gone")));
        }
        let mut local = TorchLearner::new(recipe, input, device)?;
        local.share_cores(self.seat.local_size);
        let (peers, alarm) = (std::mem::take(&mut world.peers), Arc::clone(&world.alarm));
        let leader =
            Leader::assemble(local, peers, device, Vec::new(), Some(alarm), || group(&self.seat, &world.store))?;
        Ok(Box::new(leader))
    }

    fn export_script(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        weights: &[HostTensor],
        to: &mut dyn std::io::Write,
    ) -> Result<()> {
        TorchEngine.export_script(recipe, input, weights, to)
    }
}
