//! Injected faults for the tests of this crate: below a folder, the disk is full after so many more bytes.
//!
//! By folder and not by thread, because the writer under test may live on a thread of its own; tests have temporary
//! folders of their own, so they do not disturb each other.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// What fails, after how many more bytes, and how.
type Fault = (PathBuf, u64, Errno);

static FULL: Mutex<Vec<Fault>> = Mutex::new(Vec::new());

fn faults() -> MutexGuard<'static, Vec<Fault>> {
    FULL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk is full again and again until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct DiskFull(PathBuf);

/// Writes below `folder` succeed for `bytes` more bytes, then fail with ENOSPC.
pub fn disk_full_after(folder: &Path, bytes: u64) -> DiskFull {
    failing_after(folder, bytes, Errno::NOSPC)
}

/// Writes below `path` succeed for `bytes` more bytes, then fail.
pub fn failing_after(path: &Path, bytes: u64, errno: Errno) -> DiskFull {
    faults().push((path.to_owned(), bytes, errno));
    DiskFull(path.to_owned())
}

impl Drop for DiskFull {
    fn drop(&mut self) {
        faults().retain(|(p, ..)| *p != self.0);
    }
}

/// Fails where nothing at all can be written any more.
pub fn check(path: &Path, _bytes: usize) -> io::Result<()> {
    match faults().iter().find(|(folder, ..)| path.starts_with(folder)) {
        Some((_, 0, errno)) => Err((*errno).into()),
        _ => Ok(()),
    }
}

/// The part of `buf` that still fits.
pub fn admit<'a>(path: &Path, buf: &'a [u8]) -> io::Result<&'a [u8]> {
    let mut faults = faults();
    let Some((_, left, errno)) = faults.iter_mut().find(|(folder, ..)| path.starts_with(folder)) else {
        return Ok(buf);
    };
    if *left == 0 && !buf.is_empty() {
        return Err((*errno).into());
    }
    let n = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= n as u64;
    Ok(&buf[..n])
}

/// Folders whose file system cannot swap two names.
static NO_EXCHANGE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn without_exchange() -> MutexGuard<'static, Vec<PathBuf>> {
    NO_EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two names cannot be swapped at once until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct NoExchange(PathBuf);

/// Below `folder` the file system cannot swap two names.
pub fn no_exchange(folder: &Path) -> NoExchange {
    without_exchange().push(folder.to_owned());
    NoExchange(folder.to_owned())
}

impl Drop for NoExchange {
    fn drop(&mut self) {
        without_exchange().retain(|folder| *folder != self.0);
    }
}

/// Whether two names can be swapped here.
pub fn exchanges(path: &Path) -> bool {
    !without_exchange().iter().any(|folder| path.starts_with(folder))
}
