//! What the checkpoint store can fail with.

use std::io;
use std::path::{Path, PathBuf};

use super::Damage;
use super::policy::Guard;
use crate::core::io::advice;

/// What was wrong, where, and what to do, in one line.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused a file operation.
    #[error("cannot {action} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// `write`, `read`…
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("checkpoint {} is damaged: {}; use another one (`RUN@step`)", path.display(), words(damage))]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Each damaged file.
        damage: Vec<Damage>,
    },
    /// It was written by a newer Frostline.
    #[error("checkpoint {} has format {format}, this program knows up to {known}; use a newer Frostline", path.display())]
    Newer {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// It is not to be deleted.
    #[error("checkpoint {} is not deleted: {guard}", path.display())]
    Guarded {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Why not.
        guard: Guard,
    },
    /// A tensor cannot be stored.
    #[error("tensor `{name}` cannot be saved: {message}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why not.
        message: String,
    },
    /// No checkpoint loads.
    #[error("{} holds no checkpoint that can be loaded{}", path.display(), tried(passed))]
    NoneGood {
        /// The folder of the checkpoints.
        path: PathBuf,
        /// Those that were tried, in words.
        passed: Vec<String>,
    },
    /// No such checkpoint.
    #[error("{} is no checkpoint: it has no complete state.json", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// For `map_err`: names the action and the path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn words(damage: &[Damage]) -> String {
    damage.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn tried(passed: &[String]) -> String {
    if passed.is_empty() { String::new() } else { format!(" ({})", passed.join("; ")) }
}
