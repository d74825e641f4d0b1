//! Walking folders and naming what was found: sorted, hidden entries left out, links followed.
//!
//! Data sets have a million files on disks across a network, where each question takes a millisecond: what the folder has
//! told is not asked again, and what must be asked of each file is asked by several threads.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::DataError;

/// Deeper than any sane data set; ends a ring of links.
const DEEPEST: usize = 32;
/// Threads that wait for a disk. More than cores, since they do little else.
const WAITING: usize = 16;
/// Questions that are worth a thread.
const WORTH_A_THREAD: usize = 256;

/// A name in a folder.
pub(super) struct Entry {
    pub name: OsString,
    /// A folder, or a link to one.
    pub is_dir: bool,
}

/// Entries of a folder whose names do not begin with a dot, sorted by name as torchvision sorts them (code points).
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let io = |e| DataError::io(folder, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Most file systems tell the type with the name.
        let is_dir = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => folder.join(&name).is_dir(),
        };
        entries.push(Entry { name, is_dir });
    }
    entries.sort_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
    Ok(entries)
}

/// Whether the ending is one of those that are read.
pub(super) fn is_image(name: &Path) -> bool {
    name.extension().is_some_and(|e| ["jpg", "jpeg", "png"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Image files below a folder, in the order of torchvision's `make_dataset`: by the folder's path as text, then by name. A
/// link that leads nowhere is among them, to be found damaged and named.
pub(in crate::engine::data) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    walk(folder, 0, &mut found)?;
    found.sort_by(|(a, _), (b, _)| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(found.into_iter().flat_map(|(_, images)| images).collect())
}

/// Folders with the images that lie in each.
fn walk(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, Vec<PathBuf>)>) -> Result<(), DataError> {
    if depth > DEEPEST {
        return Err(DataError::format(
            folder,
            format!("more than {DEEPEST} folders deep; does a link lead back up? Remove it"),
        ));
    }
    let mut images = Vec::new();
    for Entry { name, is_dir } in entries(folder)? {
        if is_dir {
            walk(&folder.join(name), depth + 1, found)?;
        } else if is_image(Path::new(&name)) {
            images.push(folder.join(name));
        }
    }
    found.push((folder.to_owned(), images));
    Ok(())
}

/// BLAKE3 over the files' names below `root` and their sizes.
pub(super) fn fingerprint(root: &Path, files: &[PathBuf]) -> String {
    let sizes = asked_of_each(files, WORTH_A_THREAD, |file| fs::metadata(file).map_or(u64::MAX, |m| m.len()));
    let mut hasher = blake3::Hasher::new();
    for (file, size) in files.iter().zip(sizes) {
        hasher.update(file.strip_prefix(root).unwrap_or(file).as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(&size.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// `ask` of each item, in the items' order, by several threads where there are at least twice `worth` items.
pub(super) fn asked_of_each<T: Sync, A: Send>(items: &[T], worth: usize, ask: impl Fn(&T) -> A + Sync) -> Vec<A> {
    let threads = (items.len() / worth.max(1)).min(WAITING);
    if threads < 2 {
        return items.iter().map(ask).collect();
    }
    // Small parts, taken as they come: some folders are large, some disks slow.
    let part = (items.len() / (threads * 8)).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        loop {
            let start = next.fetch_add(part, Ordering::Relaxed);
            if start >= items.len() {
                return answers;
            }
            let end = (start + part).min(items.len());
            answers.push((start, items[start..end].iter().map(&ask).collect::<Vec<_>>()));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        // Here too: where no thread can be had, all of it.
        let mut parts = work();
        for thread in threads {
            match thread.join() {
                Ok(more) => parts.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    parts.sort_unstable_by_key(|(start, _)| *start);
    parts.into_iter().flat_map(|(_, answers)| answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_items_order() {
        for len in [0, 1, 2, 7, 100, 10_001] {
            let items: Vec<usize> = (0..len).collect();
            for worth in [0, 1, 3, 1000] {
                let answers = asked_of_each(&items, worth, |n| n * 2);
                assert_eq!(answers, items.iter().map(|n| n * 2).collect::<Vec<_>>(), "{len} {worth}");
            }
        }
    }

    /// Python: `sorted(os.walk(folder))`, where a folder's path is compared as text: "a b" and "a-b" come before "a/x".
    #[test]
    fn images_have_torchvisions_order() {
        let dir = tempfile::tempdir().unwrap();
        for file in
            ["a/x/1.png", "a-b/2.png", "a/3.png", "a b/4.png", "b.png", "a/.no/5.png", "a.png", "Z/c.txt", "ä/6.JPG"]
        {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("a/x"), dir.path().join("a0")).unwrap();
        let found = images_below(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.png", "b.png", "a/3.png", "a b/4.png", "a-b/2.png", "a/x/1.png", "a0/1.png", "ä/6.JPG"]);
    }
}
