//! What can be wrong with data, in words.

use std::path::PathBuf;

/// A problem with the data: what was wrong, where, and what to do, in one line.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The recipe and the data do not fit each other.
    #[error("{0}")]
    Refused(String),
    /// A file or folder could not be read.
    #[error("{}: {source}; check that it exists and can be read (data.path)", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is to be predicted could not be read.
    #[error("{}: {source}; check that it exists and can be read", path.display())]
    NoInput {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    Format {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// A damaged image, where the recipe asks to stop or nothing can stand in for it.
    #[error(
        "{}: damaged image ({why}); repair or remove it, or set data.on_bad_image = \"skip\"",
        path.display()
    )]
    BadImage {
        /// Which file.
        path: PathBuf,
        /// What the decoder said.
        why: String,
    },
    /// No image of the data set can be decoded.
    #[error("none of the {count} training images can be decoded; the first is {}: {why}", path.display())]
    NoGoodImage {
        /// Number of images tried.
        count: usize,
        /// The first of them.
        path: PathBuf,
        /// What the decoder said of it.
        why: String,
    },
    /// A data worker failed in a way that no input should cause.
    #[error(
        "a data worker failed on batch {batch}: {what}; this is a bug, set data.workers = 0 to go on without workers"
    )]
    Worker {
        /// Number of the batch in its epoch, from 0.
        batch: usize,
        /// The panic's message.
        what: String,
    },
}

impl DataError {
    pub(super) fn format(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Format { path: path.into(), what: what.into() }
    }

    pub(super) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// Damaged images that a message names at most.
const NAMED: usize = 3;

/// `2 damaged images are skipped: a.jpg: why; b.jpg: why`, of images that are each given as `path: why`.
pub fn skipped_words(images: &[String]) -> Option<String> {
    let named = images.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    Some(match images.len() {
        0 => return None,
        1 => format!("1 damaged image is skipped: {named}"),
        n if n <= NAMED => format!("{n} damaged images are skipped: {named}"),
        n => format!("{n} damaged images are skipped: {named}; and {} more", n - NAMED),
    })
}

/// The message of a caught panic.
pub(super) fn panic_words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".into())
}
