//! Opening weights of any kind: a file, the index of a sharded one, a folder. The kind is found by content.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::WeightsError;
use super::header::{self, Header, shown};
use super::in_file::InFile;
use super::index;
use super::kind::{self, Kind};
use super::listing::FileListing;
use super::read::read_tensors;
use super::source::{Budget, Source};
use super::state::{Collector, StateDict, Wanted};
use super::torch::{self, TorchFile};
use super::trouble::Trouble;
use crate::core::checkpoint::{self, OPTIMIZER, STATE, WEIGHTS};

/// Lists weights of any kind: names, shapes, types, facts. Reads headers, the pickle and the zip directory, no tensors.
///
/// # Errors
///
/// What is no weights file, damaged, or cannot be read is said in one line.
pub fn inspect(path: &Path) -> Result<FileListing, WeightsError> {
    inspect_key(path, None)
}

/// [`inspect`], of the state dict under `key` (`model.load.key`).
///
/// # Errors
///
/// As of [`inspect`]; nothing under the key is an error that names what there is.
pub fn inspect_key(path: &Path, key: Option<&str>) -> Result<FileListing, WeightsError> {
    if is_checkpoint(path) {
        let weights = path.join(WEIGHTS);
        let mut listing = inspect_key(&weights, key)?;
        listing.format = "checkpoint".into();
        return Ok(listing);
    }
    Opened::open(path, key).map(Opened::into_listing)
}

/// Reads all tensors of the state dict: the file's own, the one under `key`, or the one that is found by its usual name.
///
/// # Errors
///
/// As of [`inspect_key`]; tensors of types that cannot be loaded are refused, see [`read_some`].
pub fn read(path: &Path, key: Option<&str>) -> Result<StateDict, WeightsError> {
    read_some(path, key, &|_| true)
}

/// A state dict that is to be loaded into a model.
pub enum Found {
    /// It can be taken from where it lies.
    InFile(InFile),
    /// It was read: a format in which bytes have to be unpacked, put in order, or proved first.
    InMemory(StateDict),
}

impl Found {
    /// What the file holds, tensors that were not wanted included.
    pub fn listing(&self) -> &FileListing {
        match self {
            Self::InFile(found) => &found.listing,
            Self::InMemory(state) => &state.listing,
        }
    }

    /// Gives each tensor another name.
    pub fn rename(&mut self, new: &dyn Fn(&str) -> String) {
        match self {
            Self::InFile(found) => found.tensors.iter_mut().for_each(|t| t.name = new(&t.name)),
            Self::InMemory(state) => state.tensors.iter_mut().for_each(|t| t.name = new(&t.name)),
        }
    }
}

/// [`read_some`] for a model: what can be mapped is not read.
///
/// # Errors
///
/// As of [`read`].
pub fn find_some(path: &Path, key: Option<&str>, wanted: &Wanted<'_>) -> Result<Found, WeightsError> {
    if is_checkpoint(path) {
        return read_some(path, key, wanted).map(Found::InMemory);
    }
    let opened = Opened::open(path, key)?;
    if opened.is_safetensors() {
        opened.in_file(wanted).map(Found::InFile)
    } else {
        opened.read(wanted).map(Found::InMemory)
    }
}

/// Reads the tensors that `wanted` admits by their names in the file; of the others nothing is read.
///
/// # Errors
///
/// As of [`read`].
pub fn read_some(path: &Path, key: Option<&str>, wanted: &Wanted<'_>) -> Result<StateDict, WeightsError> {
    if is_checkpoint(path) {
        // Through the checkpoint's own reader, which proves the checksums.
        let listing = inspect_key(path, key)?;
        check_files(path)?;
        let mut tensors = checkpoint::load_path(path)?.weights;
        tensors.retain(|t| wanted(&t.name));
        return Ok(StateDict { path: path.to_owned(), tensors, shared: Vec::new(), listing });
    }
    Opened::open(path, key)?.read(wanted)
}

/// [`read`], of a file that is in memory under this name. An index finds nothing beside it.
///
/// # Errors
///
/// As of [`read`].
pub fn read_bytes(name: &str, bytes: Vec<u8>, key: Option<&str>) -> Result<StateDict, WeightsError> {
    let source = Source::memory(name, bytes)?;
    let alone = |part: &str| {
        let problem = format!("is an index, and `{}` is not at hand", shown(part));
        Err(WeightsError::not_weights(Path::new(name), problem))
    };
    Opened::of(&source, key, &alone)?.read(&|_| true)
}

/// A folder that a run wrote.
fn is_checkpoint(path: &Path) -> bool {
    path.is_dir() && path.join(STATE).is_file() && path.join(WEIGHTS).is_file()
}

/// A checkpoint's other files, before its reader opens them: a pipe would be waited for.
fn check_files(folder: &Path) -> Result<(), WeightsError> {
    let other = [STATE, OPTIMIZER].iter().map(|name| folder.join(name));
    match other.into_iter().find(|file| file.exists() && !file.is_file()) {
        Some(file) => {
            Err(WeightsError::not_weights(&file, "is no file, so the folder is no checkpoint that can be read"))
        }
        None => Ok(()),
    }
}

/// Weights whose tensors can be read.
pub(super) struct Opened {
    path: PathBuf,
    parts: Vec<Part>,
    budget: Budget,
    /// Of all parts; of a single one it is the part's own.
    listing: Option<FileListing>,
}

/// One file, and of a sharded one the tensors that the index finds in it.
struct Part {
    file: File,
    names: Option<HashSet<String>>,
}

impl Part {
    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

enum File {
    Safetensors(Source, Header),
    Torch(Box<TorchFile>),
}

impl Opened {
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self, WeightsError> {
        let found;
        let file = if path.is_dir() {
            found = file_of_folder(path)?;
            &found
        } else {
            path
        };
        Self::of(&Source::open(file)?, key, &|name| Source::open(&beside(file, name)))
    }

    /// From an opened file; `open` opens what lies beside it.
    pub fn of(
        source: &Source,
        key: Option<&str>,
        open: &dyn Fn(&str) -> Result<Source, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let path = source.path().to_owned();
        let kind = kind::of(source)?;
        if kind == Kind::Index {
            return Self::sharded(source, key, open);
        }
        let budget = Budget::for_size(source.size());
        let file = File::open(source, kind, key, &budget)?;
        Ok(Self { path, parts: vec![Part { file, names: None }], budget, listing: None })
    }

    fn sharded(
        source: &Source,
        key: Option<&str>,
        open: &dyn Fn(&str) -> Result<Source, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let budget = Budget::for_size(source.size());
        let shards = index::read(source, &budget)?;
        let mut sources: Vec<Source> = Vec::with_capacity(shards.len());
        for (name, _) in &shards {
            let shard = open(name)?;
            if sources.iter().any(|other| other.is_same(&shard)) {
                let problem = format!("it names one file twice (`{}` is another one's)", shown(name));
                return Err(Trouble::Damaged(problem).at(source.path(), "index"));
            }
            budget.give_back(shard.size());
            sources.push(shard);
        }
        let mut parts = Vec::with_capacity(shards.len());
        let mut whole = FileListing::default();
        for (shard, (_, names)) in sources.iter().zip(shards) {
            let kind = kind::of(shard)?;
            if kind == Kind::Index {
                return Err(WeightsError::not_weights(
                    shard.path(),
                    "is an index itself, not a part of a sharded file",
                ));
            }
            let mut file = File::open(shard, kind, key, &budget)?;
            let names: HashSet<String> = names.into_iter().collect();
            let mut part = file.take_listing();
            part.tensors.retain(|t| names.contains(&t.name));
            if part.tensors.len() < names.len() {
                let there: HashSet<&str> = part.tensors.iter().map(|t| t.name.as_str()).collect();
                let missing = names.iter().filter(|n| !there.contains(n.as_str())).min();
                let problem = format!(
                    "it lacks tensor `{}`, which the index finds in it",
                    missing.map_or(String::new(), |n| shown(n))
                );
                return Err(Trouble::Damaged(problem).at(shard.path(), "sharded"));
            }
            add(&mut whole, part, shards_words(sources.len()));
            parts.push(Part { file, names: Some(names) });
        }
        Ok(Self { path: source.path().to_owned(), parts, budget, listing: Some(whole) })
    }

    fn into_listing(self) -> FileListing {
        match (self.listing, self.parts.into_iter().next()) {
            (Some(listing), _) => listing,
            (None, Some(mut part)) => part.file.take_listing(),
            (None, None) => FileListing::default(),
        }
    }

    fn is_safetensors(&self) -> bool {
        self.parts.iter().all(|part| matches!(part.file, File::Safetensors(..)))
    }

    /// Of safetensors files, the places of the tensors.
    fn in_file(self, wanted: &Wanted<'_>) -> Result<InFile, WeightsError> {
        let mut found = InFile::default();
        for part in &self.parts {
            if let File::Safetensors(source, header) = &part.file {
                found.add(source, header, &self.budget, &|name| part.has(name) && wanted(name))?;
            }
        }
        found.listing = self.into_listing();
        Ok(found)
    }

    pub fn read(mut self, wanted: &Wanted<'_>) -> Result<StateDict, WeightsError> {
        let mut out = Collector::default();
        for part in &mut self.parts {
            let names = part.names.as_ref();
            let wanted = |name: &str| names.is_none_or(|names| names.contains(name)) && wanted(name);
            match &mut part.file {
                File::Safetensors(source, header) => read_tensors(source, header, &self.budget, &wanted, &mut out)?,
                File::Torch(file) => file.read(&wanted, &mut out)?,
            }
        }
        let path = self.path.clone();
        Ok(StateDict { path, tensors: out.tensors, shared: out.shared, listing: self.into_listing() })
    }
}

fn shards_words(count: usize) -> String {
    if count == 1 { " in 1 file".into() } else { format!(" in {count} files") }
}

/// Adds a shard's listing.
fn add(whole: &mut FileListing, part: FileListing, words: String) {
    if whole.tensors.is_empty() {
        let format = format!("{}{words}", part.format);
        *whole = FileListing { format, ..part };
        return;
    }
    whole.tensors.extend(part.tensors);
    for name in part.placeholders {
        if !whole.placeholders.contains(&name) {
            whole.placeholders.push(name);
        }
    }
}

impl File {
    fn open(source: &Source, kind: Kind, key: Option<&str>, budget: &Budget) -> Result<Self, WeightsError> {
        if kind != Kind::Safetensors {
            return Ok(Self::Torch(Box::new(torch::open(source, kind, key, budget)?)));
        }
        let header = header::read(source, budget)?;
        match key {
            None => Ok(Self::Safetensors(source.clone(), header)),
            Some(key) => {
                let path = source.path().to_owned();
                Err(WeightsError::NoKey { path, key: shown(key), there: Vec::new() })
            }
        }
    }

    /// The listing, which a torch file gives once.
    fn take_listing(&mut self) -> FileListing {
        match self {
            Self::Safetensors(_, header) => FileListing {
                tensors: header.list(),
                metadata: header.metadata.clone(),
                format: "safetensors".into(),
                ..FileListing::default()
            },
            Self::Torch(file) => file.take_listing(),
        }
    }
}

fn beside(index: &Path, name: &str) -> PathBuf {
    index.parent().unwrap_or(Path::new("")).join(name)
}

/// Names of single files that folders of weights have.
const USUAL: &[&str] = &["model.safetensors", "pytorch_model.bin", WEIGHTS];

/// The file to read of a folder: its index, or the usual single file.
fn file_of_folder(folder: &Path) -> Result<PathBuf, WeightsError> {
    let entries = std::fs::read_dir(folder).map_err(WeightsError::io(folder, "read"))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for end in [".safetensors.index.json", ".bin.index.json"] {
        let mut found = names.iter().filter(|name| name.ends_with(end));
        match (found.next(), found.next()) {
            (Some(one), None) => return Ok(folder.join(one)),
            (Some(one), Some(other)) => {
                let problem = format!("holds several indices (`{}`, `{}`); name one of them", shown(one), shown(other));
                return Err(WeightsError::not_weights(folder, problem));
            }
            _ => {}
        }
    }
    let usual = USUAL.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    usual.ok_or_else(|| {
        WeightsError::not_weights(
            folder,
            "is a folder without weights that are known (an index of a sharded file, model.safetensors, a checkpoint's files); name a file in it",
        )
    })
}
