//! Putting a finished folder in its place, also where a checkpoint of that step lies already: at no moment is there
//! neither the old nor the new one, wherever a kill or a power cut falls.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::TrainState;
use super::store::CheckpointStore;
use super::verify::{read_state, verify_path};
use crate::core::io::{exchange, fsync_dir, remove_tree, rename};

/// Names of folders that were moved out of the way, where the file system cannot swap two names in one instant.
pub(super) const OLD: &str = ".old-";

/// Whether the checkpoint at `target` is undamaged and says the same as `state`, but for when and why it was written.
pub(super) fn same(target: &Path, state: &TrainState) -> bool {
    let Ok(there) = read_state(target) else { return false };
    let comparable = TrainState { time_ms: state.time_ms, reason: state.reason.clone(), ..there };
    comparable == *state && verify_path(target).is_empty()
}

/// Moves the folder `temp` to `target`. If something is there, it lies under `temp` afterwards, to be removed.
pub(super) fn put_in_place(temp: &Path, target: &Path) -> io::Result<()> {
    if !target.exists() {
        return rename(temp, target);
    }
    match exchange(temp, target) {
        Err(e) if e.kind() == ErrorKind::Unsupported => by_two_renames(temp, target),
        other => other,
    }
}

/// Between the two renames the old one lies, whole, under a name that [`recover`] knows.
fn by_two_renames(temp: &Path, target: &Path) -> io::Result<()> {
    let parent = target.parent().unwrap_or(Path::new("."));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let old = parent.join(format!("{OLD}{name}"));
    // The remains of an earlier replacement: `target` exists, so they are not needed.
    match remove_tree(&old) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    rename(target, &old)?;
    if let Err(e) = rename(temp, target) {
        let _ = rename(&old, target);
        return Err(e);
    }
    fsync_dir(parent)?;
    rename(&old, temp)
}

/// Puts back what a kill between the two renames left under its other name. Says so in words.
pub(super) fn recover(folder: &Path) -> Vec<String> {
    let mut done = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(step) = name.strip_prefix(OLD).filter(|n| CheckpointStore::step_of(n).is_some()) else { continue };
        let target = folder.join(step);
        if !target.exists() && rename(&entry.path(), &target).is_ok() {
            done.push(format!("put {step} back, whose replacement did not end"));
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path, content: &str) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("x"), content).unwrap();
    }

    #[test]
    fn both_ways_of_replacing_leave_the_new_in_place_and_the_old_to_be_removed() {
        for way in [put_in_place, by_two_renames] {
            let dir = tempfile::tempdir().unwrap();
            let (temp, target) = (dir.path().join(".tmp-1"), dir.path().join("step-00000001"));
            folder(&temp, "new");
            folder(&target, "old");
            way(&temp, &target).unwrap();
            assert_eq!(fs::read_to_string(target.join("x")).unwrap(), "new");
            assert_eq!(fs::read_to_string(temp.join("x")).unwrap(), "old");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_kill_between_the_two_renames_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        folder(&dir.path().join(".old-step-00000001"), "old");
        folder(&dir.path().join(".tmp-step-00000001-9-0"), "new");
        assert_eq!(recover(dir.path()).len(), 1);
        assert_eq!(fs::read_to_string(dir.path().join("step-00000001/x")).unwrap(), "old");
        assert!(recover(dir.path()).is_empty());
    }
}
