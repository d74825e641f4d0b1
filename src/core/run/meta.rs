//! `run.toml`: the resolved recipe with every default filled in, plus a `[run]` table with what is not in a recipe.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Lineage, RunId, StoreError};
use crate::core::io;
use crate::core::recipe::Recipe;

/// What `run.toml` holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMeta {
    /// The run's id.
    pub id: RunId,
    /// Its name; the recipe's at first.
    pub name: String,
    /// Free labels.
    pub tags: Vec<String>,
    /// A free remark.
    pub note: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// When it was created.
    pub created: jiff::Timestamp,
    /// Name of the machine that created it.
    pub host: String,
    /// The resolved recipe. Its own name, tags and note are kept equal to those above.
    pub recipe: Recipe,
}

/// The `[run]` table.
#[derive(Serialize, Deserialize)]
struct RunTable {
    id: RunId,
    created: jiff::Timestamp,
    host: String,
    #[serde(flatten)]
    lineage: Lineage,
}

impl RunMeta {
    /// The name that a run of this recipe gets.
    pub fn name_of(recipe: &Recipe) -> String {
        match &recipe.name {
            Some(name) if !name.is_empty() => name.clone(),
            _ if !recipe.model.arch.is_empty() => recipe.model.arch.clone(),
            _ => "run".to_owned(),
        }
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut recipe = self.recipe.clone();
        recipe.name = Some(self.name.clone());
        recipe.tags.clone_from(&self.tags);
        recipe.note.clone_from(&self.note);
        let mut table = toml::Table::try_from(&recipe)?;
        let run = RunTable {
            id: self.id.clone(),
            created: self.created,
            host: self.host.clone(),
            lineage: self.lineage.clone(),
        };
        table.insert("run".to_owned(), toml::Value::try_from(run)?);
        toml::to_string(&table)
    }

    /// Reads the file's text.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let mut table: toml::Table = toml::from_str(text).map_err(one_line)?;
        let run = table.remove("run").ok_or("the [run] table is missing")?;
        let run: RunTable = run.try_into().map_err(|e| format!("[run]: {}", one_line(e)))?;
        let recipe: Recipe = table.try_into().map_err(one_line)?;
        Ok(Self {
            id: run.id,
            name: Self::name_of(&recipe),
            tags: recipe.tags.clone(),
            note: recipe.note.clone(),
            lineage: run.lineage,
            created: run.created,
            host: run.host,
            recipe,
        })
    }

    pub(super) fn load(path: &Path) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(StoreError::io("read", path))?;
        Self::from_toml(&text).map_err(|problem| {
            let way_out = "correct its text; `evaluate`, `predict` and `export` read the run's checkpoints without it";
            StoreError::Damaged { path: path.to_owned(), message: format!("{problem}; {way_out}") }
        })
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text = self.to_toml().map_err(|e| StoreError::Damaged { path: path.to_owned(), message: one_line(e) })?;
        io::write_atomic(path, text.as_bytes()).map_err(StoreError::io("write", path))
    }
}

fn one_line(error: impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_toml_round_trips_and_holds_every_default() {
        let mut recipe = Recipe { name: Some("demo".into()), tags: vec!["a".into()], ..Recipe::default() };
        recipe.optimizer.lr = 0.1 + 0.2;
        let now: jiff::Timestamp = "2026-11-25T01:45:03.25Z".parse().unwrap();
        let meta = RunMeta {
            id: RunId::new(now),
            name: "demo".into(),
            tags: vec!["a".into()],
            note: "two\nlines".into(),
            lineage: Lineage { resumed_from: None, forked_from: Some("20261125-014503-k3f9@120".into()) },
            created: now,
            host: "box".into(),
            recipe: Recipe { note: "two\nlines".into(), ..recipe },
        };
        let text = meta.to_toml().unwrap();
        assert!(text.contains("batch_size = 32"), "{text}");
        assert_eq!(RunMeta::from_toml(&text).unwrap(), meta);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error =
            RunMeta::from_toml("bogus = 1\n[run]\nid='20261125-014503-k3f9'\ncreated='2026-11-25T01:45:03Z'\nhost='x'");
        assert!(error.unwrap_err().contains("bogus"));
    }
}
