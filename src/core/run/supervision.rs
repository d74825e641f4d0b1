//! The process that resumes a run after crashes (`--retries`), made known while it does: it holds the lock of the file
//! `supervisor` in the run's folder. Whoever removes that file calls it off; no process number is relied on, which may mean
//! another process in another container.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt;

use super::lock::{self, Owner};

fn path_in(run: &Path) -> PathBuf {
    run.join("supervisor")
}

/// Held by the process that resumes the run. The file goes with it.
#[derive(Debug)]
pub struct Supervision {
    file: File,
    path: PathBuf,
}

impl Supervision {
    /// `None` where another process does it already, or the file cannot be written: then it is only not known.
    pub(super) fn begin(run: &Path) -> Option<Self> {
        let path = path_in(run);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).ok()?;
        if !FileExt::try_lock_exclusive(&file).ok()? {
            return None;
        }
        let text = serde_json::to_string(&Owner::this_process()).ok()?;
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).ok()?;
        Some(Self { file, path })
    }

    /// Whether somebody has removed the file. A run's folder that is moved for a while calls nothing off.
    pub fn is_called_off(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(there) => self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) != (there.dev(), there.ino())),
            Err(e) => e.kind() == ErrorKind::NotFound && self.path.parent().is_some_and(Path::is_dir),
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if !self.is_called_off() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A process that was called off and may not have ended yet.
#[derive(Debug)]
pub struct CalledOff(File);

impl CalledOff {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        let free = FileExt::try_lock_shared(&self.0).unwrap_or(true);
        if free {
            let _ = FileExt::unlock(&self.0);
        }
        free
    }
}

/// The process that resumes the run after a crash.
pub(super) fn supervisor_of(run: &Path) -> Option<Owner> {
    lock::holder(&path_in(run))
}

/// Has it do so no more; `None` where there is none.
pub(super) fn call_off(run: &Path) -> Option<CalledOff> {
    let path = path_in(run);
    let file = File::open(&path).ok()?;
    lock::holder(&path)?;
    std::fs::remove_file(&path).ok()?;
    Some(CalledOff(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_while_it_lives_and_can_be_called_off() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        std::fs::create_dir(&run).unwrap();
        assert!(supervisor_of(&run).is_none() && call_off(&run).is_none());
        let first = Supervision::begin(&run).unwrap();
        assert!(Supervision::begin(&run).is_none());
        assert!(supervisor_of(&run).unwrap().is_this_process() && !first.is_called_off());

        let moved = dir.path().join("moved");
        std::fs::rename(&run, &moved).unwrap();
        assert!(!first.is_called_off());
        std::fs::rename(&moved, &run).unwrap();

        let leaving = call_off(&run).unwrap();
        assert!(first.is_called_off() && !leaving.is_over() && supervisor_of(&run).is_none());
        // The next one is not touched by the end of the one before.
        let second = Supervision::begin(&run).unwrap();
        assert!(first.is_called_off());
        drop(first);
        assert!(leaving.is_over() && supervisor_of(&run).is_some() && !second.is_called_off());
        drop(second);
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_supervisor_leaves_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(path_in(dir.path()), serde_json::to_string(&Owner::this_process()).unwrap()).unwrap();
        assert!(supervisor_of(dir.path()).is_none() && call_off(dir.path()).is_none());
        assert!(Supervision::begin(dir.path()).is_some());
    }
}
