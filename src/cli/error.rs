//! The one place that turns errors of the layers below into words and exit codes.

use std::io::ErrorKind;

use crate::core::checkpoint::CheckpointError;
use crate::core::freeze::FreezeError;
use crate::core::recipe::RecipeError;
use crate::core::run::StoreError;
use crate::core::weights::WeightsError;
use crate::engine::EngineError;
use crate::session::{AttachError, SessionError};
use crate::tui::TuiError;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything was done.
    Ok,
    /// The user stopped a run, and a checkpoint was written: 130.
    Stopped,
    /// The same, and the scheduler that starts it again wants to know by this code.
    Requeue(u8),
    /// The command worked and what it looked at is not right (`verify` found damage): 1.
    Bad,
}

impl Done {
    /// Exit code of wrong usage.
    pub const USAGE: u8 = 2;

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Bad => 1,
            Self::Stopped => 130,
            Self::Requeue(code) => code,
        }
    }
}

/// Why a command did not do what was asked. The text says what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The work could not be done: 1.
    #[error("{0}")]
    Failed(String),
    /// The arguments make no sense together: 2.
    #[error("{0}")]
    Usage(String),
    /// What was given is not usable (recipe, file, run, plan): 3.
    #[error("{0}")]
    Refused(String),
    /// Another process of this program has said what was wrong; its exit code.
    #[error("exit code {0}")]
    Said(u8),
    /// Whoever read stdout has gone (`frostline ls | head -1`); nobody is left to tell.
    #[error("stdout was closed")]
    OutputClosed,
}

impl CliError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => Done::USAGE,
            Self::Refused(_) => 3,
            Self::Said(code) => *code,
            Self::OutputClosed => 0,
        }
    }

    /// For `map_err`: what was given is not usable.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }

    /// For `map_err`: the work could not be done.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(message) => Self::Refused(message),
            e @ (EngineError::Failed(_) | EngineError::OutOfMemory(_) | EngineError::Lost(_)) => {
                Self::Failed(e.to_string())
            }
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Checkpoint(error) => error.into(),
            StoreError::Io { .. } | StoreError::Owned { .. } => Self::failed(error),
            _ => Self::refused(error),
        }
    }
}

impl From<CheckpointError> for CliError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Io { .. } => Self::failed(error),
            _ => Self::refused(error),
        }
    }
}

impl From<WeightsError> for CliError {
    fn from(error: WeightsError) -> Self {
        match &error {
            // A file that is not there or may not be read is bad input; a disk that is full is not.
            WeightsError::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::IsADirectory => Self::refused(error),
                _ => Self::failed(error),
            },
            _ => Self::refused(error),
        }
    }
}

impl From<RecipeError> for CliError {
    fn from(error: RecipeError) -> Self {
        Self::refused(error)
    }
}

impl From<FreezeError> for CliError {
    fn from(error: FreezeError) -> Self {
        Self::refused(error)
    }
}

impl From<SessionError> for CliError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            SessionError::Checkpoint(error) => error.into(),
            SessionError::Weights(error) => error.into(),
            other if other.is_refusal() => Self::refused(other),
            other => Self::failed(other),
        }
    }
}

impl From<AttachError> for CliError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::NotLive { .. } => Self::refused(error),
            AttachError::Unreachable { .. } => Self::failed(error),
        }
    }
}

impl From<TuiError> for CliError {
    fn from(error: TuiError) -> Self {
        match error {
            TuiError::NoTerminal(_) => Self::Usage(error.to_string()),
            _ => Self::failed(error),
        }
    }
}
