//! Edits of a draft that survive leaving: neither started nor written into the recipe yet.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is kept of a draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptDraft {
    /// The recipe.
    pub path: PathBuf,
    /// Freeze rules in its file when they were kept.
    pub in_file: Vec<String>,
    /// The draft's rules before the staged ones; those in the file, unless an edit was taken back that had been written.
    pub rules: Vec<String>,
    /// Staged rules.
    pub staged: Vec<String>,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}
