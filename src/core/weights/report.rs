//! What became of each tensor when a state dict was mapped onto a model.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The outcome of a mapping, by tensor; names are the model's except where said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Loaded.
    pub matched: Vec<String>,
    /// In the model only: they keep their fresh initialisation.
    pub missing: Vec<String>,
    /// In the file only (names after prefix and rename): not used.
    pub unexpected: Vec<String>,
    /// In both, but of another shape or an incompatible type: not loaded.
    pub mismatched: Vec<Mismatch>,
    /// Not loaded because the recipe's `drop` says so (the file's names).
    pub dropped: Vec<String>,
    /// Initialised afresh because of `head = "new"`.
    pub new_head: Vec<String>,
    /// Counters (`num_batches_tracked`) that the file lacks, which is fine: old checkpoints have none.
    pub defaulted: Vec<String>,
    /// Loaded with another floating-point type than the file's.
    pub cast: Vec<String>,
    /// The file's types of those.
    pub cast_from: BTreeSet<String>,
    /// What could be changed in the recipe so that more matches.
    pub hints: Vec<String>,
}

/// A tensor that is in both, but cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// Its name in the model.
    pub name: String,
    /// Shape in the file.
    pub file_shape: Vec<usize>,
    /// Shape in the model.
    pub model_shape: Vec<usize>,
    /// Type in the file.
    pub file_dtype: String,
    /// Type in the model.
    pub model_dtype: String,
}

/// Names shown in a message.
const SHOWN: usize = 4;

impl LoadReport {
    /// Whether everything fits in `load_state_dict(strict=True)`'s sense.
    pub fn is_strict(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    /// What does not fit and what to change, in one line.
    pub fn problems(&self) -> String {
        let mut parts = Vec::new();
        let mut part = |word: &str, names: Vec<String>| {
            if !names.is_empty() {
                parts.push(format!("{} {word} ({})", names.len(), some_of(&names)));
            }
        };
        part("mismatched", self.mismatched.iter().map(ToString::to_string).collect());
        part("missing", self.missing.clone());
        part("unexpected", self.unexpected.clone());
        if self.matched.is_empty() {
            parts.insert(0, "no tensor matches".into());
        }
        let hint = match self.hints.as_slice() {
            [] if self.mismatched.is_empty() && !self.matched.is_empty() => {
                "; load what fits with model.load.strict = false, or use model.load.drop and rename".to_owned()
            }
            [] => "; is it another model's file? model.load.drop leaves tensors out".to_owned(),
            hints => format!("; {}", hints.join("; ")),
        };
        format!("{}{hint}", parts.join(", "))
    }

    /// What was done, in one line.
    pub fn summary(&self) -> String {
        let from: Vec<&str> = self.cast_from.iter().map(String::as_str).collect();
        let converted = format!("converted from {}", from.join(" and "));
        let counts = [
            (converted.as_str(), self.cast.len()),
            ("dropped", self.dropped.len()),
            ("of the head new", self.new_head.len()),
            ("missing (fresh)", self.missing.len()),
            ("unexpected (unused)", self.unexpected.len()),
            ("mismatched (fresh)", self.mismatched.len()),
        ];
        let rest: String = counts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!(", {n} {word}")).collect();
        format!("{} tensors loaded{rest}", self.matched.len())
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.file_shape == self.model_shape {
            return write!(f, "{}: {} in the file, {} in the model", self.name, self.file_dtype, self.model_dtype);
        }
        write!(f, "{}: {:?} in the file, {:?} in the model", self.name, self.file_shape, self.model_shape)
    }
}

fn some_of(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(|n| super::header::shown(n)).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
