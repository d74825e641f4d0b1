//! The zip archive of `torch.save` and TorchScript: its directory, checked, and the bytes of its entries.
//!
//! `rawzip` reads the format; it takes no memory for the directory, so what is kept is counted here. PyTorch stores entries without compression;
//! compressed ones (TorchScript's code, archives that were packed anew) are inflated, never beyond the size that the directory claims and
//! the budget allows.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::rc::Rc;

use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};

use crate::core::weights::header::shown;
use crate::core::weights::source::{Budget, Source};
use crate::core::weights::trouble::{Result, Trouble, damaged, refused};

/// An entry of the directory.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    way: ZipArchiveEntryWayfinder,
    /// Bytes when unpacked, as the directory claims.
    pub size: u64,
    /// Bytes in the archive.
    packed: u64,
    header: u64,
    /// Bytes of its name.
    name: u64,
    deflated: bool,
    /// `None`: written without (`torch.serialization.set_crc32_options(False)` writes 0).
    pub crc: Option<u32>,
}

impl Entry {
    /// Whether it must be unpacked.
    pub fn is_packed(&self) -> bool {
        self.deflated
    }

    /// What tells it from all others.
    pub fn place(&self) -> u64 {
        self.header
    }
}

/// An archive of PyTorch.
pub struct Archive {
    source: Source,
    zip: ZipArchive<Rc<dyn ReaderAt>>,
    /// By their names in the top folder.
    entries: HashMap<String, Entry>,
}

/// The bytes of an entry, as they lie in the file.
pub enum Bytes {
    /// At this place.
    Plain(Range<u64>),
    Deflated,
}

fn zip_trouble(error: rawzip::Error) -> Trouble {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => error.into(),
        other => {
            let words = rawzip::Error::from(other).to_string();
            Trouble::Damaged(format!("its zip directory is wrong: {}", shown(&words)))
        }
    }
}

impl Archive {
    pub fn open(source: &Source, budget: &Budget) -> Result<Self> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipLocator::new().locate_in_reader(source.reader_at(), &mut buffer, source.size()).map_err(
            |(_, e)| match e.kind() {
                rawzip::ErrorKind::MissingEndOfCentralDirectory => {
                    Trouble::Damaged("it has no zip directory at its end; the file is cut off".into())
                }
                _ => zip_trouble(e),
            },
        )?;
        let listed = list(&zip, &mut buffer, source.size(), budget)?;
        let top = top_folder(&listed)?;
        let mut entries = HashMap::new();
        for (name, entry) in listed {
            let Some(inner) = name.strip_prefix(top.as_str()) else { continue };
            if entries.insert(inner.to_owned(), entry).is_some() {
                return damaged(format!("its zip directory lists `{}` twice", shown(&name)));
            }
        }
        Ok(Self { source: source.clone(), zip, entries })
    }

    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where an entry's bytes are. The local header is read for it.
    pub fn bytes(&self, entry: &Entry) -> Result<Bytes> {
        let (start, end) = self.zip.get_entry(entry.way).map_err(zip_trouble)?.compressed_data_range();
        if start > end || end > self.zip.directory_offset() {
            return damaged("a zip entry reaches into the directory");
        }
        Ok(if entry.deflated { Bytes::Deflated } else { Bytes::Plain(start..end) })
    }

    /// Reads an entry, at most as many bytes as it claims.
    pub fn reader(&self, entry: &Entry) -> Result<Box<dyn Read>> {
        let (start, end) = self.zip.get_entry(entry.way).map_err(zip_trouble)?.compressed_data_range();
        let packed = self.source.range(start..end);
        Ok(match self.bytes(entry)? {
            Bytes::Plain(_) => Box::new(packed),
            Bytes::Deflated => Box::new(flate2::read::DeflateDecoder::new(packed).take(entry.size)),
        })
    }

    /// A small entry as a whole; `None` where there is none or it is longer than `limit`.
    pub fn small(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entry(name).filter(|e| e.size <= limit) else { return Ok(None) };
        // No more room than the archive can fill.
        let most = if entry.deflated { entry.packed.saturating_mul(MAX_RATIO) } else { entry.packed };
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size.min(most)).unwrap_or(0));
        self.reader(&entry)?.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Every entry with its whole name, in the directory's order; that they do not overlap is checked.
fn list(
    zip: &ZipArchive<Rc<dyn ReaderAt>>,
    buffer: &mut [u8],
    size: u64,
    budget: &Budget,
) -> Result<Vec<(String, Entry)>> {
    let mut listed: Vec<(String, Entry)> = Vec::new();
    let mut entries = zip.entries(buffer);
    let mut count = 0u64;
    while let Some(record) = entries.next_entry().map_err(zip_trouble)? {
        count += 1;
        if record.is_dir() {
            continue;
        }
        let length = record.file_path().as_ref().len() as u64;
        let name = String::from_utf8_lossy(record.file_path().as_ref()).into_owned();
        // Twice: in this list and in the table by names, each of them a growing one.
        budget.take(2 * (2 * size_of::<(String, Entry)>() + name.capacity() + 32) as u64)?;
        if record.flags().is_encrypted() {
            return refused(format!("is an encrypted zip archive (`{}`)", shown(&name)));
        }
        let deflated = match record.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            other => return refused(format!("has `{}` packed with {other}, which is not read", shown(&name))),
        };
        let entry = Entry {
            way: record.wayfinder(),
            size: record.uncompressed_size_hint(),
            packed: record.compressed_size_hint(),
            header: record.local_header_offset(),
            name: length,
            deflated,
            crc: Some(record.crc32()).filter(|crc| *crc != 0),
        };
        if !deflated && entry.size != entry.packed {
            return damaged(format!("the zip entry `{}` is stored, but has two sizes", shown(&name)));
        }
        listed.push((name, entry));
    }
    let hint = zip.entries_hint();
    if count != hint {
        return damaged(format!("its zip directory has {count} entries and claims {hint}"));
    }
    check_places(&listed, size)?;
    Ok(listed)
}

/// Deflate makes at most so many bytes of one.
const MAX_RATIO: u64 = 1032;
/// The fixed part of a local header, in bytes.
const LOCAL_HEADER: u64 = 30;

/// No entry overlaps another one or ends outside the file. A zip bomb that reads the same bytes many times ends here.
fn check_places(listed: &[(String, Entry)], size: u64) -> Result<()> {
    let mut order: Vec<&(String, Entry)> = listed.iter().collect();
    order.sort_unstable_by_key(|(_, e)| e.header);
    let mut end = 0;
    for (name, entry) in order {
        if entry.header < end {
            return damaged(format!("the zip entry `{}` overlaps another one", shown(name)));
        }
        let after = entry.header.checked_add(LOCAL_HEADER + entry.name).and_then(|n| n.checked_add(entry.packed));
        match after {
            Some(after) if after <= size => end = after,
            _ => return damaged(format!("the zip entry `{}` reaches beyond the file's end", shown(name))),
        }
    }
    Ok(())
}

/// The folder that holds `data.pkl`, with its slash; empty where the archive has none.
fn top_folder(listed: &[(String, Entry)]) -> Result<String> {
    const PICKLE: &str = "data.pkl";
    let tops: Vec<&str> = listed
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(PICKLE))
        .filter(|top| top.is_empty() || top.find('/') == Some(top.len() - 1))
        .collect();
    match tops.as_slice() {
        [top] => Ok((*top).to_owned()),
        [] => refused(words_without_pickle(listed)),
        [one, two, ..] => damaged(format!("it holds two archives, `{}` and `{}`", shown(one), shown(two))),
    }
}

fn words_without_pickle(listed: &[(String, Entry)]) -> String {
    let has = |end: &str| listed.iter().any(|(name, _)| name.ends_with(end));
    if has("model.json") {
        return "is a TorchScript archive of PyTorch 1.3 or older, which is not read; load it in Python and save it anew".into();
    }
    if has(".npy") {
        return "is a NumPy archive (.npz), not a state dict".into();
    }
    if has("metadata.json") && has("config.json") {
        return "is a Keras archive, not weights of PyTorch".into();
    }
    "is a zip archive without data.pkl, so torch.save did not write it".into()
}
