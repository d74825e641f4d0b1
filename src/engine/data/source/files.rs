//! Walking folders and naming what was found: sorted, hidden entries left out, links followed.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;

/// Deeper than any sane data set; ends a ring of links.
const DEEPEST: usize = 32;

/// Entries of a folder whose names do not begin with a dot, sorted by name as torchvision sorts them (code points).
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |e| DataError::io(folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether the ending is one of those that are read.
pub(super) fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["jpg", "jpeg", "png"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Image files below a folder, in the order of torchvision's `make_dataset`: by folder, then by name. A link that leads
/// nowhere is among them, to be found damaged and named.
pub(in crate::engine::data) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    walk(folder, 0, &mut found)?;
    found.sort_by(|a: &PathBuf, b| (a.parent(), a.file_name()).cmp(&(b.parent(), b.file_name())));
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    if depth > DEEPEST {
        return Err(DataError::format(
            folder,
            format!("more than {DEEPEST} folders deep; does a link lead back up? Remove it"),
        ));
    }
    for path in entries(folder)? {
        if path.is_dir() {
            walk(&path, depth + 1, found)?;
        } else if is_image(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// BLAKE3 over the files' names below `root` and their sizes.
pub(super) fn fingerprint<'a>(root: &Path, files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.strip_prefix(root).unwrap_or(file).as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(&fs::metadata(file).map_or(u64::MAX, |m| m.len()).to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
