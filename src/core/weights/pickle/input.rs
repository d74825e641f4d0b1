//! The bytes of a pickle, one after the other, never more than there are.

use std::io::{BufRead, BufReader, Read};

use crate::core::weights::trouble::{Result, damaged};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

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

    /// Appends what stands before the next line break, at most `limit` bytes.
    pub fn line(&mut self, limit: u64, out: &mut Vec<u8>) -> Result<()> {
        let limit = limit.min(self.left);
        let before = out.len();
        let read = (&mut self.inner).take(limit).read_until(b'\n', out)? as u64;
        self.use_up(read)?;
        if out.len() == before || out.pop() != Some(b'\n') {
            return damaged(format!("its pickle has an endless line before byte {}", self.at));
        }
        Ok(())
    }

    /// Reads to the end, so that a reader below sees (and sums) every byte.
    pub fn drain(mut self) -> Result<()> {
        std::io::copy(&mut (&mut self.inner).take(self.left), &mut std::io::sink())?;
        Ok(())
    }
}
