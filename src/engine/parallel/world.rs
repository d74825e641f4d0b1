//! Rank 0 of several processes: waits for the others, and makes a [`Leader`] of them.
//!
//! All meet in a c10d store, where rank 0 leaves the port that it listens at and a token. Each other rank connects to it, and the
//! connection stays for the whole run: it carries operations, answers and signs of life, and its end tells that a process
//! has died.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::alarm::Alarm;
use super::arrivals::Arrivals;
use super::leader::WORDS;
use super::op::{Answer, Message, Op};
use super::peer::Peer;
use super::{Leader, MEET, PATIENCE, device_of, nccl};
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

/// The group of ranks, of which this one is on `device`.
pub(super) fn group(seat: &Seat, store: &Store, device: &str) -> Result<Group> {
    let host = if seat.is_loopback() { "127.0.0.1" } else { "" };
    let mut group = Group::gloo(store, seat.rank, seat.size, host, &seat.interface, PATIENCE)?;
    nccl::go_over(&mut group, store, device)?;
    Ok(group)
}

/// All ranks, connected and waiting.
struct World {
    store: Arc<Store>,
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
    /// Waits for all others. Where that fails, those that have come hear why.
    fn gather(seat: &Seat) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| EngineError::Failed(format!("rank 0: {what}: {e}"));
        let address = if seat.is_loopback() { "127.0.0.1:0" } else { "[::]:0" };
        let listener = TcpListener::bind(address).or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let listener = listener.map_err(|e| failed("cannot listen for the other ranks", e))?;
        let port = listener.local_addr().map_err(|e| failed("no address", e))?.port();
        listener.set_nonblocking(true).map_err(|e| failed("cannot listen for the other ranks", e))?;
        let token = token();
        let store = Arc::new(store(seat)?);
        store.set("control", &format!("{port} {token}"))?;
        let alarm = Arc::new(Alarm::default());
        let mut arrivals = Arrivals::new(seat.size, token, seat.heartbeat, Arc::clone(&alarm));
        match arrivals.wait(&listener, &seat.master) {
            Ok(peers) => Ok(Self { store, peers, alarm }),
            Err(error) => {
                alarm.notice();
                alarm.tell(&format!("rank 0: {error}"));
                Err(error)
            }
        }
    }

    /// Has everybody build, and joins them.
    fn lead(&mut self, seat: &Seat, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Leader> {
        let build = Op::Build { recipe: Box::new(recipe.clone()), input: input.clone() };
        let message = Message::from(build);
        if let Some(gone) = self.peers.iter_mut().find_map(|p| (!p.send(&message)).then_some(p)) {
            let said = gone.failure(Instant::now() + WORDS);
            let words = said.as_ref().and_then(Answer::fault).unwrap_or("it is gone");
            return Err(EngineError::Failed(format!("{}: {words}", gone.name)));
        }
        let mut local = TorchLearner::new(recipe, input, device)?;
        local.share_cores(seat.local_size);
        let (peers, alarm) = (std::mem::take(&mut self.peers), Arc::clone(&self.alarm));
        let (seat, store) = (seat.clone(), Arc::clone(&self.store));
        let (brakes, own) = (Arc::clone(&alarm.brakes), device.to_owned());
        let theirs = Arc::clone(&brakes);
        let join = move || {
            let group = group(&seat, &store, &own)?;
            theirs.take_from(&group);
            Ok(group)
        };
        Leader::assemble(local, peers, device, Vec::new(), Some(alarm), brakes, join)
    }

    /// Tells the others why there is no run.
    fn fail(&mut self, error: &EngineError) {
        // Otherwise the leader has told them.
        if !self.peers.is_empty() {
            self.alarm.notice();
            self.alarm.tell(&format!("rank 0: {error}"));
            self.peers.clear();
        }
    }
}

/// 128 bits that nobody guesses.
fn token() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

fn settled() -> EngineError {
    EngineError::Refused(
        "the devices of a run of several processes stay as they are; stop it, and resume it on others".to_owned(),
    )
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

    /// This process's own, until the run has them.
    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>> {
        if self.world.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(settled());
        }
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
            return Err(settled());
        };
        let led = world.lead(&self.seat, recipe, input, device);
        Ok(Box::new(led.inspect_err(|error| world.fail(error))?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::parallel::arrivals::tests::{rank_1, said};
    use crate::engine::parallel::tests::{input, opened, recipe};

    #[test]
    fn a_rank_0_that_cannot_build_tells_the_others_why() {
        let alarm = Arc::new(Alarm::default());
        let (peer, mut there) = rank_1(&alarm);
        let world = World { store: Arc::new(Store::local().unwrap()), peers: vec![peer], alarm };
        let vars = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
        let get = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let seat = Seat::read(get).unwrap().unwrap();
        let engine = LeadingEngine { seat, world: Mutex::new(Some(world)) };
        let (mut recipe, data) = (recipe(), opened());
        recipe.model.arch = "no-such".to_owned();
        let Err(error) = engine.learner_on(&recipe, &input(&data), &data, &["cpu".to_owned()]) else {
            panic!("there is no such model")
        };
        assert_eq!(said(&mut there), format!("rank 0: {error}"));
        let refused = engine.resolve_devices(&["cpu".to_owned()]).unwrap_err().to_string();
        assert!(refused.starts_with("the devices of a run of several processes stay"), "{refused}");
    }
}
