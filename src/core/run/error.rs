//! What the run store can fail with.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::checkpoint::CheckpointError;
use crate::core::io::advice;

/// What was wrong, where, and what to do, in one line.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a file operation.
    #[error("cannot {action} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// `write`, `read`, `create`…
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file's content makes no sense.
    #[error("{} is damaged: {message}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong in it and what to do.
        message: String,
    },
    /// No such run.
    #[error("{0}")]
    NotFound(String),
    /// Several runs answer to the name.
    #[error("`{what}` could be {}; give more of the id", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        what: String,
        /// The runs, `id (name, status, age)`.
        candidates: Vec<String>,
    },
    /// Another process hosts the run.
    #[error(
        "run {run} belongs to process {pid} on {host}, which is still alive; wait for its end, or stop it with `frostline stop {run}` (it writes a checkpoint)"
    )]
    Owned {
        /// The run's id.
        run: String,
        /// The owner's process id.
        pid: u32,
        /// The owner's host name.
        host: String,
    },
    /// A change that a run cannot take.
    #[error("{0}")]
    Refused(String),
    /// A checkpoint is missing or damaged.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl StoreError {
    /// For `map_err`: names the action and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
