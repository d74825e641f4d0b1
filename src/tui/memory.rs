//! `session.json` in the folder of configuration: where the screen was left, for each run home. It is a convenience: what
//! cannot be read or written is forgotten without a word.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::app::memory::Memory;
use crate::core::io;

const FILE: &str = "session.json";

/// Run homes that are remembered; the one that was left first is forgotten first.
const HOMES: usize = 20;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Sessions {
    /// By run home.
    homes: BTreeMap<String, Left>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Left {
    /// Milliseconds since the Unix epoch.
    at_ms: u64,
    #[serde(flatten)]
    memory: Memory,
}

fn read(folder: &Path) -> Sessions {
    let text = std::fs::read(folder.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Where the screen was left on a run home.
pub fn recall(folder: Option<&Path>, home: &str) -> Option<Memory> {
    read(folder?).homes.remove(home).map(|left| left.memory)
}

/// Remembers where the screen is left.
pub fn keep(folder: Option<&Path>, home: &str, memory: Memory, now_ms: u64) {
    let Some(folder) = folder else { return };
    let mut sessions = read(folder);
    sessions.homes.insert(home.to_owned(), Left { at_ms: now_ms, memory });
    while sessions.homes.len() > HOMES {
        let oldest = sessions.homes.iter().min_by_key(|(_, left)| left.at_ms).map(|(home, _)| home.clone());
        oldest.and_then(|home| sessions.homes.remove(&home));
    }
    if let Ok(text) = serde_json::to_vec_pretty(&sessions) {
        let _ = io::create_dirs(folder).and_then(|()| io::write_atomic(&folder.join(FILE), &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_home_has_its_own_place_and_the_oldest_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("config");
        let memory = |filter: &str| Memory { filter: filter.to_owned(), ..Memory::default() };
        assert_eq!(recall(Some(&folder), "a"), None);
        for n in 0..=HOMES as u64 {
            keep(Some(&folder), &format!("home{n}"), memory(&format!("tag:{n}")), 100 + n);
        }
        assert_eq!(recall(Some(&folder), "home0"), None);
        assert_eq!(recall(Some(&folder), "home1"), Some(memory("tag:1")));
        std::fs::write(folder.join(FILE), "{ nonsense").unwrap();
        assert_eq!(recall(Some(&folder), "home1"), None);
        keep(Some(&folder), "home1", memory("x"), 1);
        assert_eq!(recall(Some(&folder), "home1"), Some(memory("x")));
        keep(None, "home1", memory("x"), 1);
        // Folds of another version, or of another hand, take nothing else with them.
        let text = r#"{"homes":{"home1":{"at_ms":1,"filter":"x","folds":{"a":["b"]}}}}"#;
        std::fs::write(folder.join(FILE), text).unwrap();
        assert_eq!(recall(Some(&folder), "home1"), Some(memory("x")));
    }
}
