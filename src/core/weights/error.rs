//! What can be wrong with weights: each message names the file or tensor and what to do, in one line.

use std::io;
use std::path::{Path, PathBuf};

use super::LoadReport;
use super::header::shown_path;
use crate::core::checkpoint::CheckpointError;
use crate::core::io::parent;
use crate::core::tensor::DType;

/// Why weights could not be read, mapped or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The system refused.
    #[error("{}: cannot {what}: {source}{}", shown_path(path), advice(path, what, source))]
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `write`…
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The path is not a weights file.
    #[error("{}: {problem}", shown_path(path))]
    NotWeights {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// The file is damaged, or its header lies.
    #[error("{}: damaged {format} file: {problem}", shown_path(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `safetensors`, `torch.save`…
        format: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// A tensor has an element type that models here do not use.
    #[error(
        "{}: tensor `{tensor}` has type {dtype}, which cannot be loaded; convert it to float32 first",
        shown_path(path)
    )]
    UnsupportedType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// A tensor is of a kind that has no plain values.
    #[error(
        "{}: tensor `{tensor}` {what} cannot be loaded; leave it out with model.load.drop, or save it as a plain tensor",
        shown_path(path)
    )]
    OtherTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What it is: `is quantized`…
        what: &'static str,
    },
    /// A view that repeats its elements.
    #[error(
        "{}: tensor `{tensor}` would take {bytes} bytes, more than its file and 64 MiB: it repeats what it holds; save it with .contiguous() or leave it out with model.load.drop",
        shown_path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its bytes.
        bytes: u64,
    },
    /// No state dict under this key.
    #[error("{}: there is nothing under model.load.key = \"{key}\"{}", shown_path(path), places(there))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Where state dicts are.
        there: Vec<String>,
    },
    /// A folder that looks like a checkpoint is not one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The state dict is not the model's.
    #[error("{}the weights do not fit the model: {}", Self::file(path), report.problems())]
    DoesNotFit {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// All that does not fit.
        report: Box<LoadReport>,
    },
    /// Two tensors end up under one name.
    #[error(
        "{}tensors `{first}` and `{second}` both become `{name}`; change the rename or strip_prefix rule, or drop one",
        Self::file(path)
    )]
    Collision {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// In the file.
        first: String,
        /// In the file.
        second: String,
        /// After renaming.
        name: String,
    },
    /// `head = "new"` on a model without a known head.
    #[error(
        "model.load.head = \"new\": this model has no head to initialise afresh; use model.load.drop with strict = false instead"
    )]
    NoHead,
    /// A pattern that chooses tensors matches none.
    #[error("{option} `{pattern}` matches no tensor; `frostline inspect` lists the names")]
    NoMatch {
        /// `--only`, `--drop`, `--rename`.
        option: &'static str,
        /// The pattern.
        pattern: String,
    },
    /// Nothing is left to write.
    #[error("no tensor is left to export; loosen --only or --drop")]
    NothingLeft,
    /// Types that do not convert.
    #[error("tensor `{tensor}`: {from} does not convert to {to}")]
    NoCast {
        /// The tensor.
        tensor: String,
        /// Its type.
        from: DType,
        /// The wanted type.
        to: DType,
    },
    /// The file exists.
    #[error("{}: exists already; choose another name, or overwrite it with --force", shown_path(path))]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The tensors cannot be written in this format.
    #[error("{}: cannot write as {format}: {problem}", shown_path(path))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// `safetensors`, `torch.save`.
        format: &'static str,
        /// Why.
        problem: String,
    },
    /// Checkpoints to be averaged are of different models.
    #[error("{first} and {second} cannot be averaged: tensor `{tensor}` {how}; they must be of the same model")]
    NotAlike {
        /// The first of them.
        first: String,
        /// The one that differs.
        second: String,
        /// A tensor.
        tensor: String,
        /// In words.
        how: String,
    },
}

impl WeightsError {
    pub(super) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }

    /// The same error, about this file (or whatever the user named) where it names none yet.
    #[must_use]
    pub fn of_file(mut self, file: &Path) -> Self {
        match &mut self {
            Self::DoesNotFit { path, .. } | Self::Collision { path, .. } => *path = Some(file.to_owned()),
            _ => {}
        }
        self
    }

    pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), format: "safetensors", problem: problem.into() }
    }

    pub(super) fn not_weights(path: &Path, problem: impl Into<String>) -> Self {
        Self::NotWeights { path: path.to_owned(), problem: problem.into() }
    }

    fn file(path: &Option<PathBuf>) -> String {
        path.as_ref().map(|path| format!("{}: ", shown_path(path))).unwrap_or_default()
    }
}

/// What to do about a file that cannot be written, for the end of a message.
fn advice(path: &Path, what: &str, source: &io::Error) -> String {
    use io::ErrorKind as K;
    let folder = parent(path);
    match source.kind() {
        _ if what != "write" => String::new(),
        K::NotFound | K::NotADirectory if !folder.is_dir() => {
            format!("; make the folder {} first, or choose another one", folder.display())
        }
        K::PermissionDenied => format!("; choose another folder, or change the permissions of {}", folder.display()),
        K::ReadOnlyFilesystem => "; choose a folder on a writable disk".to_owned(),
        _ => format!("; {}", crate::core::io::advice(source)),
    }
}

/// Where state dicts are, for the end of a message.
fn places(there: &[String]) -> String {
    match there {
        [] => "; it has no nested state dicts, so leave the key out".to_owned(),
        some => format!("; state dicts are under `{}`", some.join("`, `")),
    }
}
