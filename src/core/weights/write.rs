//! Writing a state dict as safely as a checkpoint: beside its place, flushed, then moved there.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::WeightsError;
use super::header::shown;
use crate::core::io::{Beside, SafeFile};
use crate::core::tensor::HostTensor;

/// What a header is padded to, in bytes, so that the tensors are aligned.
const ALIGN: usize = 8;

/// Writes tensors and metadata (`format = "pt"` is added). An existing file is replaced with `force` only. When this returns, the file survives
/// a power cut; before, its place is untouched.
pub fn write_safetensors(
    path: &Path,
    tensors: &[HostTensor],
    metadata: &BTreeMap<String, String>,
    force: bool,
) -> Result<(), WeightsError> {
    write_safetensors_watched(path, tensors, metadata, force, &mut |_| {})
}

/// [`write_safetensors`], with somebody told how far it is.
pub fn write_safetensors_watched(
    path: &Path,
    tensors: &[HostTensor],
    metadata: &BTreeMap<String, String>,
    force: bool,
    progress: Progress<'_>,
) -> Result<(), WeightsError> {
    let (header, order) = header(tensors, metadata).map_err(|problem| WeightsError::Unwritable {
        path: path.to_owned(),
        format: "safetensors",
        problem,
    })?;
    write_file(path, force, |file| {
        // Each tensor straight from its memory: large writes need no buffer, and small ones are joined.
        let mut out = io::BufWriter::with_capacity(SMALL, Watched { out: file, progress });
        out.write_all(&header)?;
        order.iter().try_for_each(|tensor| out.write_all(&tensor.data))?;
        out.flush()
    })
}

/// Is told of each piece that was written how many bytes it has.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// A file whose growth is told.
pub(super) struct Watched<'a, W> {
    pub out: W,
    pub progress: Progress<'a>,
}

/// A large tensor is told piece by piece.
const PIECE: usize = 8 << 20;

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(&bytes[..bytes.len().min(PIECE)])?;
        (self.progress)(written as u64);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes of more bytes than this are passed on as they are.
const SMALL: usize = 256 << 10;

/// Length and JSON, and the tensors in the order of their data: as the `safetensors` crate has it, larger elements first, so that each is
/// aligned, then by name.
fn header<'a>(
    tensors: &'a [HostTensor],
    metadata: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, Vec<&'a HostTensor>), String> {
    let mut order: Vec<&HostTensor> = tensors.iter().collect();
    order.sort_by(|a, b| b.dtype.size().cmp(&a.dtype.size()).then_with(|| a.name.cmp(&b.name)));
    if let Some(pair) = order.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("there are two tensors `{}`", shown(&pair[0].name)));
    }
    let mut infos = Vec::with_capacity(order.len());
    let mut end = 0;
    for t in &order {
        let elements = t.shape.iter().try_fold(t.dtype.size(), |n, size| n.checked_mul(*size));
        if elements != Some(t.data.len()) {
            return Err(format!("tensor `{}`: {} bytes are not its shape {:?}", shown(&t.name), t.data.len(), t.shape));
        }
        let from = end;
        end += t.data.len();
        let info = TensorInfo { dtype: t.dtype.into(), shape: t.shape.clone(), data_offsets: (from, end) };
        infos.push((t.name.clone(), info));
    }
    let mut remarks: HashMap<String, String> = metadata.clone().into_iter().collect();
    remarks.entry("format".into()).or_insert_with(|| "pt".into());
    let metadata = Metadata::new(Some(remarks), infos).map_err(|e| e.to_string())?;
    let mut json = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    json.resize(json.len().next_multiple_of(ALIGN), b' ');
    Ok(([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat(), order))
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
    check_place(path, force)?;
    let temp = Beside::new(path);
    write(temp.path())?;
    put(temp, path, force)
}

/// [`write_safely`] of a file that is written here.
pub(super) fn write_file(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut SafeFile) -> io::Result<()>,
) -> Result<(), WeightsError> {
    check_place(path, force)?;
    let mut temp = Beside::new(path);
    let written = temp.create().and_then(|mut file| write(&mut file));
    written.map_err(WeightsError::io(path, "write"))?;
    put(temp, path, force)
}

fn check_place(path: &Path, force: bool) -> Result<(), WeightsError> {
    if path.is_dir() {
        let problem = "is a folder; name the file to write".to_owned();
        return Err(WeightsError::NotWeights { path: path.to_owned(), problem });
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(WeightsError::Exists { path: path.to_owned() });
    }
    Ok(())
}

fn put(temp: Beside, path: &Path, force: bool) -> Result<(), WeightsError> {
    temp.put(force).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => WeightsError::Exists { path: path.to_owned() },
        _ => WeightsError::Io { path: path.to_owned(), what: "write", source },
    })
}
