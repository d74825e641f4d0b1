//! The body of the thread `trainer`: begins, trains, and turns whatever happens (errors and panics too) into the run's last
//! event and an [`Outcome`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::core::command::{OVER, Request};
use crate::core::event::{Event, Metrics};

use crate::engine::Engine;

use super::begin::Job;
use super::trainer::{End, Trainer};
use super::{Bus, TrainError};

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It reached its end.
    Finished {
        /// Optimizer steps done.
        step: u64,
        /// The last metrics.
        metrics: Metrics,
    },
    /// It was stopped after a checkpoint.
    Stopped {
        /// Optimizer steps done.
        step: u64,
        /// By whom or what.
        reason: String,
    },
    /// It could not go on.
    Failed {
        /// What was wrong, where, what to do.
        message: String,
    },
    /// There was nothing to do: the run had reached its end before.
    AlreadyFinished,
}

/// Runs a job to its end. Then `before_unlock` is done, the run's lock given up and the bus closed, in this order.
pub fn run(
    engine: &dyn Engine,
    job: Job,
    inbox: &Receiver<Request>,
    bus: &Arc<Bus>,
    before_unlock: impl FnOnce(),
) -> Outcome {
    let Job { built, run, lock, mut out, standing, total, resumed_from, save_first, warnings, telemetry } = job;
    let (from, saved) = resumed_from.unzip();
    let mut trainer = Trainer::new(engine, built, standing, total, run, saved, &mut out, inbox);
    if let Some(telemetry) = telemetry {
        trainer.watch(telemetry);
    }
    let ended = caught(|| trainer.run(from, save_first, warnings));
    // What was on its way to the disk when the run failed is said too, and may be what `resume` goes on from.
    let _ = caught(|| trainer.last_words());
    let step = trainer.position().step;
    // Also ends the thread that writes checkpoints, before the run's lock is given up.
    let _ = caught(|| drop(trainer));
    let (step, end) = match ended {
        Ok(Ok(end)) => (step, end),
        Ok(Err(error)) => (step, End::Failed(error.to_string())),
        Err(words) => (out.step(), End::Failed(format!("{words}; `resume` goes on from the newest checkpoint"))),
    };
    let (event, outcome) = match end {
        End::Finished(metrics) => (Event::Finished { metrics: metrics.clone() }, Outcome::Finished { step, metrics }),
        End::Stopped(reason) => (Event::Stopped { reason: reason.clone() }, Outcome::Stopped { step, reason }),
        End::Failed(message) => (Event::Failed { message: message.clone() }, Outcome::Failed { message }),
    };
    for request in inbox.try_iter() {
        out.say(step, Event::Reply { id: request.id, result: Err(OVER.to_owned()) });
    }
    out.say(step, event);
    out.close();
    drop(out);
    before_unlock();
    drop(lock);
    bus.close();
    outcome
}

/// A panic as words.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| format!("the trainer broke down ({}); this is a bug", told(&*panic)))
}

/// `caught` for work that can fail.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    caught(work).unwrap_or_else(|words| Err(TrainError::Failed(words)))
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}
