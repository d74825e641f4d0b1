//! A file that is written beside its place, by us or by a library that wants a path, and put there when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{SafeFile, fsync_dir, parent, rename, temp_beside};

/// A hidden name beside a file's place. What lies under it is removed on drop, unless it was put in place.
#[derive(Debug)]
pub struct Beside {
    temp: PathBuf,
    target: PathBuf,
    /// Whether it is written by us.
    #[cfg_attr(not(test), allow(dead_code, reason = "only the write trace of the tests asks for it"))]
    ours: bool,
}

impl Beside {
    /// A name beside this place. Nothing is there yet.
    pub fn new(target: &Path) -> Self {
        Self { temp: temp_beside(target), target: target.to_owned(), ours: false }
    }

    /// Creates the file, to be written here. It need not be flushed: [`Self::put`] does that.
    pub fn create(&mut self) -> io::Result<SafeFile> {
        self.ours = true;
        SafeFile::create_new(&self.temp)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Flushes what was written and puts it in its place. When this returns it survives a power cut; before, its place is
    /// untouched. Without `replace`, `Err` of kind `AlreadyExists` where something is there.
    pub fn put(self, replace: bool) -> io::Result<()> {
        #[cfg(test)]
        super::fault::check(&self.temp, 0)?;
        File::open(&self.temp)?.sync_all()?;
        #[cfg(test)]
        self.note()?;
        if replace {
            rename(&self.temp, &self.target)?;
        } else {
            // A link fails where a file is, and a rename does not.
            match fs::hard_link(&self.temp, &self.target) {
                Ok(()) => {
                    #[cfg(test)]
                    super::trace::note_two(&self.temp, &self.target, super::trace::Op::Rename);
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
                // A file system without links.
                Err(_) if self.target.symlink_metadata().is_err() => rename(&self.temp, &self.target)?,
                Err(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            }
        }
        fsync_dir(parent(&self.target))
    }

    /// What somebody else wrote, as if it had been written here.
    #[cfg(test)]
    fn note(&self) -> io::Result<()> {
        use super::trace::{Op, note};
        if !self.ours {
            let bytes = fs::read(&self.temp)?;
            note(&self.temp, Op::Create);
            note(&self.temp, |path| Op::Write(path, bytes));
        }
        note(&self.temp, Op::Sync);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temp);
    }
}
