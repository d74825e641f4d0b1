//! The folder of a run's checkpoints: write, list, load, remove, sweep.
//!
//! Writing, removing and sweeping are the run's owner's; everything else anybody may do at any time.

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::replace::{self, put_in_place};
use super::state::{FORMAT, encode};
use super::verify::{read_state, verify_path};
use super::{CheckpointError, Damage, OPTIMIZER, STATE, TrainState, WEIGHTS, tensors};
use crate::core::event::Metrics;
use crate::core::io::{self, SafeFile};
use crate::core::tensor::HostTensor;
use crate::core::tree::as_registered;
use crate::core::weights::Progress;

/// What a listing shows of a checkpoint; read from `state.json` alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointInfo {
    /// Folder name (`step-00000120`).
    pub name: String,
    /// Optimizer steps done.
    pub step: u64,
    /// Epoch in progress, from 0.
    pub epoch: u64,
    /// Optimizer steps done in that epoch.
    pub step_in_epoch: u64,
    /// The folder.
    #[serde(serialize_with = "io::path_as_text")]
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The newest metrics when it was written.
    #[serde(with = "crate::core::event::metrics_json")]
    pub metrics: Metrics,
    /// Why it was written.
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Which of those that were due by the recipe's `every_*` keys it is, from 1; 0 for others.
    pub nth: u64,
    /// Step of an older checkpoint that the run goes back to after this one.
    pub needs: Option<u64>,
    /// Kept for ever.
    pub pinned: bool,
}

/// A checkpoint in memory, its checksums proved.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedCheckpoint {
    /// Everything that is not a tensor.
    pub state: TrainState,
    /// Parameters and buffers.
    pub weights: Vec<HostTensor>,
    /// The optimizer's tensors, `<parameter>/<slot>`.
    pub optimizer: Vec<HostTensor>,
    /// Its folder.
    pub path: PathBuf,
}

/// `<run>/checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointStore {
    run: PathBuf,
    path: PathBuf,
}

/// Temporary folders that this process is writing right now, which a sweep must leave alone. By name and not by pid: in
/// containers every process may be number 1.
static ACTIVE: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

struct Active(PathBuf);

impl Active {
    fn new(path: &Path) -> Self {
        ACTIVE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(path.to_owned());
        Self(path.to_owned())
    }
    fn contains(path: &Path) -> bool {
        ACTIVE.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|s| s.contains(path))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some(set) = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            set.remove(&self.0);
        }
    }
}

impl CheckpointStore {
    /// The store of the run in this folder.
    pub fn new(run: &Path) -> Self {
        Self { run: run.to_owned(), path: run.join("checkpoints") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folder name of a step.
    pub fn name_of(step: u64) -> String {
        format!("step-{step:08}")
    }

    /// Step of a folder name.
    pub fn step_of(name: &str) -> Option<u64> {
        let step = name.strip_prefix("step-")?.parse().ok()?;
        (Self::name_of(step) == name).then_some(step)
    }

    /// Writes a checkpoint: into a temporary folder, every file flushed, then renamed, then the parent flushed. When this
    /// returns, it survives a power cut. On an error nothing of it remains and the older ones stand.
    ///
    /// `state.files` and `state.format` are filled in here. A checkpoint of the same step is replaced in one instant, or
    /// kept if it is the same.
    pub fn write(
        &self,
        state: &TrainState,
        weights: &[HostTensor],
        optimizer: &[HostTensor],
    ) -> Result<CheckpointInfo, CheckpointError> {
        let name = Self::name_of(state.step);
        let target = self.path.join(&name);
        // Not those above it: a run's folder that has vanished does not come again with a checkpoint and nothing else.
        match io::create_private_dir(&self.path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(CheckpointError::io("create", &self.path)(e)),
            Ok(()) => io::fsync_dir(&self.run).map_err(CheckpointError::io("flush", &self.run))?,
            Err(_) => {}
        }
        let temp = io::temp_beside(&target);
        let active = Active::new(&temp);
        let written = self.write_into(&temp, state, weights, optimizer).and_then(|state| {
            let state = if replace::same(&target, &state) {
                read_state(&target)?
            } else {
                put_in_place(&temp, &target).map_err(CheckpointError::io("put in place", &target))?;
                state
            };
            // Before the older one, which may lie under the temporary name now, is removed: its end must not reach the
            // disk ahead of the swap.
            io::fsync_dir(&self.path).map_err(CheckpointError::io("flush", &self.path))?;
            Ok(state)
        });
        let _ = io::remove_tree(&temp);
        drop(active);
        let state = written?;
        Ok(self.info(name, &state, &self.pins()))
    }

    /// Waits until a checkpoint is written by another thread of this process.
    #[cfg(test)]
    pub(crate) fn wait_for(&self, name: &str) {
        let writing = || {
            let active = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner);
            active.iter().flatten().any(|path| path.starts_with(&self.path))
        };
        while !self.path.join(name).exists() || writing() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn write_into(
        &self,
        temp: &Path,
        state: &TrainState,
        weights: &[HostTensor],
        optimizer: &[HostTensor],
    ) -> Result<TrainState, CheckpointError> {
        io::create_private_dir(temp).map_err(CheckpointError::io("create", temp))?;
        let mut state = TrainState { format: FORMAT, ..state.clone() };
        state.files.clear();
        for (file, tensors) in [(WEIGHTS, weights), (OPTIMIZER, optimizer)] {
            state.files.insert(file.to_owned(), tensors::write(&temp.join(file), tensors)?);
        }
        let path = temp.join(STATE);
        encode(&state)
            .map_err(std::io::Error::from)
            .and_then(|bytes| {
                let mut file = SafeFile::create_new(&path)?;
                file.write_all(&bytes)?;
                file.sync()?;
                io::fsync_dir(temp)
            })
            .map_err(CheckpointError::io("write", &path))?;
        Ok(state)
    }

    /// All complete checkpoints, oldest first. Reads and checks `state.json` only.
    pub fn list(&self) -> Vec<CheckpointInfo> {
        let pins = self.pins();
        self.names()
            .into_iter()
            .filter_map(|name| {
                let state = read_state(&self.path.join(&name)).ok()?;
                Some(self.info(name, &state, &pins))
            })
            .collect()
    }

    /// Whether the folder can be read. One that cannot may hold checkpoints; one that is not there holds none.
    pub fn readable(&self) -> Result<(), CheckpointError> {
        match fs::read_dir(&self.path).and_then(|mut entries| entries.try_for_each(|e| e.map(drop))) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(CheckpointError::io("read", &self.path)(e)),
            _ => Ok(()),
        }
    }

    /// Folders that look like checkpoints, oldest first, whole or not.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names: Vec<(u64, String)> = entries
            .filter_map(|e| {
                let name = e.file_name().into_string().ok()?;
                Some((Self::step_of(&name)?, name))
            })
            .collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    pub(super) fn info(&self, name: String, state: &TrainState, pins: &HashSet<String>) -> CheckpointInfo {
        let path = self.path.join(&name);
        let state_bytes = fs::metadata(path.join(STATE)).map_or(0, |m| m.len());
        CheckpointInfo {
            step: state.step,
            epoch: state.epoch,
            step_in_epoch: state.step_in_epoch,
            bytes: state.files.values().map(|f| f.bytes).sum::<u64>() + state_bytes,
            metrics: state.metrics.clone(),
            reason: state.reason.clone(),
            time_ms: state.time_ms,
            nth: state.nth,
            needs: state.needs,
            pinned: pins.contains(&name),
            path,
            name,
        }
    }

    /// Reads and checks a checkpoint's `state.json` alone.
    pub fn state(&self, name: &str) -> Result<TrainState, CheckpointError> {
        read_state(&self.path.join(name))
    }

    /// Loads a checkpoint. Sizes and checksums are checked first; the error names each damaged file.
    pub fn load(&self, name: &str) -> Result<LoadedCheckpoint, CheckpointError> {
        load_path(&self.path.join(name))
    }

    /// The newest checkpoint that loads, and what is wrong with the newer ones, in words.
    pub fn newest_good(&self) -> Result<(LoadedCheckpoint, Vec<String>), CheckpointError> {
        self.readable()?;
        let mut passed = Vec::new();
        for name in self.names().iter().rev() {
            match self.load(name) {
                Ok(checkpoint) => return Ok((checkpoint, passed)),
                // No checkpoint, only the remains of one; a sweep takes it away.
                Err(CheckpointError::Missing { .. }) => {}
                Err(CheckpointError::Damaged { damage, .. }) => {
                    let words: Vec<String> = damage.iter().map(ToString::to_string).collect();
                    passed.push(format!("{name} is damaged and was passed over ({})", words.join("; ")));
                }
                Err(e) => passed.push(format!("{name} was passed over: {e}")),
            }
        }
        Err(CheckpointError::NoneGood { path: self.path.clone(), passed })
    }

    /// Every damaged file of a checkpoint; none if it is as it was written.
    pub fn verify(&self, name: &str) -> Vec<Damage> {
        verify_path(&self.path.join(name))
    }

    /// Removes a checkpoint. It vanishes in one instant, so that a kill leaves no half of it under its name.
    pub fn remove(&self, name: &str) -> Result<(), CheckpointError> {
        self.remove_unless(name, || false).map(drop)
    }

    /// [`CheckpointStore::remove`], unless it is pinned, even if somebody pins it at this very moment; then false.
    pub fn remove_unless_pinned(&self, name: &str) -> Result<bool, CheckpointError> {
        let pinned = || self.pins().contains(name);
        Ok(!pinned() && self.remove_unless(name, pinned)?)
    }

    /// `kept` is asked once the folder is out of the way, and a kept one comes back.
    fn remove_unless(&self, name: &str, kept: impl Fn() -> bool) -> Result<bool, CheckpointError> {
        let path = self.path.join(name);
        let doomed = io::temp_beside(&path);
        io::rename(&path, &doomed).map_err(CheckpointError::io("remove", &path))?;
        if kept() {
            io::rename(&doomed, &path).map_err(CheckpointError::io("put back", &path))?;
            return Ok(false);
        }
        // Flushed between, so that a power cut does not leave a folder of this name without its files.
        io::fsync_dir(&self.path).map_err(CheckpointError::io("remove", &path))?;
        io::remove_tree(&doomed).map_err(CheckpointError::io("remove", &doomed)).map(|()| true)
    }

    /// Removes what an earlier owner left half done, unless another live process owns the run. Returns what was done, in
    /// words.
    pub fn sweep(&self) -> Vec<String> {
        if crate::core::run::owned_elsewhere(&self.run) {
            return Vec::new();
        }
        let mut done = replace::recover(&self.path);
        // What a killed process saw done may not be on the disk yet; what it made superfluous is removed after that only.
        if let Err(e) = io::fsync_dir(&self.path) {
            done.push(format!("could not flush {}: {e}; nothing was swept", self.path.display()));
            return done;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let half =
                Self::step_of(&name).is_some() && matches!(read_state(&path), Err(CheckpointError::Missing { .. }));
            if (half || name.starts_with(".tmp-") || name.starts_with(replace::OLD)) && !Active::contains(&path) {
                done.push(match io::remove_tree(&path) {
                    Ok(()) => format!("removed {name}, the remains of a save that did not end"),
                    Err(e) => format!("could not remove {}: {e}", path.display()),
                });
            }
        }
        done
    }

    /// Keeps a checkpoint for ever, or no longer.
    pub fn pin(&self, name: &str, pinned: bool) -> Result<(), CheckpointError> {
        if pinned && !self.path.join(name).is_dir() {
            return Err(CheckpointError::Missing { path: self.path.join(name) });
        }
        let mut pins = self.pins();
        let changed = if pinned { pins.insert(name.to_owned()) } else { pins.remove(name) };
        if !changed {
            return Ok(());
        }
        let mut names: Vec<&String> = pins.iter().collect();
        names.sort_unstable();
        let path = self.pins_path();
        let bytes = serde_json::to_vec(&names).map_err(std::io::Error::from);
        bytes.and_then(|b| io::write_atomic(&path, &b)).map_err(CheckpointError::io("write", &path))?;
        // The run may have been about to remove it: see `remove_unless_pinned`, which looks in the other order.
        if pinned && !self.path.join(name).is_dir() {
            return Err(CheckpointError::Missing { path: self.path.join(name) });
        }
        Ok(())
    }

    /// Beside the checkpoints and not in them: their files are covered by checksums.
    fn pins_path(&self) -> PathBuf {
        self.run.join("pins.json")
    }

    /// Folder names of those that are kept for ever.
    pub fn pins(&self) -> HashSet<String> {
        fs::read(self.pins_path()).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default()
    }

    /// Moves the checkpoints after this step to `<run>/set-aside`, for a run that goes on from an older one. Returns the
    /// new folders.
    pub fn set_aside_after(&self, step: u64) -> Result<Vec<PathBuf>, CheckpointError> {
        let aside = self.run.join("set-aside");
        let mut moved = Vec::new();
        for name in self.names() {
            if Self::step_of(&name).is_none_or(|s| s <= step) {
                continue;
            }
            io::create_dirs(&aside).map_err(CheckpointError::io("create", &aside))?;
            let free = |n: &u32| !aside.join(numbered(&name, *n)).exists();
            let target = aside.join(numbered(&name, (1..).find(free).unwrap_or(u32::MAX)));
            let from = self.path.join(&name);
            io::rename(&from, &target).map_err(CheckpointError::io("set aside", &from))?;
            // The pin was on this one, which nothing prunes any more, and not on what gets its name next. A disk that takes
            // no pin is no reason not to go on.
            let _ = self.pin(&name, false);
            moved.push(target);
        }
        if !moved.is_empty() {
            io::fsync_dir(&aside).map_err(CheckpointError::io("flush", &aside))?;
            io::fsync_dir(&self.path).map_err(CheckpointError::io("flush", &self.path))?;
        }
        Ok(moved)
    }

    /// Free bytes on the disk of the checkpoints, if the system says.
    pub fn free_bytes(&self) -> Option<u64> {
        [&self.path, &self.run].into_iter().find_map(|p| fs4::available_space(p).ok())
    }
}

fn numbered(name: &str, n: u32) -> String {
    if n == 1 { name.to_owned() } else { format!("{name}.{n}") }
}

fn read_tensors(
    path: &Path,
    state: &TrainState,
    file: &str,
    progress: Progress<'_>,
) -> Result<Vec<HostTensor>, Damage> {
    match state.files.get(file) {
        Some(sum) => tensors::read(&path.join(file), sum, progress),
        None => Err(Damage::new(Path::new(STATE), format!("it does not mention {file}"))),
    }
}

/// Like [`load_path`], without the optimizer's tensors: they are neither read nor proved. The weights come in the model's order.
pub fn load_weights(path: &Path) -> Result<(TrainState, Vec<HostTensor>), CheckpointError> {
    load_weights_watched(path, &mut |_, _| {})
}

/// The same; `progress` is told how many bytes were read so far, and of how many.
pub fn load_weights_watched(
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(TrainState, Vec<HostTensor>), CheckpointError> {
    let state = read_state(path)?;
    let total = state.files.get(WEIGHTS).map_or(0, |sum| sum.bytes);
    let mut read = 0;
    let mut count = |bytes| {
        read += bytes;
        progress(read, total);
    };
    match read_tensors(path, &state, WEIGHTS, &mut count) {
        Ok(mut weights) => {
            as_registered(&mut weights);
            Ok((state, weights))
        }
        Err(damage) => Err(CheckpointError::Damaged { path: path.to_owned(), damage: vec![damage] }),
    }
}

/// Loads the checkpoint in a folder, its weights in the model's order. Sizes and checksums are checked first; the error names each damaged file.
pub fn load_path(path: &Path) -> Result<LoadedCheckpoint, CheckpointError> {
    if let Err(e) = fs::metadata(path)
        && e.kind() != ErrorKind::NotFound
    {
        return Err(CheckpointError::io("read", path)(e));
    }
    let state = read_state(path)?;
    let mut damage = Vec::new();
    let mut read =
        |file: &str| read_tensors(path, &state, file, &mut |_| {}).map_err(|d| damage.push(d)).unwrap_or_default();
    let (mut weights, optimizer) = (read(WEIGHTS), read(OPTIMIZER));
    as_registered(&mut weights);
    if damage.is_empty() {
        Ok(LoadedCheckpoint { state, weights, optimizer, path: path.to_owned() })
    } else {
        Err(CheckpointError::Damaged { path: path.to_owned(), damage })
    }
}
