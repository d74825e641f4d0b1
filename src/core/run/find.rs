//! From what a user types to a run or a checkpoint.

use std::path::{Path, PathBuf};

use super::edit::short_name;
use super::{RunDir, RunHome, RunId, StoreError};
use crate::core::ago::ago;
use crate::core::checkpoint::{
    CheckpointError, CheckpointStore, LoadedCheckpoint, TrainState, load_path, load_weights, load_weights_watched,
    policy,
};
use crate::core::tensor::HostTensor;

/// A checkpoint that a user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRef {
    /// The run it belongs to; `None` for a folder outside a run.
    pub run: Option<RunDir>,
    /// Folder name (`step-00000120`).
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
}

impl CheckpointRef {
    /// Loads it, checksums first.
    pub fn load(&self) -> Result<LoadedCheckpoint, CheckpointError> {
        load_path(&self.path)
    }

    /// Its weights with its state, without the optimizer's tensors.
    pub fn load_weights(&self) -> Result<(TrainState, Vec<HostTensor>), CheckpointError> {
        load_weights(&self.path)
    }

    /// The same; `progress` is told how many bytes were read so far, and of how many.
    pub fn load_weights_watched(
        &self,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(TrainState, Vec<HostTensor>), CheckpointError> {
        load_weights_watched(&self.path, progress)
    }

    /// Its step, read from its name.
    pub fn step(&self) -> Option<u64> {
        CheckpointStore::step_of(&self.name)
    }

    /// `RUN@120`, or the path.
    pub fn label(&self) -> String {
        match (&self.run, self.step()) {
            (Some(run), Some(step)) => format!("{}@{step}", run.id()),
            _ => self.path.display().to_string(),
        }
    }

    fn in_run(run: &RunDir, name: String) -> Self {
        let path = run.checkpoints().path().join(&name);
        Self { run: Some(run.clone()), name, path }
    }

    fn at(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().filter(|p| p.ends_with("checkpoints")).and_then(Path::parent);
        let run = folder.and_then(|folder| {
            let id: RunId = folder.file_name()?.to_str()?.parse().ok()?;
            folder.join("run.toml").exists().then(|| RunDir::new(id, folder.to_owned()))
        });
        Self { run, name, path }
    }
}

impl RunHome {
    /// A run by id, unique beginning of an id, unique name, or `last`.
    pub fn find(&self, what: &str) -> Result<RunDir, StoreError> {
        // `frostline rm "$id"` with a variable that was never set must not find the one run that there is.
        if what.trim().is_empty() {
            return Err(StoreError::NotFound("the run's name is empty; `frostline ls` shows the runs".to_owned()));
        }
        let runs = self.runs()?;
        if runs.is_empty() {
            let message = format!("no run `{what}`: there are no runs in {} yet", self.path().display());
            return Err(StoreError::NotFound(message));
        }
        if what == "last" {
            return first(runs, what);
        }
        if let Some(run) = runs.iter().find(|r| r.id().as_str() == what) {
            return Ok(run.clone());
        }
        let by_id: Vec<RunDir> = runs.iter().filter(|r| r.id().as_str().starts_with(what)).cloned().collect();
        match by_id.len() {
            0 => {}
            1 => return first(by_id, what),
            _ => return Err(ambiguous(what, &by_id)),
        }
        let names: Vec<(String, RunDir)> = runs.iter().map(|r| (r.summary().name, r.clone())).collect();
        let by_name: Vec<RunDir> = names.iter().filter(|(n, _)| n == what).map(|(_, r)| r.clone()).collect();
        match by_name.len() {
            0 => Err(StoreError::NotFound(not_found(what, &names))),
            1 => first(by_name, what),
            _ => Err(ambiguous(what, &by_name)),
        }
    }

    /// A checkpoint as `RUN@120`, `RUN@last`, `RUN@best`, a path, or a run alone (its last one).
    pub fn find_checkpoint(&self, what: &str) -> Result<CheckpointRef, StoreError> {
        let path = Path::new(what);
        if path.join("state.json").is_file() {
            return Ok(CheckpointRef::at(path));
        }
        if what.contains('/') {
            let why = if path.exists() { "is no checkpoint (it has no state.json)" } else { "does not exist" };
            return Err(StoreError::NotFound(format!("{what} {why}; name a checkpoint as RUN@step or by its folder")));
        }
        let (run, which) = what.rsplit_once('@').unwrap_or((what, "last"));
        let run = self.find(run)?;
        run.checkpoints().readable()?;
        let infos = run.checkpoints().list();
        let name = match which {
            "last" => infos.last().map(|i| i.name.clone()),
            "best" => {
                let recipe = run.meta()?.recipe;
                let best = policy::best(&infos, &recipe.checkpoint.monitor, recipe.monitor_mode());
                if best.is_none() && !infos.is_empty() {
                    let monitor = &recipe.checkpoint.monitor;
                    let message =
                        format!("no checkpoint of run {} has a value of {monitor} yet; use @last or a step", run.id());
                    return Err(StoreError::NotFound(message));
                }
                best.map(|i| i.name.clone())
            }
            _ => {
                let step: Option<u64> = which.parse().ok().or_else(|| CheckpointStore::step_of(which));
                let step = step.ok_or_else(|| {
                    StoreError::NotFound(format!(
                        "`{which}` in `{what}` is no checkpoint; use a step, `last` or `best`"
                    ))
                })?;
                // Not by the list: a damaged one must be found too, so that loading it can say what is wrong.
                let name = CheckpointStore::name_of(step);
                run.checkpoints().path().join(&name).is_dir().then_some(name)
            }
        };
        name.map(|name| CheckpointRef::in_run(&run, name)).ok_or_else(|| {
            let steps: Vec<String> = infos.iter().map(|i| i.step.to_string()).collect();
            let has =
                if steps.is_empty() { "it has none yet".to_owned() } else { format!("it has {}", steps.join(", ")) };
            StoreError::NotFound(format!("run {} has no checkpoint `{which}`; {has}", run.id()))
        })
    }
}

fn first(runs: Vec<RunDir>, what: &str) -> Result<RunDir, StoreError> {
    runs.into_iter().next().ok_or_else(|| StoreError::NotFound(format!("no run `{what}`")))
}

/// Candidates that a message names.
const NAMED: usize = 8;

fn ambiguous(what: &str, runs: &[RunDir]) -> StoreError {
    let mut candidates: Vec<String> = runs
        .iter()
        .take(NAMED)
        .map(|r| {
            let run = r.summary();
            let ms = |time: jiff::Timestamp| u64::try_from(time.as_millisecond()).unwrap_or(0);
            let created = ago(ms(jiff::Timestamp::now()), ms(run.created));
            format!("{} ({}, {}, {created})", run.id, short_name(&run.name), run.status)
        })
        .collect();
    if runs.len() > NAMED {
        candidates.push(format!("{} more", runs.len() - NAMED));
    }
    StoreError::Ambiguous { what: what.to_owned(), candidates }
}

fn not_found(what: &str, names: &[(String, RunDir)]) -> String {
    let words = names.iter().flat_map(|(name, run)| [name.as_str(), run.id().as_str()]);
    let mut close: Vec<(f64, &str)> =
        words.map(|w| (strsim::jaro_winkler(what, w), w)).filter(|(score, _)| *score > 0.8).collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    close.dedup_by_key(|(_, w)| *w);
    if let Some((run, _)) = what.rsplit_once('@') {
        return format!("no run `{what}`: that is a checkpoint's name, and a run is wanted here; give `{run}`");
    }
    let close: Vec<String> = close.iter().take(3).map(|(_, w)| format!("`{w}`")).collect();
    if close.is_empty() {
        format!("no run `{what}`; `frostline ls` shows the runs")
    } else {
        format!("no run `{what}`; did you mean {}?", close.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::Recipe;
    use crate::core::run::Lineage;

    fn home_with(names: &[&str]) -> (tempfile::TempDir, RunHome, Vec<RunDir>) {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let runs = names
            .iter()
            .map(|n| {
                std::thread::sleep(std::time::Duration::from_millis(2));
                home.create(&Recipe { name: Some((*n).to_owned()), ..Recipe::default() }, Lineage::default()).unwrap()
            })
            .collect();
        (dir, home, runs)
    }

    #[test]
    fn a_run_is_found_by_id_beginning_name_and_last() {
        let (_dir, home, runs) = home_with(&["flowers", "birds"]);
        assert_eq!(home.find(runs[0].id().as_str()).unwrap(), runs[0]);
        assert_eq!(home.find(&runs[0].id().as_str()[..19]).unwrap(), runs[0]);
        assert_eq!(home.find("flowers").unwrap(), runs[0]);
        assert_eq!(home.find("last").unwrap(), runs[1]);
    }

    #[test]
    fn an_ambiguous_beginning_or_name_lists_the_candidates() {
        let (_dir, home, runs) = home_with(&["flowers", "flowers"]);
        for what in ["20", "flowers"] {
            let error = home.find(what).unwrap_err().to_string();
            let told = |r: &RunDir| error.contains(&format!("{} (flowers, crashed, just now)", r.id()));
            assert!(runs.iter().all(told), "{error}");
        }
    }

    #[test]
    fn a_wrong_name_gets_the_close_ones() {
        let (_dir, home, _) = home_with(&["flowers", "birds"]);
        assert_eq!(home.find("flwers").unwrap_err().to_string(), "no run `flwers`; did you mean `flowers`?");
        assert!(home.find("").is_err());
        let dir = tempfile::tempdir().unwrap();
        assert!(RunHome::open(dir.path()).find("last").unwrap_err().to_string().contains("no runs in"));
    }
}
