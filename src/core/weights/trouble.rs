//! What can be wrong inside a file while it is read; the reader that opened the file adds the path.

use std::io;
use std::path::Path;

use super::WeightsError;
use super::source::Exhausted;

#[derive(Debug)]
pub(super) enum Trouble {
    /// The system refused.
    Io(io::Error),
    /// The file is not whole, or lies.
    Damaged(String),
    /// The file is whole, but cannot be read here.
    Refused(String),
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

pub(super) fn damaged<T>(problem: impl Into<String>) -> Result<T> {
    Err(Trouble::Damaged(problem.into()))
}

pub(super) fn refused<T>(problem: impl Into<String>) -> Result<T> {
    Err(Trouble::Refused(problem.into()))
}

impl Trouble {
    pub fn at(self, path: &Path, format: &'static str) -> WeightsError {
        match self {
            Self::Io(source) => WeightsError::Io { path: path.to_owned(), what: "read", source },
            Self::Damaged(problem) => WeightsError::Damaged { path: path.to_owned(), format, problem },
            Self::Refused(problem) => WeightsError::not_weights(path, problem),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Positions are checked against the file's size, so this is a file that shrank, or one that lies about an inner size.
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Damaged(super::header::shown(&error.to_string()))
            }
            _ => Self::Io(error),
        }
    }
}

impl From<Exhausted> for Trouble {
    fn from(_: Exhausted) -> Self {
        Self::Refused("would take more memory than its own size and 64 MiB; it is damaged or made to do harm".into())
    }
}

impl From<std::collections::TryReserveError> for Trouble {
    fn from(_: std::collections::TryReserveError) -> Self {
        Self::Refused("takes more memory than there is".into())
    }
}
