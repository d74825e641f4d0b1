//! Torch hub's cache folder, as `torch.hub.get_dir()` finds it.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{HubError, NamedWeights};

/// Where torchvision publishes its weights.
const PUBLISHED: &str = "https://download.pytorch.org/models";
/// Names another place with the same files, such as a mirror.
const URL_VARIABLE: &str = "FROSTLINE_HUB_URL";

/// The cache, and where it is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    pub(super) folder: PathBuf,
    base: String,
}

impl Hub {
    /// `$TORCH_HOME/hub/checkpoints`; TORCH_HOME is `$XDG_CACHE_HOME/torch`, else `~/.cache/torch`, where it is not set.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_vars(|name| std::env::var_os(name).filter(|v| !v.is_empty()))
    }

    pub(super) fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let home = || var("HOME").map(PathBuf::from).ok_or(HubError::NoFolder);
        let expand = |path: PathBuf| match path.strip_prefix("~") {
            Ok(rest) => Ok(home()?.join(rest)),
            Err(_) => Ok(path),
        };
        let torch = match (var("TORCH_HOME"), var("XDG_CACHE_HOME")) {
            (Some(torch), _) => expand(torch.into())?,
            (None, Some(cache)) => expand(cache.into())?.join("torch"),
            (None, None) => home()?.join(".cache/torch"),
        };
        let base = var(URL_VARIABLE).and_then(|v| v.into_string().ok()).unwrap_or_else(|| PUBLISHED.to_owned());
        Ok(Self { folder: torch.join("hub/checkpoints"), base: base.trim_end_matches('/').to_owned() })
    }

    /// Where a file belongs.
    pub fn path(&self, weights: &NamedWeights) -> PathBuf {
        self.folder.join(weights.file)
    }

    /// Where it is downloaded from.
    pub fn url(&self, weights: &NamedWeights) -> String {
        format!("{}/{}", self.base, weights.file)
    }

    /// The file in the cache, its hash proved; `None` where it is not there.
    pub fn find(&self, weights: &NamedWeights) -> Result<Option<PathBuf>, HubError> {
        let path = self.path(weights);
        if !path.is_file() {
            return Ok(None);
        }
        check_hash(&path, weights.sha256_prefix(), "delete it to have it fetched again, or name the file by its path")?;
        Ok(Some(path))
    }
}

/// Compares a file's SHA-256 with the digits that its name holds.
pub(super) fn check_hash(path: &Path, expected: &str, what_to_do: &'static str) -> Result<(), HubError> {
    let found = sha256(path).map_err(|source| HubError::Io { path: path.to_owned(), what: "read", source })?;
    if found.starts_with(expected) {
        return Ok(());
    }
    let found = found.get(..expected.len()).unwrap_or(&found).to_owned();
    Err(HubError::WrongHash { path: path.to_owned(), expected: expected.to_owned(), found, what_to_do })
}

pub(super) fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
