//! What `torch.save` and `torch.jit.save` write: the zip archive, the stream of before PyTorch 1.6, TorchScript.
//!
//! Opening reads the pickle and the directory; tensors are read one by one when they are wanted.

mod archive;
mod facts;
mod find;
mod gather;
mod graph;
mod script;
mod storage;
mod stream;
mod walk;

use std::collections::HashMap;

use super::header::shown;
use super::kind::Kind;
use super::listing::{FileListing, TORCHSCRIPT, TensorListing};
use super::pickle::{Heap, Input, Loaded, TensorRef, load};
use super::source::{Budget, Source};
use super::state::{Collector, Wanted};
use super::trouble::{Result, Trouble, damaged, refused};
use super::{WeightsError, pickle};
use crate::core::tensor::HostTensor;
use archive::Archive;
use script::Code;
use storage::{Places, Storages};
use walk::Found;

/// For messages about damage.
const FORMAT: &str = "torch.save";

/// An opened file.
pub(super) struct TorchFile {
    source: Source,
    heap: Heap,
    storages: Storages,
    listing: FileListing,
    found: Vec<Found>,
}

/// Opens a file of this kind and finds the state dict: under `key`, or where it usually is.
pub(super) fn open(
    source: &Source,
    kind: Kind,
    key: Option<&str>,
    budget: &Budget,
) -> std::result::Result<TorchFile, WeightsError> {
    open_inner(source, kind, key, budget).map_err(|e| match e {
        Opening::Trouble(trouble) => trouble.at(source.path(), FORMAT),
        Opening::NoKey(there) => WeightsError::NoKey {
            path: source.path().to_owned(),
            key: shown(key.unwrap_or_default()),
            there: there.iter().map(|name| shown(name)).collect(),
        },
    })
}

enum Opening {
    Trouble(Trouble),
    NoKey(Vec<String>),
}

impl From<Trouble> for Opening {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn open_inner(
    source: &Source,
    kind: Kind,
    key: Option<&str>,
    budget: &Budget,
) -> std::result::Result<TorchFile, Opening> {
    let (Loaded { heap, root }, places, code, format) = match kind {
        Kind::Zip => zip(source, budget)?,
        _ => {
            let (loaded, ranges) = stream::read(source, budget)?;
            (loaded, Places::Stream(ranges), Code::default(), "torch.save (before PyTorch 1.6)")
        }
    };
    let storages = Storages::new(source.clone(), places);
    storages.check(&heap)?;
    let Some(choice) = find::choose(&heap, root, key, &code)? else {
        return Err(Opening::NoKey(find::candidates(&heap, root)?));
    };
    if choice.tensors.is_empty() {
        return Err(Opening::Trouble(Trouble::Refused(no_tensors(&heap, key))));
    }
    let tensors = list(&heap, &choice.tensors)?;
    let listing = FileListing {
        tensors,
        format: format.to_owned(),
        key: choice.key,
        candidates: choice.candidates,
        placeholders: heap.foreign.iter().filter(|name| !name.starts_with("__torch__.")).cloned().collect(),
        other: facts::facts(&heap, root),
        ..FileListing::default()
    };
    Ok(TorchFile { source: source.clone(), heap, storages, listing, found: choice.tensors })
}

fn no_tensors(heap: &Heap, key: Option<&str>) -> String {
    let place = key.map(|key| format!(" under `{}`", shown(key))).unwrap_or_default();
    match heap.foreign.first() {
        Some(class) => format!("holds no tensors{place} that could be a model's (it holds a `{class}`)"),
        None => format!("holds no tensors{place} that could be a model's"),
    }
}

/// Longest pickle that is unpacked, in bytes: a packed one of a few can make hours of work.
const MAX_PACKED_PICKLE: u64 = 256 << 20;
/// Longest text of `byteorder` and the like, in bytes.
const SMALL: u64 = 64;

fn zip(source: &Source, budget: &Budget) -> Result<(Loaded, Places, Code, &'static str)> {
    let archive = Archive::open(source, budget)?;
    if archive.small("byteorder", SMALL)?.is_some_and(|order| order.trim_ascii() == b"big") {
        return refused("was written on a big-endian machine, which is not read; load it in Python and save it anew");
    }
    let Some(entry) = archive.entry("data.pkl") else { return damaged("it has no data.pkl") };
    if entry.is_packed() && entry.size > MAX_PACKED_PICKLE {
        return refused(format!(
            "has a packed data.pkl that claims {} bytes; unpack the archive and save it anew",
            entry.size
        ));
    }
    let mut hashed = Hashed { inner: archive.reader(&entry)?, hash: crc32fast::Hasher::new(), bytes: 0 };
    let mut input = Input::new(&mut hashed, entry.size);
    let loaded = load(&mut input, budget)?;
    input.drain()?;
    if hashed.bytes != entry.size || entry.crc.is_some_and(|crc| crc != hashed.hash.finalize()) {
        return damaged("the checksum of data.pkl does not match");
    }
    let script = archive.entry("constants.pkl").is_some();
    let code = if script { Code::read(&archive, budget)? } else { Code::default() };
    Ok((loaded, Places::Zip(archive), code, if script { TORCHSCRIPT } else { "torch.save" }))
}

/// Sums what is read.
struct Hashed<R> {
    inner: R,
    hash: crc32fast::Hasher,
    bytes: u64,
}

impl<R: std::io::Read> std::io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

fn list(heap: &Heap, found: &[Found]) -> Result<Vec<TensorListing>> {
    let mut listed = Vec::with_capacity(found.len());
    for Found { name, tensor } in found {
        let Some(tensor) = heap.tensor(*tensor) else { continue };
        let sizes = heap.sizes(tensor);
        heap.budget.take((size_of::<TensorListing>() + name.len() + size_of_val(sizes)) as u64)?;
        listed.push(TensorListing {
            name: name.clone(),
            shape: sizes.iter().map(|s| usize::try_from(*s).unwrap_or(usize::MAX)).collect(),
            dtype: tensor.element.name(),
            bytes: bytes_of(heap, tensor),
        });
    }
    Ok(listed)
}

fn bytes_of(heap: &Heap, tensor: &TensorRef) -> u64 {
    heap.sizes(tensor).iter().fold(tensor.element.size(), |n, s| n.saturating_mul(*s))
}

/// What makes two tensors the same bytes of the same storage.
type View<'a> = (Option<u32>, pickle::Element, u64, &'a [u64], &'a [u64]);

impl TorchFile {
    pub fn take_listing(&mut self) -> FileListing {
        std::mem::take(&mut self.listing)
    }

    /// Reads the wanted tensors into `out`, in the state dict's order. Of tensors that are one in Python (tied weights) each gets its bytes as long as the
    /// budget allows it, else it is named as another name of the first.
    pub fn read(&mut self, wanted: &Wanted<'_>, out: &mut Collector) -> std::result::Result<(), WeightsError> {
        let path = self.source.path().to_owned();
        let mut views: HashMap<View<'_>, usize> = HashMap::new();
        for Found { name, tensor } in &self.found {
            let Some(tensor) = self.heap.tensor(*tensor).filter(|_| wanted(name)) else { continue };
            let tensor_name = || shown(name);
            if let Some(what) = tensor.refused {
                return Err(WeightsError::OtherTensor { path, tensor: tensor_name(), what });
            }
            let Some(dtype) = tensor.element.dtype() else {
                let dtype = tensor.element.name().to_owned();
                return Err(WeightsError::UnsupportedType { path, tensor: tensor_name(), dtype });
            };
            let (sizes, strides) = (self.heap.sizes(tensor), self.heap.strides(tensor));
            let bytes = bytes_of(&self.heap, tensor);
            let view = (tensor.storage, tensor.element, tensor.offset, sizes, strides);
            if let Some(&first) = views.get(&view).filter(|_| bytes > 0) {
                out.share(name, first, bytes, &self.heap.budget).map_err(|e| Trouble::from(e).at(&path, FORMAT))?;
                continue;
            }
            let spent = |_| WeightsError::TooLarge { path: path.clone(), tensor: tensor_name(), bytes };
            self.heap.budget.take(bytes + 2 * (size_of::<HostTensor>() + name.len() + 96) as u64).map_err(spent)?;
            let data = self.storages.read(&self.heap, tensor).map_err(|e| e.at(&path, FORMAT))?;
            let shape = sizes.iter().map(|s| usize::try_from(*s).unwrap_or(usize::MAX)).collect();
            views.insert(view, out.tensors.len());
            out.tensors.push(HostTensor { name: name.clone(), dtype, shape, data });
        }
        Ok(())
    }
}
