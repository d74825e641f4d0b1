//! Writing a state dict as safely as a checkpoint: beside its place, flushed, then moved there.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;

use super::WeightsError;
use crate::core::io;
use crate::core::tensor::HostTensor;

/// Writes tensors and metadata (`format = "pt"` is added). An existing file is replaced with `force` only. When this returns, the file survives
/// a power cut; before, its place is untouched.
pub fn write_safetensors(
    path: &Path,
    tensors: &[HostTensor],
    metadata: &BTreeMap<String, String>,
    force: bool,
) -> Result<(), WeightsError> {
    let unwritable =
        |problem: String| WeightsError::Unwritable { path: path.to_owned(), format: "safetensors", problem };
    let mut views = Vec::with_capacity(tensors.len());
    for t in tensors {
        let view = TensorView::new(t.dtype.into(), t.shape.clone(), &t.data)
            .map_err(|e| unwritable(format!("tensor `{}`: {e}", t.name)))?;
        views.push((t.name.as_str(), view));
    }
    let mut remarks: HashMap<String, String> = metadata.clone().into_iter().collect();
    remarks.entry("format".into()).or_insert_with(|| "pt".into());

    write_safely(path, force, |temp| {
        safetensors::serialize_to_file(views, Some(remarks), temp).map_err(|e| match e {
            safetensors::SafeTensorError::IoError(source) => {
                WeightsError::Io { path: path.to_owned(), what: "write", source }
            }
            other => unwritable(other.to_string()),
        })
    })
}

/// Lets `write` make a file beside the place, flushes it and moves it there. An existing file is replaced with `force` only, and nothing of it is
/// touched before the new one is whole.
///
/// # Errors
///
/// Those of `write`, and what the disk refuses; nothing of the file remains then.
pub fn write_safely(
    path: &Path,
    force: bool,
    write: impl FnOnce(&Path) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    if path.is_dir() {
        let problem = "is a folder; name the file to write".to_owned();
        return Err(WeightsError::NotWeights { path: path.to_owned(), problem });
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(WeightsError::Exists { path: path.to_owned() });
    }
    let temp = io::Beside::new(path);
    write(temp.path())?;
    temp.put(force).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => WeightsError::Exists { path: path.to_owned() },
        _ => WeightsError::Io { path: path.to_owned(), what: "write", source },
    })
}
