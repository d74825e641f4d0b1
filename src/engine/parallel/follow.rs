//! A process that is not rank 0: builds what rank 0 tells it to, serves it until the run is over, and writes nothing.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::alarm::end;
use super::line::{Line, silence};
use super::meet::perhaps_an_echo;
use super::op::{Answer, Message, Op};
use super::serve::Rank;
use super::wire::{self, Frame, Hello};
use super::world::{group, store};
use super::{MEET, VERSION, device_of, here};
use crate::core::recipe::Recipe;
use crate::engine::api::{Engine, EngineError, InputSpec};
use crate::engine::seat::Seat;
use crate::engine::torch::{TorchEngine, TorchLearner};
use crate::engine::{data, device};

type Result<T> = std::result::Result<T, EngineError>;

/// How long rank 0 is given to say whose fault it is.
const WORDS: Duration = Duration::from_secs(5);

/// Takes part in rank 0's run until it is over.
///
/// # Errors
/// In words, where this rank fails. Where another one does, the process ends with the words that rank 0 has for it.
pub fn follow(seat: &Seat) -> Result<()> {
    let store = store(seat)?;
    let failing = Arc::new(AtomicBool::new(false));
    let (line, messages) = connect(seat, &store.get("control", MEET)?, &failing)?;
    let say = |answer| drop(line.send(&Frame::Say(answer)));
    let work = || -> Result<()> {
        let Ok(Message { op: Op::Build { recipe, input }, .. }) = messages.recv() else { return Ok(()) };
        let (mut learner, data) = build(seat, &recipe, &input)?;
        let device = learner.device_name();
        say(Answer::Built(device.to_owned(), device::uuid(device)));
        let Ok(Message { op: Op::Join, .. }) = messages.recv() else { return Ok(()) };
        let group = group(seat, &store, learner.device_name()).map_err(perhaps_an_echo)?;
        learner.join(group);
        say(Answer::Done);
        let mut rank = Rank::new(learner, data.share(seat.rank, seat.size));
        let done = rank.serve(|| messages.recv().ok(), say);
        if done.as_ref().is_err_and(is_own) {
            // The others hear why before the connections close, which ends with the process.
            rank.learner.abandon();
        }
        done
    };
    let done = work();
    if let Err(error) = &done {
        failing.store(is_own(error), Ordering::Relaxed);
        say(Answer::of(error));
        if !is_own(error) {
            // Rank 0 says whose fault it is, and that ends this process.
            wait_for_the_end(&messages);
        }
    }
    done.map_err(|e| EngineError::Failed(format!("rank {}: {e}", seat.rank)))
}

/// Whether it is no other rank's fault.
fn is_own(error: &EngineError) -> bool {
    !matches!(error, EngineError::Lost(_))
}

fn build(seat: &Seat, recipe: &Recipe, input: &InputSpec) -> Result<(TorchLearner, data::Dataset)> {
    let device = device_of(seat, &recipe.train.devices)?;
    let channels = TorchEngine.input_channels(&recipe.model.arch);
    let data = data::open(&recipe.data, channels, recipe.train.seed).map_err(|e| EngineError::Failed(e.to_string()))?;
    let mut learner = TorchLearner::new(recipe, input, &device)?;
    learner.share_cores(seat.local_size);
    Ok((learner, data))
}

/// To where rank 0 has said (`PORT TOKEN`).
fn connect(seat: &Seat, control: &str, failing: &Arc<AtomicBool>) -> Result<(Line, Receiver<Message>)> {
    let failed = |e: std::io::Error| {
        EngineError::Failed(format!("rank {}: cannot reach rank 0 at {}: {e}", seat.rank, seat.master))
    };
    let Some((port, token)) = control.split_once(' ').and_then(|(p, t)| Some((p.parse::<u16>().ok()?, t))) else {
        return Err(EngineError::Failed(format!("rank {}: rank 0 is another version of frostline", seat.rank)));
    };
    let stream = TcpStream::connect((seat.master.as_str(), port)).map_err(failed)?;
    let receiving = stream.try_clone().map_err(failed)?;
    let line = Line::new(stream, seat.heartbeat).map_err(failed)?;
    let hello = Hello {
        token: token.to_owned(),
        rank: seat.rank,
        host: here(),
        pid: std::process::id(),
        version: VERSION.to_owned(),
    };
    line.send(&Frame::Hello(hello)).map_err(failed)?;
    let (say, messages) = channel();
    let (heartbeat, rank, failing) = (seat.heartbeat, seat.rank, Arc::clone(failing));
    let body = move || listen(receiving, heartbeat, rank, &failing, &say);
    std::thread::Builder::new().name("rank-0".to_owned()).spawn(body).map_err(failed)?;
    Ok((line, messages))
}

/// The body of the thread that listens to rank 0. What ends the run otherwise than in order ends the process here: the
/// main thread may wait inside libtorch for a rank that is gone, and there is nothing to be saved. What this rank does wrong
/// itself it says itself.
fn listen(mut stream: TcpStream, heartbeat: Duration, rank: usize, failing: &AtomicBool, say: &Sender<Message>) {
    let end = |words: &str| {
        if !failing.load(Ordering::Relaxed) {
            end(words);
        }
    };
    loop {
        match wire::read(&mut stream) {
            Ok(Frame::Do(message)) => {
                if say.send(message).is_err() {
                    return;
                }
            }
            Ok(Frame::Bye) => return,
            Ok(Frame::Abort(words)) => return end(&format!("rank {rank}: stopped, because of {words}")),
            Ok(_) => {}
            Err(error) => {
                return end(&format!("rank {rank}: stopped, because of rank 0: {}", silence(&error, heartbeat)));
            }
        }
    }
}

fn wait_for_the_end(messages: &Receiver<Message>) {
    let deadline = Instant::now() + WORDS;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        if messages.recv_timeout(left).is_err() {
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
