//! The bytes of a pickle, one after the other, never more than there are.

use std::io::{BufRead, BufReader, Read};

use crate::core::weights::source::Budget;
use crate::core::weights::trouble::{Result, damaged};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;
/// Bytes that may follow a pickle.
const TRAILER: u64 = 64 << 10;

/// A reader that knows how much is left and where it is.
pub struct Input<R> {
    inner: BufReader<R>,
    left: u64,
    at: u64,
}

impl<R: Read> Input<R> {
    /// `length`: bytes that `inner` has, or claims to have.
    pub fn new(inner: R, length: u64) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER, inner), left: length, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn use_up(&mut self, n: u64) -> Result<()> {
        match self.left.checked_sub(n) {
            Some(left) => {
                self.left = left;
                self.at += n;
                Ok(())
            }
            None => damaged(format!(
                "its pickle ends too early: at byte {} it wants {n} more, {} are left",
                self.at, self.left
            )),
        }
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.use_up(N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Appends `n` bytes to `out`. The caller has counted the memory; that so many bytes are there is checked here.
    pub fn append(&mut self, n: u64, out: &mut Vec<u8>) -> Result<()> {
        self.use_up(n)?;
        let read = (&mut self.inner).take(n).read_to_end(out)?;
        if read as u64 == n { Ok(()) } else { damaged("its pickle ends too early") }
    }

    /// Whether `n` more bytes are there; a claim beyond that is damage.
    pub fn check(&self, n: u64) -> Result<()> {
        if n <= self.left {
            return Ok(());
        }
        damaged(format!("its pickle claims a text of {n} bytes at byte {}, where {} are left", self.at, self.left))
    }

    /// Reads what stands before the next line break, at most `limit` bytes, into an empty `out`, whose capacity is taken from the budget.
    pub fn line(&mut self, limit: u64, out: &mut Vec<u8>, budget: &Budget) -> Result<()> {
        let limit = limit.min(self.left);
        loop {
            let ahead = self.inner.fill_buf()?;
            let room = usize::try_from(limit - out.len() as u64).unwrap_or(usize::MAX).min(ahead.len());
            let piece = &ahead[..room];
            let (line, found) = match piece.iter().position(|b| *b == b'\n') {
                Some(end) => (&piece[..end], true),
                None => (piece, false),
            };
            let need = out.len() + line.len();
            if need > out.capacity() {
                let larger = need.max(2 * out.capacity());
                budget.take((larger - out.capacity()) as u64)?;
                out.reserve_exact(larger - out.len());
            }
            out.extend_from_slice(line);
            let used = line.len() + usize::from(found);
            self.inner.consume(used);
            self.use_up(used as u64)?;
            if found {
                return Ok(());
            }
            if used == 0 || out.len() as u64 >= limit {
                return damaged(format!("its pickle has an endless line before byte {}", self.at));
            }
        }
    }

    /// Reads to the end, so that a reader below sees (and sums) every byte. Nothing that matters comes after the pickle's end, so more than
    /// a little is not believed.
    pub fn drain(mut self) -> Result<()> {
        if self.left > TRAILER {
            return damaged(format!("{} bytes follow the end of its pickle", self.left));
        }
        std::io::copy(&mut (&mut self.inner).take(self.left), &mut std::io::sink())?;
        Ok(())
    }
}
