//! The write trace for the tests of this crate: what was done to the files below a folder, in order, as the system was
//! asked for it. [`super::disk`] plays it back with parts of it lost.

#![allow(missing_docs, reason = "for tests")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One thing done, with paths relative to the recorded folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    MakeDir(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    RemoveTree(PathBuf),
    /// Something that the test says: from here on more is expected.
    Mark(usize),
}

static TRACES: Mutex<Vec<(PathBuf, Vec<Op>)>> = Mutex::new(Vec::new());

fn traces() -> MutexGuard<'static, Vec<(PathBuf, Vec<Op>)>> {
    TRACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Recording until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Recording(PathBuf);

/// Records what is done below `folder`.
pub fn record(folder: &Path) -> Recording {
    traces().push((folder.to_owned(), Vec::new()));
    Recording(folder.to_owned())
}

impl Recording {
    /// Puts a mark behind what was done so far.
    pub fn mark(&self, number: usize) {
        note(&self.0, |_| Op::Mark(number));
    }

    /// What was done so far.
    pub fn ops(&self) -> Vec<Op> {
        traces().iter().find(|(f, _)| *f == self.0).map(|(_, ops)| ops.clone()).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        traces().retain(|(folder, _)| *folder != self.0);
    }
}

/// Notes something done to a path, where it is recorded.
pub fn note(path: &Path, op: impl FnOnce(PathBuf) -> Op) {
    let mut traces = traces();
    let found = traces.iter_mut().find_map(|(folder, ops)| Some((path.strip_prefix(&*folder).ok()?.to_owned(), ops)));
    if let Some((relative, ops)) = found {
        ops.push(op(relative));
    }
}

/// Notes something done to two paths.
pub fn note_two(from: &Path, to: &Path, op: impl FnOnce(PathBuf, PathBuf) -> Op) {
    let mut traces = traces();
    let found = traces.iter_mut().find_map(|(folder, ops)| {
        let relative = |p: &Path| p.strip_prefix(&*folder).ok().map(Path::to_owned);
        Some((relative(from)?, relative(to)?, ops))
    });
    if let Some((from, to, ops)) = found {
        ops.push(op(from, to));
    }
}
