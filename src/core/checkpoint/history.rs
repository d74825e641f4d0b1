//! A run's history, read again and again while it grows: what has not changed on the disk is not read twice.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use super::verify::read_state;
use super::{CheckpointError, CheckpointInfo, CheckpointStore, STATE};

/// One folder of the history.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A checkpoint. Its `state.json` was checked, nothing else.
    Whole(Box<CheckpointInfo>),
    /// Its `state.json` cannot be read.
    Damaged {
        /// Folder name.
        name: String,
        /// Why, in words.
        problem: String,
    },
}

impl Entry {
    /// The checkpoint, where it can be read.
    pub fn info(&self) -> Option<&CheckpointInfo> {
        match self {
            Self::Whole(info) => Some(info),
            Self::Damaged { .. } => None,
        }
    }
}

/// What tells one `state.json` from another that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What was read before, by folder name.
#[derive(Debug, Default)]
pub struct History(HashMap<String, (Stamp, Entry)>);

impl History {
    /// The history as it is now, oldest first. Folders without a complete `state.json` are none of it.
    pub fn read(&mut self, store: &CheckpointStore) -> Vec<Entry> {
        let pins = store.pins();
        let mut known = std::mem::take(&mut self.0);
        for name in store.names() {
            let folder = store.path().join(&name);
            let Ok(about) = fs::metadata(folder.join(STATE)) else { continue };
            let stamp = Stamp { bytes: about.len(), modified: about.modified().ok() };
            let entry = match known.remove(&name) {
                Some((seen, entry)) if seen == stamp => entry,
                _ => match read_state(&folder) {
                    Ok(state) => Entry::Whole(Box::new(store.info(name.clone(), &state, &pins))),
                    Err(CheckpointError::Missing { .. }) => continue,
                    Err(CheckpointError::Damaged { damage, .. }) => {
                        let words: Vec<String> = damage.iter().map(ToString::to_string).collect();
                        Entry::Damaged { name: name.clone(), problem: words.join("; ") }
                    }
                    Err(e) => Entry::Damaged { name: name.clone(), problem: e.to_string() },
                },
            };
            self.0.insert(name, (stamp, entry));
        }
        let mut entries: Vec<(u64, Entry)> = self
            .0
            .iter()
            .filter_map(|(name, (_, entry))| {
                let mut entry = entry.clone();
                if let Entry::Whole(info) = &mut entry {
                    // Pins are kept beside the checkpoints.
                    info.pinned = pins.contains(name);
                }
                Some((CheckpointStore::step_of(name)?, entry))
            })
            .collect();
        entries.sort_by_key(|(step, _)| *step);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkpoint::TrainState;
    use crate::core::tensor::HostTensor;

    #[test]
    fn a_history_is_followed_as_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        let write = |step: u64, reason: &str| {
            let state = TrainState { step, reason: reason.to_owned(), ..TrainState::default() };
            store.write(&state, &[HostTensor::from_f32("w", &[1], &[reason.len() as f32])], &[]).unwrap();
        };
        let mut history = History::default();
        assert_eq!(history.read(&store), []);
        write(1, "save");
        write(20, "save");
        std::fs::create_dir(store.path().join("step-00000003")).unwrap();
        let seen = history.read(&store);
        assert_eq!(seen.iter().filter_map(Entry::info).cloned().collect::<Vec<_>>(), store.list());
        store.pin("step-00000001", true).unwrap();
        assert!(history.read(&store)[0].info().unwrap().pinned);
        // A later one of the same step, and one that is removed.
        write(20, "a longer reason");
        store.remove("step-00000001").unwrap();
        let seen = history.read(&store);
        assert_eq!((seen.len(), seen[0].info().unwrap().reason.as_str()), (1, "a longer reason"));
        std::fs::write(store.path().join("step-00000020").join(STATE), "{}").unwrap();
        let seen = history.read(&store);
        assert!(
            matches!(&seen[..], [Entry::Damaged { name, problem }] if name == "step-00000020" && problem.contains(STATE)),
            "{seen:?}"
        );
    }
}
