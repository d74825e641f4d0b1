//! Checksums of a checkpoint's files against `state.json`.

use std::fs::File;
use std::io;
use std::path::Path;

use super::state::{BadState, decode};
use super::{CheckpointError, FileSum, STATE, TrainState, WEIGHTS};

/// One damaged file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Its name in the checkpoint's folder.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

impl Damage {
    pub(super) fn new(path: &Path, what: String) -> Self {
        Self { file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), what }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

pub(super) const WRONG_SUM: &str = "its checksum does not match";

pub(super) fn wrong_size(is: u64, was: u64) -> String {
    format!("it has {is} bytes and was written with {was}")
}

pub(super) fn cannot_open(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        _ => format!("it cannot be opened: {error}"),
    }
}

/// Largest `state.json` that is read; far above any that is written.
const MAX_STATE: u64 = 1 << 30;

/// Reads and checks `state.json` of a checkpoint's folder.
pub(super) fn read_state(folder: &Path) -> Result<TrainState, CheckpointError> {
    let path = folder.join(STATE);
    let damaged =
        |what: String| CheckpointError::Damaged { path: folder.to_owned(), damage: vec![Damage::new(&path, what)] };
    let bytes = match std::fs::metadata(&path) {
        Ok(m) if m.is_file() && m.len() > 0 && m.len() <= MAX_STATE => {
            std::fs::read(&path).map_err(|e| damaged(cannot_open(&e)))?
        }
        Ok(_) => return Err(CheckpointError::Missing { path: folder.to_owned() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(CheckpointError::Missing { path: folder.to_owned() });
        }
        Err(e) => return Err(CheckpointError::io("read", &path)(e)),
    };
    decode(&bytes).map_err(|e| match e {
        BadState::Damaged(what) => damaged(what),
        BadState::Newer(format) => {
            CheckpointError::Newer { path: folder.to_owned(), format, known: super::state::FORMAT }
        }
    })
}

fn check(path: &Path, sum: &FileSum) -> Option<Damage> {
    let found = (|| {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        if bytes != sum.bytes {
            return Ok(Some(wrong_size(bytes, sum.bytes)));
        }
        let mut hash = blake3::Hasher::new();
        io::copy(&mut file, &mut hash)?;
        Ok((hash.finalize().to_hex().as_str() != sum.blake3).then(|| WRONG_SUM.to_owned()))
    })();
    found.unwrap_or_else(|e| Some(cannot_open(&e))).map(|what| Damage::new(path, what))
}

/// Proves the bytes of a checkpoint's weights alone.
pub fn prove_weights(folder: &Path) -> Result<(), CheckpointError> {
    let state = read_state(folder)?;
    let damage = match state.files.get(WEIGHTS) {
        Some(sum) => check(&folder.join(WEIGHTS), sum),
        None => Some(Damage::new(Path::new(STATE), format!("it does not mention {WEIGHTS}"))),
    };
    match damage {
        None => Ok(()),
        Some(damage) => Err(CheckpointError::Damaged { path: folder.to_owned(), damage: vec![damage] }),
    }
}

/// Every damaged file of a checkpoint's folder; none if it is as it was written.
pub fn verify_path(folder: &Path) -> Vec<Damage> {
    match read_state(folder) {
        Ok(state) => state.files.iter().filter_map(|(name, sum)| check(&folder.join(name), sum)).collect(),
        Err(CheckpointError::Damaged { damage, .. }) => damage,
        Err(CheckpointError::Missing { .. }) => {
            vec![Damage::new(Path::new(STATE), "it is missing or empty".to_owned())]
        }
        Err(e) => vec![Damage::new(Path::new(STATE), e.to_string())],
    }
}
