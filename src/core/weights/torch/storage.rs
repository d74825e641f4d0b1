//! The tensors' bytes: where a storage lies in the file, and how a view of it becomes a row-major tensor.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Range;

use super::archive::{Archive, Bytes, Entry};
use super::gather::{Window, gather, is_contiguous};
use crate::core::weights::header::shown;
use crate::core::weights::pickle::{Heap, StorageRef, TensorRef};
use crate::core::weights::source::{SLACK, Source};
use crate::core::weights::trouble::{Result, damaged, refused};

/// Where a file keeps its storages.
pub enum Places {
    /// As entries of a zip archive.
    Zip(Archive),
    /// One after the other, behind the pickles.
    Stream(HashMap<Vec<u8>, Range<u64>>),
}

/// Reads tensors' bytes.
pub struct Storages {
    source: Source,
    places: Places,
    /// Entries, by their place, whose checksum was proved.
    proved: HashSet<u64>,
    /// The last storage that had to be inflated.
    inflated: Option<(Vec<u8>, Vec<u8>)>,
    /// Bytes that were inflated so far.
    unpacked: u64,
}

/// Tensors that take turns in packed storages have them unpacked again and again: so many times the memory that there is.
const MAX_UNPACKED: u64 = 16;

/// Folders that hold storages: of today's files, of TorchScript's old ones.
const FOLDERS: [&str; 2] = ["data/", "tensors/"];

/// One storage in the file.
enum Place {
    Plain { range: Range<u64>, entry: Option<Entry> },
    Deflated(Entry),
}

impl Storages {
    pub fn new(source: Source, places: Places) -> Self {
        Self { source, places, proved: HashSet::new(), inflated: None, unpacked: 0 }
    }

    /// Whether every storage is there and as long as the pickle says. Reads no data.
    pub fn check(&self, heap: &Heap) -> Result<()> {
        for storage in heap.storages() {
            let key = heap.bytes(storage.key);
            let there = match &self.places {
                Places::Zip(archive) => entry(archive, key).map(|e| e.size),
                Places::Stream(ranges) => ranges.get(key).map(|r| r.end - r.start),
            };
            let name = shown(&heap.text(storage.key));
            let claimed = storage.whole.checked_mul(storage.element.size());
            match (there, claimed) {
                (Some(there), Some(claimed)) if claimed <= there => {}
                // An empty storage need not be written.
                (None, Some(0)) => {}
                (Some(there), _) => {
                    let elements = storage.whole;
                    return damaged(format!(
                        "storage `{name}` claims {elements} elements, but the file has {there} bytes of it"
                    ));
                }
                (None, _) => return damaged(format!("storage `{name}` is not in the file")),
            }
        }
        Ok(())
    }

    /// A tensor's elements in row-major order. The caller has counted them.
    pub fn read(&mut self, heap: &Heap, tensor: &TensorRef) -> Result<Vec<u8>> {
        let (sizes, strides) = (heap.sizes(tensor), heap.strides(tensor));
        let size = tensor.element.size();
        let bytes = sizes.iter().product::<u64>() * size;
        let Some(storage) = tensor.storage.and_then(|n| heap.storage(n)).filter(|_| bytes > 0) else {
            return Ok(Vec::new());
        };
        let start = storage.base * storage.element.size() + tensor.offset * size;
        match self.place(heap, storage)? {
            Place::Plain { range, entry } => {
                let at = range.start + start;
                if !is_contiguous(sizes, strides) {
                    self.prove(entry)?;
                    let mut window = Window::of(self.source.as_reader(), range);
                    return gather(&mut window, at, size, sizes, strides);
                }
                let mut data = vec![0; bytes as usize];
                self.source.read_exact_at(&mut data, at)?;
                let whole = start == 0 && bytes == range.end - range.start;
                match entry.and_then(|e| e.crc) {
                    Some(crc) if whole && crc32fast::hash(&data) != crc => {
                        damaged(format!("the checksum of storage `{}` does not match", shown(&heap.text(storage.key))))
                    }
                    Some(_) if !whole => self.prove(entry).map(|()| data),
                    _ => Ok(data),
                }
            }
            Place::Deflated(entry) => {
                let inflated = self.inflate(heap, storage, &entry)?;
                let end = inflated.len() as u64;
                let data = gather(&mut Window::of(&inflated, 0..end), start, size, sizes, strides);
                self.inflated = Some((heap.bytes(storage.key).to_vec(), inflated));
                data
            }
        }
    }

    fn place(&self, heap: &Heap, storage: &StorageRef) -> Result<Place> {
        let key = heap.bytes(storage.key);
        let missing = || damaged(format!("storage `{}` is not in the file", shown(&heap.text(storage.key))));
        match &self.places {
            Places::Stream(ranges) => match ranges.get(key) {
                Some(range) => Ok(Place::Plain { range: range.clone(), entry: None }),
                None => missing(),
            },
            Places::Zip(archive) => match entry(archive, key) {
                Some(entry) => Ok(match archive.bytes(&entry)? {
                    Bytes::Plain(range) => Place::Plain { range, entry: Some(entry) },
                    Bytes::Deflated => Place::Deflated(entry),
                }),
                None => missing(),
            },
        }
    }

    /// Proves an entry's checksum, once.
    fn prove(&mut self, entry: Option<Entry>) -> Result<()> {
        let (Some(entry), Places::Zip(archive)) = (entry, &self.places) else { return Ok(()) };
        let Some(crc) = entry.crc.filter(|_| self.proved.insert(entry.place())) else { return Ok(()) };
        let mut reader = archive.reader(&entry)?;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        if hasher.finalize() == crc { Ok(()) } else { damaged("the checksum of a storage does not match") }
    }

    /// The whole of a compressed storage.
    fn inflate(&mut self, heap: &Heap, storage: &StorageRef, entry: &Entry) -> Result<Vec<u8>> {
        let key = heap.bytes(storage.key);
        match self.inflated.take() {
            Some((last, bytes)) if last == key => return Ok(bytes),
            Some((_, bytes)) => heap.budget.give_back(bytes.capacity() as u64),
            None => {}
        }
        let Places::Zip(archive) = &self.places else { return damaged("a storage is not in the file") };
        self.unpacked = self.unpacked.saturating_add(entry.size);
        if self.unpacked > MAX_UNPACKED.saturating_mul(self.source.size().saturating_add(SLACK)) {
            return refused("has tensors that take turns in packed storages; unpack the archive and save it anew");
        }
        heap.budget.take(entry.size)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(entry.size).unwrap_or(usize::MAX))?;
        archive.reader(entry)?.read_to_end(&mut bytes)?;
        let name = || shown(&heap.text(storage.key));
        if bytes.len() as u64 != entry.size {
            return damaged(format!("storage `{}` unpacks to {} bytes and claims {}", name(), bytes.len(), entry.size));
        }
        if entry.crc.is_some_and(|crc| crc32fast::hash(&bytes) != crc) {
            return damaged(format!("the checksum of storage `{}` does not match", name()));
        }
        Ok(bytes)
    }
}

fn entry(archive: &Archive, key: &[u8]) -> Option<Entry> {
    let key = std::str::from_utf8(key).ok()?;
    FOLDERS.iter().find_map(|folder| archive.entry(&format!("{folder}{key}")))
}
