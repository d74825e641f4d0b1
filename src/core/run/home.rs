//! The run home: the folder that holds all runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Lineage, RunDir, RunId, RunMeta, RunSummary, StoreError, lock};
use crate::core::io;
use crate::core::recipe::Recipe;

/// The folder that holds all runs, each under `runs/<id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHome {
    path: PathBuf,
}

impl RunHome {
    /// `--home`, else `FROSTLINE_HOME`, else the platform's data folder, else `.frostline` here.
    pub fn locate(flag: Option<&Path>) -> Self {
        let from_env = || std::env::var_os("FROSTLINE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        let of_platform = || directories::ProjectDirs::from("", "", "frostline").map(|d| d.data_dir().to_owned());
        let path = flag.map(Path::to_owned).or_else(from_env).or_else(of_platform);
        Self::open(path.unwrap_or_else(|| PathBuf::from(".frostline")))
    }

    /// The run home in this folder, which need not exist yet. A relative path is taken from the current folder now, so
    /// that a later change of folder does not move it.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { path: std::path::absolute(&path).unwrap_or(path) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn runs_path(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// Whether a run's folder could be made, without making anything.
    pub fn can_be_written(&self) -> Result<(), StoreError> {
        let runs = self.runs_path();
        let Some(there) = runs.ancestors().find(|p| p.exists()) else { return Ok(()) };
        if !there.is_dir() {
            return Err(StoreError::io("create", &runs)(std::io::ErrorKind::NotADirectory.into()));
        }
        #[cfg(unix)]
        rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .map_err(|e| StoreError::io("create", &runs)(e.into()))?;
        Ok(())
    }

    /// Makes a run's folder with its `run.toml`. It appears complete or not at all; only its user can read it.
    pub fn create(&self, recipe: &Recipe, lineage: Lineage) -> Result<RunDir, StoreError> {
        let runs = self.runs_path();
        io::create_dirs(&runs).map_err(StoreError::io("create", &runs))?;
        sweep(&runs);
        let created = jiff::Timestamp::now();
        let mut id = RunId::new(created);
        while runs.join(id.as_str()).exists() {
            id = RunId::new(created);
        }
        let path = runs.join(id.as_str());
        let meta = RunMeta {
            id: id.clone(),
            name: RunMeta::name_of(recipe),
            tags: recipe.tags.clone(),
            note: recipe.note.clone(),
            lineage,
            created,
            host: lock::host_name(),
            recipe: recipe.clone(),
        };
        let temp = io::temp_beside(&path);
        let made = io::create_private_dir(&temp)
            .and_then(|()| io::create_private_dir(&temp.join("checkpoints")))
            .map_err(StoreError::io("create", &path))
            .and_then(|()| meta.save(&temp.join("run.toml")))
            .and_then(|()| io::rename(&temp, &path).map_err(StoreError::io("create", &path)));
        if let Err(e) = made {
            let _ = io::remove_tree(&temp);
            return Err(e);
        }
        io::fsync_dir(&runs).map_err(StoreError::io("flush", &runs))?;
        Ok(RunDir::new(id, path))
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Result<Vec<RunDir>, StoreError> {
        let path = self.runs_path();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("read", &path)(e)),
        };
        let mut runs: Vec<RunDir> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let id: RunId = entry.file_name().to_str()?.parse().ok()?;
                Some(RunDir::new(id, entry.path()))
            })
            .collect();
        runs.sort_by(|a, b| b.id().cmp(a.id()));
        Ok(runs)
    }

    /// Summaries of all runs, newest first; read by several threads, because there may be thousands.
    pub fn summaries(&self) -> Result<Vec<RunSummary>, StoreError> {
        let runs = self.runs()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let share = runs.len().div_ceil(threads).max(ENOUGH);
        Ok(std::thread::scope(|scope| {
            let mut shares = runs.chunks(share);
            let first = shares.next().unwrap_or_default();
            let others: Vec<_> = shares
                .map(|part| (part, scope.spawn(move || part.iter().map(RunDir::summary).collect::<Vec<_>>())))
                .collect();
            let mut all: Vec<RunSummary> = first.iter().map(RunDir::summary).collect();
            for (part, thread) in others {
                all.extend(thread.join().unwrap_or_else(|_| part.iter().map(RunDir::summary).collect()));
            }
            all
        }))
    }

    /// Removes a run with all that is in its folder. Refused while a live process owns it.
    pub fn remove(&self, run: &RunDir) -> Result<(), StoreError> {
        let _lock = run.lock()?;
        // What cannot be taken away whole stays whole, and listed.
        can_be_emptied(run.path())?;
        let doomed = io::temp_beside(run.path());
        fs::rename(run.path(), &doomed).map_err(StoreError::io("remove", run.path()))?;
        let runs = self.runs_path();
        io::fsync_dir(&runs).map_err(StoreError::io("flush", &runs))?;
        match fs::remove_dir_all(&doomed) {
            // Somebody's sweep was at it too.
            Err(e) if e.kind() != ErrorKind::NotFound => {
                // What is left of it is to be seen.
                let _ = fs::rename(&doomed, run.path());
                Err(StoreError::io("remove", run.path())(e))
            }
            _ => Ok(()),
        }
    }
}

/// Whether everything below a folder could be removed, as far as permissions tell.
fn can_be_emptied(folder: &Path) -> Result<(), StoreError> {
    let refused = |e: std::io::Error| StoreError::io("remove", folder)(e);
    #[cfg(unix)]
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|e| refused(e.into()))?;
    for entry in fs::read_dir(folder).map_err(refused)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            can_be_emptied(&entry.path())?;
        }
    }
    Ok(())
}

/// Runs that are worth a thread.
const ENOUGH: usize = 64;

/// What is half made or half removed for so long is nobody's any more.
const STALE: Duration = Duration::from_secs(3600);

fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let stale = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age > STALE);
        if entry.file_name().to_string_lossy().starts_with(".tmp-") && stale() == Some(true) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_listed_newest_first_and_foreign_folders_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        assert!(home.runs().unwrap().is_empty());
        let mut made: Vec<RunId> = Vec::new();
        for _ in 0..5 {
            made.insert(0, home.create(&Recipe::default(), Lineage::default()).unwrap().id().clone());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        fs::create_dir(dir.path().join("runs/notes")).unwrap();
        let ids: Vec<RunId> = home.runs().unwrap().iter().map(|r| r.id().clone()).collect();
        assert_eq!(ids, made);
    }

    #[test]
    fn a_run_is_removed_whole_but_never_under_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let run = home.create(&Recipe::default(), Lineage::default()).unwrap();
        let lock = run.lock().unwrap();
        assert!(matches!(home.remove(&run), Err(StoreError::Owned { .. })));
        drop(lock);
        home.remove(&run).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_run_that_cannot_be_removed_stays_where_it_is() {
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::process::CommandExt;
        // Permissions do not hold root up: as nobody then.
        if rustix::process::geteuid().is_root() {
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            test.args(["--exact", "core::run::home::tests::a_run_that_cannot_be_removed_stays_where_it_is"]);
            match test.current_dir("/").env("TMPDIR", "/tmp").uid(65534).gid(65534).output() {
                Ok(done) if done.status.code() == Some(127) => eprintln!("skipped: nobody else can read the libraries"),
                Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout)),
                Err(e) => eprintln!("skipped: nobody else can start the tests here ({e})"),
            }
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let run = home.create(&Recipe::default(), Lineage::default()).unwrap();
        let inner = run.path().join("checkpoints/step-00000001");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("state.json"), "").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o555)).unwrap();
        let error = home.remove(&run).unwrap_err().to_string();
        assert!(error.contains("step-00000001") && inner.join("state.json").exists(), "{error}");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        home.remove(&run).unwrap();
        assert!(home.runs().unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_runs_folder_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let run = RunHome::open(dir.path()).create(&Recipe::default(), Lineage::default()).unwrap();
        assert_eq!(fs::metadata(run.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn remains_of_a_kill_are_swept_when_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let runs = dir.path().join("runs");
        for (name, age) in [(".tmp-a-1-0", 2), (".tmp-b-1-0", 0)] {
            fs::create_dir_all(runs.join(name)).unwrap();
            let then = std::time::SystemTime::now() - age * STALE;
            fs::File::open(runs.join(name)).unwrap().set_modified(then).unwrap();
        }
        home.create(&Recipe::default(), Lineage::default()).unwrap();
        assert!(!runs.join(".tmp-a-1-0").exists() && runs.join(".tmp-b-1-0").exists());
        assert_eq!(home.runs().unwrap().len(), 1);
    }

    #[test]
    fn a_full_disk_leaves_no_half_made_run() {
        let dir = tempfile::tempdir().unwrap();
        let home = RunHome::open(dir.path());
        let full = io::fault::disk_full_after(dir.path(), 20);
        assert!(home.create(&Recipe::default(), Lineage::default()).is_err());
        drop(full);
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    }
}
