//! The one place that knows how to write a file so that it survives a kill, a power cut or a full disk.
//!
//! `place` puts in place what others write, `background` flushes from a thread; `fault`, `trace` and `disk` are for tests: disks
//! that fail, what was written, and what a power cut leaves of it. Imports std, rustix and nothing of Frostline. Called by the run and checkpoint stores and by exports.

mod background;
#[cfg(test)]
pub mod disk;
#[cfg(test)]
pub mod fault;
mod place;
#[cfg(test)]
pub mod trace;

pub use background::BackgroundSync;
pub use place::Beside;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written. It exists so that every byte the stores write passes one place (where tests inject faults).
#[derive(Debug)]
pub struct SafeFile {
    file: File,
    #[cfg_attr(not(test), allow(dead_code, reason = "only the fault injection of the tests asks for it"))]
    path: PathBuf,
}

impl SafeFile {
    /// Creates a file that must not exist yet.
    pub fn create_new(path: &Path) -> io::Result<Self> {
        #[cfg(test)]
        fault::check(path, 0)?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        #[cfg(test)]
        trace::note(path, trace::Op::Create);
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens a file for appending, creating it if need be.
    pub fn append(path: &Path) -> io::Result<Self> {
        #[cfg(test)]
        fault::check(path, 0)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Flushes data and metadata to the disk.
    pub fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        fault::check(&self.path, 0)?;
        self.file.sync_all()?;
        #[cfg(test)]
        trace::note(&self.path, trace::Op::Sync);
        Ok(())
    }

    /// Flushes data, and of the metadata what finding it takes.
    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        fault::check(&self.path, 0)?;
        self.file.sync_data()?;
        #[cfg(test)]
        trace::note(&self.path, trace::Op::Sync);
        Ok(())
    }

    /// A second handle to the same open file.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, path: self.path.clone() })
    }

    /// Asks the file system to keep room for `bytes` after the first `len`, so that they can be written on a full disk. The
    /// file does not become longer by it. An error where the file system cannot do so, or where the disk is full already.
    pub fn reserve(&self, len: u64, bytes: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::KEEP_SIZE, len, bytes)?);
        #[cfg(not(target_os = "linux"))]
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{bytes} bytes after {len}")));
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Write for SafeFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let buf = fault::admit(&self.path, buf)?;
        let n = self.file.write(buf)?;
        #[cfg(test)]
        trace::note(&self.path, |path| trace::Op::Write(path, buf[..n].to_owned()));
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a file so that a reader sees the old or the new content and nothing between, whatever happens: a temporary
/// file beside it, flushed to the disk, renamed, then the folder flushed. On an error the old content stands.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path);
    let temp = temp_beside(path);
    let written = (|| {
        let mut file = SafeFile::create_new(&temp)?;
        file.write_all(bytes)?;
        file.sync()?;
        rename(&temp, path)
    })();
    if written.is_err() {
        let _ = remove_tree(&temp);
        return written;
    }
    fsync_dir(folder)
}

/// Flushes a folder, so that the names in it survive a power cut.
pub fn fsync_dir(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::check(path, 0)?;
    File::open(path)?.sync_all()?;
    #[cfg(test)]
    trace::note(path, trace::Op::SyncDir);
    Ok(())
}

/// Makes a folder that only its user can reach.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::check(path, 0)?;
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(test)]
    trace::note(path, trace::Op::MakeDir);
    Ok(())
}

/// Makes a folder and those above it that are missing, each flushed, so that what is put into it is found again after a
/// power cut.
pub fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create_dirs(above)?;
    #[cfg(test)]
    fault::check(path, 0)?;
    match fs::create_dir(path) {
        Ok(()) => {}
        // Another process was faster.
        Err(_) if path.is_dir() => return Ok(()),
        Err(e) => return Err(e),
    }
    #[cfg(test)]
    trace::note(path, trace::Op::MakeDir);
    match fsync_dir(above) {
        // A folder may be writable and not readable.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        flushed => flushed,
    }
}

/// Removes a file, or a folder with all that is in it.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    #[cfg(test)]
    if removed.is_ok() {
        trace::note(path, trace::Op::RemoveTree);
    }
    removed
}

/// `rename`, which replaces an existing file at once.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::check(to, 0)?;
    fs::rename(from, to)?;
    #[cfg(test)]
    trace::note_two(from, to, trace::Op::Rename);
    Ok(())
}

/// Swaps two names in one instant. `Err` of kind `Unsupported` where the file system cannot.
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::check(b, 0)?;
    #[cfg(test)]
    if !fault::exchanges(b) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|e| match e {
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
            other => io::Error::from(other),
        })?;
        #[cfg(test)]
        trace::note_two(a, b, trace::Op::Exchange);
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (a, b);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A hidden name in the same folder that no other writer uses: `.tmp-<name>-<pid>-<n>`.
pub fn temp_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    parent(path).join(format!(".tmp-{name}-{}-{n}", std::process::id()))
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// For serde: a path in JSON, which is text. What is no UTF-8 in it is replaced.
pub fn path_as_text<S: serde::Serializer>(path: impl AsRef<Path>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.as_ref().display())
}

/// What a user can do about an I/O error, for the end of a message.
pub fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind as K;
    match error.kind() {
        K::StorageFull => "free some space on that disk",
        K::QuotaExceeded => "free some space or ask for a larger quota",
        K::FileTooLarge => "raise the file size limit (ulimit -f) or use another disk",
        K::PermissionDenied => "check the permissions of that folder",
        K::ReadOnlyFilesystem => "use a run home on a writable disk (--home)",
        K::AlreadyExists | K::NotADirectory => {
            "a file stands where a folder belongs: move it, or use another run home (--home)"
        }
        K::NotFound => "check that the folder still exists and that its disk is mounted",
        _ => "check the disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_leaves_the_old_content_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"old").unwrap();
        let full = fault::disk_full_after(dir.path(), 2);
        let error = write_atomic(&path, b"newer").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(advice(&error), "free some space on that disk");
        drop(full);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn exchange_swaps_folders() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        fs::write(a.join("x"), "a").unwrap();
        match exchange(&a, &b) {
            Ok(()) => assert!(b.join("x").exists() && !a.join("x").exists()),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::Unsupported),
        }
    }
}
