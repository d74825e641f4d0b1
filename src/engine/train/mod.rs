//! The trainer: one thread that owns model, data and run folder, and speaks to the rest through a bus of events and an
//! inbox of commands.
//!
//! `build` checks a recipe and brings it to life, `plan` puts freeze plans into force, `begin` finds where a run starts, `disk` what it will take,
//! `trainer` is the loop, with `commands`, `phases` (the freeze schedule), `boundary` (validation, ends) and `save` beside
//! it, and `saver` and `watch` (device load) on other threads; `host` is the thread's body. Plain Rust over the [`Learner`](super::Learner) trait: no tch. Imports `core`, the
//! engine's border, `data` and `telemetry`; called by `session` alone.

mod audit;
mod auto_batch;
mod begin;
mod blame;
mod boundary;
mod build;
mod bus;
mod commands;
mod devices;
mod disk;
mod error;
pub mod evaluate;
mod foreseen;
mod gradients;
mod host;
mod memory;
mod output;
mod phases;
mod plan;
mod position;
mod pretrained;
mod save;
mod saver;
mod trainer;
mod watch;
mod words;

pub use begin::{Begun, Job, fork, fresh, resume, total_steps};
pub use build::{Built, model, one_device, restore, trainable, weighted};
pub use bus::{Bus, Dense, Reader};
pub use disk::{Disk, slots};
pub use error::TrainError;
pub use host::{Outcome, guarded, run};
pub use output::now_ms;
pub use position::Position;
pub use words::{metrics_words, words};
