//! The handle to a run, of this process or through its control socket, and what can be done with a recipe or a checkpoint without one: dry run, evaluation, prediction.
//!
//! Imports `engine` and `core`. Called by `cli` and `app`; both pass the engine in, so that tests hand in the fake one.

mod alerts;
mod attach;
mod audit;
mod control;
mod dry_run;
mod evaluate;
mod export;
mod handle;
mod inbox;
mod layers;
mod predict;
mod program;
mod start;
#[cfg(test)]
mod tests;

pub use alerts::alert;
pub use attach::{AskError, CALLED_OFF, Done, ask, attach, attach_patiently, attach_within};
pub use audit::{Reach, reach};
pub use control::AttachError;
pub use dry_run::{DryRun, dry_run};
pub use evaluate::{Evaluation, Source, evaluate};
pub use export::{ExportAs, Exportable, Exported, export};
pub use handle::{RunHandle, last_word, no_word};
pub use layers::{layers, layers_for};
pub use predict::{Predictions, predict};
pub use program::{Begun, LaunchError, Manner, Program, launch, leads_its_session, leave_terminal, redirect_to};
pub use start::{Extras, Session, Start};

pub use crate::engine::telemetry::Telemetry;
pub use crate::engine::train::{Outcome, TrainError as SessionError, metrics_words, words};
pub use crate::engine::{Engine, EngineError};
