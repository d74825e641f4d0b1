//! Who owns a run: an advisory lock on the file `lock` in its folder, with the owner's name written in it.
//!
//! The kernel drops the lock when its holder dies, however it dies, so a stale one is recognised at once; what is written
//! in the file only serves to name the owner.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fs4::fs_std::FileExt;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// The process that hosts a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Identity of the machine's boot (Linux's `boot_id`), so that an old pid is not mistaken for a new one.
    pub boot_id: String,
    /// Host name.
    pub host: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        Self {
            pid: std::process::id(),
            boot_id: boot_id(),
            host: host_name(),
            since_ms: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0),
        }
    }

    /// Whether it is this process.
    pub fn is_this_process(&self) -> bool {
        self.pid == std::process::id() && self.boot_id == boot_id()
    }
}

/// Name of this machine.
pub(super) fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// The ownership of a run, given up when dropped.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    run: PathBuf,
}

/// Folders of the runs that this process owns. The pid in the file does not tell: in containers every process may have
/// the same one.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a live process other than this one owns the run in this folder.
pub(crate) fn owned_elsewhere(run: &Path) -> bool {
    !held().iter().any(|h| h == run) && owner_of(run).is_some()
}

/// Readers take the lock for an instant to see whether it is free, so a writer tries this often, this far apart.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn path_in(run: &Path) -> PathBuf {
    run.join("lock")
}

impl RunLock {
    pub(super) fn take(run: &Path, id: &str) -> Result<Self, StoreError> {
        let path = path_in(run);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(StoreError::io("open", &path))?;
        let mut taken = false;
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            taken = FileExt::try_lock_exclusive(&file).map_err(StoreError::io("lock", &path))?;
            if taken {
                break;
            }
        }
        if !taken {
            let (pid, host) = read(&mut file).map_or((0, "an unknown host".to_owned()), |o| (o.pid, o.host));
            return Err(StoreError::Owned { run: id.to_owned(), pid, host });
        }
        let text = serde_json::to_string(&Owner::this_process()).unwrap_or_default();
        // Only for people and for messages: a full disk here does not weaken the lock.
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        held().push(run.to_owned());
        Ok(Self { file, run: run.to_owned() })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        held().retain(|h| *h != self.run);
        // Emptied first: an empty file says "nobody" without trying the lock. Never removed: another process may have
        // opened it already, and a lock on a removed file guards nothing.
        let _ = self.file.set_len(0);
        let _ = FileExt::unlock(&self.file);
    }
}

fn read(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Who holds the lock of the run in this folder right now; `None` if nobody.
pub(super) fn owner_of(run: &Path) -> Option<Owner> {
    holder(&path_in(run))
}

/// Who holds the lock of a file and has written its name there.
pub(super) fn holder(path: &Path) -> Option<Owner> {
    let mut file = File::open(path).ok()?;
    let owner = read(&mut file)?;
    match FileExt::try_lock_shared(&file) {
        Ok(true) => {
            let _ = FileExt::unlock(&file);
            None
        }
        Ok(false) => Some(owner),
        // A file system without locks: all that is left is to ask whether the process is there.
        Err(_) => alive(&owner).then_some(owner),
    }
}

fn alive(owner: &Owner) -> bool {
    if owner.host != host_name() {
        return true;
    }
    let pid = i32::try_from(owner.pid).ok().and_then(rustix::process::Pid::from_raw);
    owner.boot_id == boot_id() && pid.is_some_and(|p| rustix::process::test_kill_process(p).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_with_the_first_ones_pid() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RunLock::take(dir.path(), "r").unwrap();
        let owner = owner_of(dir.path()).unwrap();
        assert!(owner.is_this_process());
        match RunLock::take(dir.path(), "r") {
            Err(StoreError::Owned { pid, .. }) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert_eq!(owner_of(dir.path()), None);
        RunLock::take(dir.path(), "r").unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_kill_is_stale_even_if_its_pid_lives_again() {
        let dir = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&Owner::this_process()).unwrap();
        std::fs::write(path_in(dir.path()), text).unwrap();
        assert_eq!(owner_of(dir.path()), None);
        RunLock::take(dir.path(), "r").unwrap();
    }

    #[test]
    fn readers_do_not_keep_an_owner_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        std::fs::write(path_in(&path), serde_json::to_string(&Owner::this_process()).unwrap()).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    owner_of(&path);
                }
            });
            for _ in 0..50 {
                RunLock::take(&path, "r").unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
