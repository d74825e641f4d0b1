//! What state a run is in.

use serde::{Deserialize, Serialize};

/// What state a run is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Waits for its turn (reserved).
    Queued,
    /// A live process trains it.
    Running,
    /// A live process holds it still.
    Paused,
    /// It reached its end.
    Finished,
    /// It was stopped after a checkpoint and can go on.
    Stopped,
    /// It could not go on and said why.
    Failed,
    /// Its process is gone without a word; `resume` goes on from the newest checkpoint.
    Crashed,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Paused, Self::Finished, Self::Stopped, Self::Failed, Self::Crashed];

    /// The word that listings show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }

    /// Whether a live process hosts it.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
