//! Reading a file into memory from several threads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Bytes that a thread reads at once: small enough that all are busy to the end.
const BLOCK: usize = 4 << 20;
/// More threads than this do not make a disk or a page cache faster.
const THREADS: usize = 4;

/// Fills each part from its place in the file on. The first failure ends it; the threads are joined before this returns.
pub(super) fn read(file: &File, parts: Vec<(&mut [u8], u64)>) -> io::Result<()> {
    let blocks = parts.into_iter().flat_map(|(part, at)| {
        part.chunks_mut(BLOCK).enumerate().map(move |(i, block)| (block, at + (i * BLOCK) as u64))
    });
    let (blocks, failed) = (Mutex::new(blocks), AtomicBool::new(false));
    let next =
        || blocks.lock().unwrap_or_else(PoisonError::into_inner).next().filter(|_| !failed.load(Ordering::Relaxed));
    let work = || {
        while let Some((block, at)) = next() {
            file.read_exact_at(block, at).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let helpers = thread::available_parallelism().map_or(1, usize::from).min(THREADS) - 1;
    thread::scope(|scope| {
        let named = || thread::Builder::new().name("frostline-read".into());
        // Where the system gives no thread, this one does it alone.
        let helpers: Vec<_> = (0..helpers).map_while(|_| named().spawn_scoped(scope, work).ok()).collect();
        let own = work();
        let joined =
            helpers.into_iter().map(|h| h.join().unwrap_or_else(|_| Err(io::Error::other("a reading thread ended"))));
        joined.fold(own, |whole, one| whole.and(one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_filled_from_their_places_and_a_short_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..9 << 20).map(|i: u32| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let (mut a, mut b, mut c) = (vec![0; 5 << 20], vec![0; 1], vec![0; 3 << 20]);
        read(&file, vec![(&mut a, 7), (&mut b, 0), (&mut [], 3), (&mut c, 6 << 20)]).unwrap();
        assert!(a == bytes[7..7 + (5 << 20)] && b == bytes[..1] && c == bytes[6 << 20..]);
        let error = read(&file, vec![(&mut c, 0), (&mut a, 5 << 20)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
