//! The file that a TorchScript model was built from, as checkpoints remember it. Plain files; no libtorch.
//!
//! A script's weights are in the checkpoint, its code is not: a run can go on, be evaluated or exported only with the
//! archive that it was trained with, byte for byte.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::api::EngineError;
use crate::core::recipe::Recipe;

/// The member of a checkpoint's `extra`.
pub const KEY: &str = "torchscript";

/// What `model.arch` begins with where it names an archive.
pub const PREFIX: &str = "torchscript:";

/// Size and checksum of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 in lower-case hexadecimal.
    pub blake3: String,
}

impl Fingerprint {
    /// Reads the whole file.
    ///
    /// # Errors
    /// In words that name the file, where it is not there, no file, or cannot be read.
    pub fn of(path: &Path) -> Result<Self, String> {
        let fail = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => format!("{}: there is no such file; model.arch names it", path.display()),
            _ => format!("{}: {e}", path.display()),
        };
        // A pipe or a device would never end.
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            return Err(format!("{}: not a file; model.arch names a TorchScript archive", path.display()));
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = std::io::copy(&mut std::fs::File::open(path).map_err(fail)?, &mut hasher).map_err(fail)?;
        Ok(Self { bytes, blake3: hasher.finalize().to_hex().to_string() })
    }
}

/// Refuses an archive that is not the one that a checkpoint was made with.
///
/// # Errors
/// Words that name the file.
pub fn unchanged(recipe: &Recipe, extra: &Map<String, Value>) -> Result<(), EngineError> {
    changed(recipe, extra).map_or(Ok(()), |words| Err(EngineError::Refused(words)))
}

/// Why the recipe's archive is not the one that a checkpoint was made with; `None` where it is, or the model is none of
/// a script.
fn changed(recipe: &Recipe, extra: &Map<String, Value>) -> Option<String> {
    let path = Path::new(recipe.model.arch.strip_prefix(PREFIX)?);
    let then: Fingerprint = serde_json::from_value(extra.get(KEY)?.clone()).ok()?;
    match Fingerprint::of(path) {
        Ok(now) if now == then => None,
        Ok(now) => Some(format!(
            "{}: the script is not the one that the checkpoint was made with ({} bytes now, {} then, or other contents); \
             put the old file back",
            path.display(),
            now.bytes,
            then.bytes
        )),
        Err(words) => Some(format!(
            "{words}; the checkpoint holds the weights, and the script's code is needed too: put the file back"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_same_only_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.pt");
        std::fs::write(&path, b"code").unwrap();
        let mut recipe = Recipe::default();
        recipe.model.arch = format!("{PREFIX}{}", path.display());
        let mut extra = Map::new();
        assert_eq!(changed(&recipe, &extra), None, "a checkpoint that says nothing of an archive");
        extra.insert(KEY.to_owned(), serde_json::to_value(Fingerprint::of(&path).unwrap()).unwrap());
        assert_eq!(changed(&recipe, &extra), None);
        std::fs::write(&path, b"cofe").unwrap();
        assert!(changed(&recipe, &extra).unwrap().contains("other contents"));
        std::fs::remove_file(&path).unwrap();
        assert!(changed(&recipe, &extra).unwrap().contains("put the file back"));
        std::fs::create_dir(&path).unwrap();
        assert!(Fingerprint::of(&path).unwrap_err().contains("not a file"));
        recipe.model.arch = "mlp".to_owned();
        assert_eq!(changed(&recipe, &extra), None);
    }
}
