//! The bytes of a weights file, read where they are needed; and how much memory reading them may take.
//!
//! The readers see a [`Source`] only, so a fuzz target gives them bytes and needs no file.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rawzip::{FileReader, RangeReader, ReaderAt};

use super::WeightsError;

/// A file, or bytes that stand for one. Clones share it.
#[derive(Clone)]
pub(super) struct Source {
    bytes: Rc<dyn ReaderAt>,
    /// The same file for reading from several threads; none of bytes in memory.
    file: Option<Rc<File>>,
    size: u64,
    path: PathBuf,
    /// Device and inode; none of bytes in memory.
    identity: Option<(u64, u64)>,
}

impl Source {
    /// Opens a file. What is no file is refused before it is opened: opening a pipe would wait for its other end.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        check_is_file(path, &std::fs::metadata(path).map_err(WeightsError::io(path, "read"))?)?;
        let file = open_at_once(path).map_err(WeightsError::io(path, "open"))?;
        // Another file may have come to that name meanwhile.
        let meta = file.metadata().map_err(WeightsError::io(path, "read"))?;
        let size = check_is_file(path, &meta)?;
        let identity = Some((meta.dev(), meta.ino()));
        let twin = file.try_clone().ok().map(Rc::new);
        Ok(Self { bytes: Rc::new(FileReader::from(file)), file: twin, size, path: path.to_owned(), identity })
    }

    /// Bytes in memory, under a name for messages.
    pub fn memory(name: &str, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let (path, size) = (PathBuf::from(name), bytes.len() as u64);
        check_size(&path, size)?;
        Ok(Self { size, bytes: Rc::new(bytes), file: None, path, identity: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether both are one file, whatever its names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }

    /// A path to open this very file by once more, whatever has taken its name since; none of bytes in memory, none where the file
    /// lies on a network.
    pub fn mappable(&self) -> Option<PathBuf> {
        let file = self.file.as_deref().filter(|file| !is_remote(file))?;
        Some(format!("/dev/fd/{}", file.as_raw_fd()).into())
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `offset` on, or fails.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.bytes.read_exact_at(buffer, offset)
    }

    /// Fills each of the parts from its place on, or fails. Long ones are read by several threads, because most of the time goes into
    /// pages of memory that the system gives for the first time.
    pub fn read_parts(&self, parts: Vec<(&mut [u8], u64)>) -> io::Result<()> {
        let total: usize = parts.iter().map(|(part, _)| part.len()).sum();
        match &self.file {
            Some(file) if total >= MANY => super::parallel::read(file, parts),
            _ => parts.into_iter().try_for_each(|(part, at)| self.read_exact_at(part, at)),
        }
    }

    /// The first bytes, at most as many as fit.
    pub fn head<const N: usize>(&self) -> Result<([u8; N], usize), WeightsError> {
        let mut head = [0; N];
        let length = N.min(usize::try_from(self.size).unwrap_or(N));
        self.read_exact_at(&mut head[..length], 0).map_err(WeightsError::io(&self.path, "read"))?;
        Ok((head, length))
    }

    /// Reads a part from its start to its end.
    pub fn range(&self, range: Range<u64>) -> RangeReader<Rc<dyn ReaderAt>> {
        RangeReader::new(Rc::clone(&self.bytes), range)
    }

    /// For reading here and there.
    pub fn as_reader(&self) -> &dyn ReaderAt {
        &*self.bytes
    }

    /// For the zip reader.
    pub fn reader_at(&self) -> Rc<dyn ReaderAt> {
        Rc::clone(&self.bytes)
    }
}

/// Opens without waiting, as one would at a pipe.
fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    std::fs::OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Whether another machine, or another process, has to be asked for the file's bytes.
#[cfg(target_os = "linux")]
fn is_remote(file: &File) -> bool {
    /// AFS, Ceph, SMB (three of them), FUSE, Lustre, NFS, 9P (statfs(2)).
    const KINDS: [u32; 9] = [
        0x5346_414f,
        0x00c3_6400,
        0x0000_517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0bd0_0bd0,
        0x0000_6969,
        0x0102_1997,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|system| KINDS.contains(&(system.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_remote(_: &File) -> bool {
    false
}

/// The file's size, or in words what is there instead.
fn check_is_file(path: &Path, meta: &std::fs::Metadata) -> Result<u64, WeightsError> {
    if meta.is_dir() {
        return Err(WeightsError::not_weights(path, "is a folder, not a weights file"));
    }
    if !meta.is_file() {
        return Err(WeightsError::not_weights(path, "is a pipe or device, not a weights file"));
    }
    check_size(path, meta.len())
}

fn check_size(path: &Path, size: u64) -> Result<u64, WeightsError> {
    match size {
        0 => Err(WeightsError::not_weights(path, "is empty (0 bytes); the download or copy may have failed")),
        1..8 => Err(WeightsError::not_weights(path, "is too short to be a weights file")),
        size => Ok(size),
    }
}

/// From so many bytes on, several threads read.
const MANY: usize = 8 << 20;

/// What reading may take beyond the file's size, in bytes.
pub(super) const SLACK: u64 = 64 << 20;
/// Of it, kept for buffers and for what is not counted one by one.
const RESERVE: u64 = 12 << 20;

/// Memory that reading may still take. Everything that grows with what a file says is taken from it first, so that a file cannot
/// make the program take more than the file's own size and 64 MiB. Copies share one account.
#[derive(Clone)]
pub(super) struct Budget(Rc<Cell<u64>>);

/// The budget is spent.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Budget {
    pub fn for_size(size: u64) -> Self {
        Self(Rc::new(Cell::new(size.saturating_add(SLACK - RESERVE))))
    }

    pub fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        self.0.set(self.0.get().checked_sub(bytes).ok_or(Exhausted)?);
        Ok(())
    }

    pub fn give_back(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    #[cfg(test)]
    pub fn left(&self) -> u64 {
        self.0.get()
    }
}
