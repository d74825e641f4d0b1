//! A disk that loses power, for the tests of this crate: it takes a write trace, knows what of it is flushed, and gives
//! each state that may be found afterwards.
//!
//! Weaker than a real file system: whatever is not flushed may be there or not, each piece by itself. Bytes of a file are
//! safe from the next flush of that file on; names from the next flush of their folder on. A rename is one piece.

#![allow(missing_docs, reason = "for tests")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::trace::Op;

/// The recorded folder itself.
const ROOT: usize = 0;
/// So many lost or kept pieces are tried in every combination.
const ALL: usize = 8;

/// A folder, a name in it, and what it stands for from now on.
type Name = (usize, String, Option<usize>);

#[derive(Debug, Clone)]
enum Change {
    /// Names in folders, changed at once.
    Names(Vec<Name>),
    Bytes {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
}

/// What becomes of a change that is not flushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    Kept,
    Torn,
    Lost,
}

/// The disk as the running programs see it, with everything that led there.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    names: BTreeMap<(usize, String), usize>,
    /// Bytes of each file; `None` for a folder. The root is there from the first.
    lengths: Vec<Option<usize>>,
    /// Each change, and whether it is flushed.
    log: Vec<(Change, bool)>,
}

impl Disk {
    pub fn new() -> Self {
        Self { lengths: vec![None], ..Self::default() }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.components().try_fold(ROOT, |folder, part| {
            self.names.get(&(folder, part.as_os_str().to_string_lossy().into_owned())).copied()
        })
    }

    /// The folder and the name in it.
    fn place(&self, path: &Path) -> (usize, String) {
        let folder = self.find(path.parent().unwrap()).unwrap_or_else(|| panic!("{} has no folder", path.display()));
        (folder, path.file_name().unwrap().to_string_lossy().into_owned())
    }

    fn add(&mut self, path: &Path, length: Option<usize>) {
        self.lengths.push(length);
        let (folder, name) = self.place(path);
        self.set(vec![(folder, name, Some(self.lengths.len() - 1))]);
    }

    fn set(&mut self, names: Vec<Name>) {
        for (folder, name, node) in &names {
            match node {
                Some(node) => self.names.insert((*folder, name.clone()), *node),
                None => self.names.remove(&(*folder, name.clone())),
            };
        }
        self.log.push((Change::Names(names), false));
    }

    /// Does what the trace says.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(path) => self.add(path, Some(0)),
            Op::MakeDir(path) => self.add(path, None),
            Op::Write(path, bytes) => {
                let file = self.find(path).unwrap();
                let length = self.lengths[file].as_mut().unwrap();
                let at = std::mem::replace(length, *length + bytes.len());
                self.log.push((Change::Bytes { file, at, bytes: bytes.clone() }, false));
            }
            Op::Sync(path) => {
                self.flush(path, |change, node| matches!(change, Change::Bytes { file, .. } if *file == node))
            }
            Op::SyncDir(path) => {
                self.flush(path, |change, node| matches!(change, Change::Names(names) if names.iter().any(|(folder, ..)| *folder == node)));
            }
            Op::Rename(from, to) => {
                let (node, (folder, from), (target, to)) = (self.find(from), self.place(from), self.place(to));
                assert!(node.is_some());
                self.set(vec![(folder, from, None), (target, to, node)]);
            }
            Op::Exchange(a, b) => {
                let (nodes, (folder, a), (other, b)) = ((self.find(a), self.find(b)), self.place(a), self.place(b));
                self.set(vec![(folder, a, nodes.1), (other, b, nodes.0)]);
            }
            Op::RemoveTree(path) => {
                let (folder, name) = self.place(path);
                self.remove(folder, name);
            }
            Op::Mark(_) => {}
        }
    }

    fn remove(&mut self, folder: usize, name: String) {
        let Some(node) = self.names.get(&(folder, name.clone())).copied() else { return };
        let inner: Vec<String> =
            self.names.range((node, String::new())..(node + 1, String::new())).map(|((_, n), _)| n.clone()).collect();
        inner.into_iter().for_each(|n| self.remove(node, n));
        self.set(vec![(folder, name, None)]);
    }

    fn flush(&mut self, path: &Path, of: impl Fn(&Change, usize) -> bool) {
        let node = self.find(path).unwrap_or_else(|| panic!("{} is flushed and not there", path.display()));
        self.log.iter_mut().filter(|(change, _)| of(change, node)).for_each(|(_, flushed)| *flushed = true);
    }

    /// What may be found after a power cut at this moment: for each change that is not flushed, what became of it.
    pub fn fates(&self) -> Vec<Vec<Fate>> {
        let open: Vec<usize> = (0..self.log.len()).filter(|i| !self.log[*i].1).collect();
        let all = vec![Fate::Kept; self.log.len()];
        let with = |fates: &[(usize, Fate)], mut all: Vec<Fate>| {
            fates.iter().for_each(|(i, fate)| all[*i] = *fate);
            all
        };
        let mut states = Vec::new();
        if open.len() <= ALL {
            for bits in 0..1_usize << open.len() {
                let lost = open.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, i)| (*i, Fate::Lost));
                states.push(with(&lost.collect::<Vec<_>>(), all.clone()));
            }
        } else {
            let lost: Vec<_> = open.iter().map(|i| (*i, Fate::Lost)).collect();
            states.push(all.clone());
            for n in 0..open.len() {
                // All from here on; this alone; all but this.
                states.push(with(&lost[n..], all.clone()));
                states.push(with(&lost[n..=n], all.clone()));
                states.push(with(&[(open[n], Fate::Kept)], with(&lost, all.clone())));
            }
        }
        for i in open.into_iter().filter(|i| matches!(self.log[*i].0, Change::Bytes { .. })) {
            states.push(with(&[(i, Fate::Torn)], all.clone()));
        }
        states
    }

    /// Lays what is found into an empty folder.
    pub fn lay(&self, fates: &[Fate], to: &Path) {
        let mut names: HashMap<usize, BTreeMap<&str, usize>> = HashMap::new();
        let mut contents: HashMap<usize, Vec<u8>> = HashMap::new();
        for ((change, _), fate) in self.log.iter().zip(fates).filter(|(_, fate)| **fate != Fate::Lost) {
            match change {
                Change::Names(changed) => {
                    for (folder, name, node) in changed {
                        let folder = names.entry(*folder).or_default();
                        match node {
                            Some(node) => folder.insert(name, *node),
                            None => folder.remove(name.as_str()),
                        };
                    }
                }
                Change::Bytes { file, at, bytes } => {
                    let bytes = if *fate == Fate::Torn { &bytes[..bytes.len() / 2] } else { bytes };
                    let content = contents.entry(*file).or_default();
                    content.resize(content.len().max(at + bytes.len()), 0);
                    content[*at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        self.lay_folder(ROOT, &names, &contents, to);
    }

    fn lay_folder(
        &self,
        folder: usize,
        names: &HashMap<usize, BTreeMap<&str, usize>>,
        contents: &HashMap<usize, Vec<u8>>,
        to: &Path,
    ) {
        for (name, node) in names.get(&folder).into_iter().flatten() {
            let path = to.join(name);
            if self.lengths[*node].is_some() {
                fs::write(path, contents.get(node).map_or(&[][..], Vec::as_slice)).unwrap();
            } else {
                fs::create_dir(&path).unwrap();
                self.lay_folder(*node, names, contents, &path);
            }
        }
    }

    /// Everything kept: what a killed process leaves.
    pub fn kept(&self) -> Vec<Fate> {
        vec![Fate::Kept; self.log.len()]
    }
}
