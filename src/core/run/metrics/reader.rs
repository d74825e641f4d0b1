//! Reading metrics: all at once, or following a live run.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{Columns, Decoder, Item, MAGIC, Sink, last_step_in};
use super::table::MetricsTable;
use crate::core::run::StoreError;

/// Follows a metrics file: each [`MetricsReader::poll`] gives what came since the last.
#[derive(Debug, Clone)]
pub struct MetricsReader {
    path: PathBuf,
    /// Bytes taken in so far.
    offset: u64,
    decoder: Decoder,
}

impl Sink for Vec<Item> {
    fn row(&mut self, _: u16, columns: &Columns, step: u64, time_ms: u64, values: impl Iterator<Item = f64>) {
        self.push(Item::Row { step, time_ms, columns: columns.clone(), values: values.collect() });
    }
    fn rewind(&mut self, step: u64) {
        self.push(Item::Rewind { step });
    }
}

impl MetricsReader {
    /// A reader at the file's beginning. The file need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), offset: 0, decoder: Decoder::default() }
    }

    /// What was appended since the last call. A record that is not complete yet comes with a later call.
    pub fn poll(&mut self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        self.poll_into(&mut items)?;
        Ok(items)
    }

    /// The whole file, and what had to be dropped, in words.
    pub fn read_all(path: &Path) -> Result<(MetricsTable, Option<String>), StoreError> {
        let mut table = MetricsTable::default();
        let mut reader = Self::new(path);
        let rest = reader.poll_into(&mut table)?;
        let mut said = Vec::new();
        if reader.decoder.damaged > 0 {
            let (n, s, were) = match reader.decoder.damaged {
                1 => (1, "", "was"),
                n => (n, "s", "were"),
            };
            said.push(format!("metrics.bin: {n} damaged record{s} {were} skipped"));
        }
        if rest > 0 {
            said.push(format!("metrics.bin: the last {rest} bytes are a torn record and were dropped"));
        }
        Ok((table, (!said.is_empty()).then(|| said.join("; "))))
    }

    /// Returns the number of bytes at the end that are no whole record.
    fn poll_into(&mut self, sink: &mut impl Sink) -> Result<usize, StoreError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(StoreError::io("read", &self.path)(e)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(StoreError::io("read", &self.path))?;
        let mut used = 0;
        if self.offset == 0 {
            if bytes.len() < MAGIC.len() {
                return Ok(bytes.len());
            }
            if !bytes.starts_with(MAGIC) {
                let message = "it does not begin like a metrics file of this version".to_owned();
                return Err(StoreError::Damaged { path: self.path.clone(), message });
            }
            used = MAGIC.len();
        }
        used += self.decoder.feed(&bytes[used..], sink);
        self.offset += used as u64;
        Ok(bytes.len() - used)
    }

    /// Bytes taken in so far: where a writer goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The lists of columns seen, and a number that no list of the file has.
    pub(super) fn schemas(&self) -> (Vec<(u16, Vec<String>)>, u16) {
        let mut known: Vec<(u16, Vec<String>)> = self.decoder.schemas.iter().map(|(n, s)| (*n, s.to_vec())).collect();
        known.sort_unstable();
        let damaged = u16::try_from(self.decoder.damaged).unwrap_or(u16::MAX);
        let next = known.last().map_or(0, |(n, _)| n.wrapping_add(1)).wrapping_add(damaged);
        (known, next)
    }

    /// Takes in everything without keeping it, to find the end of the last whole record.
    pub(super) fn skip_to_end(&mut self) -> Result<usize, StoreError> {
        struct Nothing;
        impl Sink for Nothing {
            fn row(&mut self, _: u16, _: &Columns, _: u64, _: u64, _: impl Iterator<Item = f64>) {}
            fn rewind(&mut self, _: u64) {}
        }
        self.poll_into(&mut Nothing)
    }
}

/// First look at a file's end; doubled until a step is found.
const LOOK: u64 = 4096;

/// The step of the newest record, read from the file's end alone.
pub fn last_step(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    let mut look = LOOK;
    loop {
        let start = len.saturating_sub(look).max(MAGIC.len() as u64);
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = Vec::new();
        (&mut file).take(look).read_to_end(&mut bytes).ok()?;
        let found = last_step_in(&bytes);
        if found.is_some() || start <= MAGIC.len() as u64 {
            return found;
        }
        look *= 8;
    }
}
