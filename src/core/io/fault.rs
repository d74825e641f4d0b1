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

/// What was refused so far, for tests that must not go on before.
static STRUCK: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn struck() -> MutexGuard<'static, Vec<PathBuf>> {
    STRUCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something at or below this path was refused.
pub fn wait_for_refusal(path: &Path) {
    while !struck().iter().any(|p| p.starts_with(path)) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn refuse<T>(path: &Path, errno: Errno) -> io::Result<T> {
    struck().push(path.to_owned());
    Err(errno.into())
}

static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk does not answer until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Hold(PathBuf);

/// Whoever writes at or below `path` waits.
pub fn hold(path: &Path) -> Hold {
    held().push(path.to_owned());
    Hold(path.to_owned())
}

impl Drop for Hold {
    fn drop(&mut self) {
        held().retain(|p| *p != self.0);
    }
}

fn wait_while_held(path: &Path) {
    while held().iter().any(|p| path.starts_with(p)) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

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
    wait_while_held(path);
    match faults().iter().find(|(folder, ..)| path.starts_with(folder)) {
        Some((_, 0, errno)) => refuse(path, *errno),
        _ => Ok(()),
    }
}

/// The part of `buf` that still fits.
pub fn admit<'a>(path: &Path, buf: &'a [u8]) -> io::Result<&'a [u8]> {
    wait_while_held(path);
    let mut faults = faults();
    let Some((_, left, errno)) = faults.iter_mut().find(|(folder, ..)| path.starts_with(folder)) else {
        return Ok(buf);
    };
    if *left == 0 && !buf.is_empty() {
        return refuse(path, *errno);
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
