//! What can be asked of a live run: the same words for a trainer thread in this process and for a socket to another.

use serde::{Deserialize, Serialize};

/// A command to a live run. It takes effect between two steps and is answered by [`super::event::Event::Reply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Stand still after the current step.
    Pause,
    /// Go on after a pause.
    Continue,
    /// Finish the step, write a checkpoint, end. The reason is kept in the log.
    Stop {
        /// "user", "SIGTERM"…
        reason: String,
    },
    /// Write a checkpoint now.
    Save,
    /// Evaluate on the validation data now.
    Evaluate,
    /// Append rules to the freeze plan, all or none.
    Freeze {
        /// Rules in the recipe's syntax (`freeze layer1.**`).
        rules: Vec<String>,
    },
    /// Set the base learning rate.
    SetLr {
        /// The new base rate.
        lr: f64,
    },
    /// Write a checkpoint and go on from it on other devices, as the same run.
    SetDevices {
        /// As `train.devices`.
        devices: Vec<String>,
    },
}

/// The reason of a stop by which a run goes over to another process, which resumes it at once. Where the checkpoint for it
/// cannot be written, the run goes on where it is.
pub const HANDED_OVER: &str = "handed over";

/// How the answer to such a stop begins where the run goes on where it is.
pub const NOT_HANDED_OVER: &str = "the run is not handed over and goes on here";

/// The answer to a command that came after the run's last step.
pub const OVER: &str = "the run is over";

/// A command with the number that its answer carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the sender.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}
