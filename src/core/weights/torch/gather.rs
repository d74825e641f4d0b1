//! Views with any strides, gathered through a small window over the file: memory for the result only.

use std::ops::Range;

use rawzip::ReaderAt;

use crate::core::weights::trouble::{Result, refused};

/// Whether a view is row-major without gaps.
pub fn is_contiguous(sizes: &[u64], strides: &[u64]) -> bool {
    let mut expected = 1u64;
    for (size, stride) in sizes.iter().zip(strides).rev() {
        if *size != 1 && *stride != expected {
            return false;
        }
        expected = expected.saturating_mul(*size);
    }
    true
}

/// Bytes of the window.
const WINDOW: u64 = 256 << 10;
/// Elements that lie farther apart than this are read one by one.
const NEAR: u64 = 4 << 10;

/// How often a view may read what it lies in, before it is given up: one that jumps to and fro could go on for hours.
const MAX_PASSES: u64 = 16;

/// A part of a source, read piece by piece.
pub struct Window<'a> {
    source: &'a dyn ReaderAt,
    within: Range<u64>,
    start: u64,
    bytes: Vec<u8>,
    /// What may still be read, in bytes.
    left: u64,
}

impl<'a> Window<'a> {
    pub fn of(source: &'a dyn ReaderAt, within: Range<u64>) -> Self {
        Self { source, start: within.start, within, bytes: Vec::new(), left: 0 }
    }

    /// `length` bytes at `at`; `ahead`: what follows is wanted too.
    fn get(&mut self, at: u64, length: u64, ahead: bool) -> Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if at < held.start || at + length > held.end {
            let rest = self.within.end.saturating_sub(at);
            let wanted = if ahead { WINDOW.max(length).min(rest) } else { length }.max(length);
            self.left = match self.left.checked_sub(wanted.max(NEAR)) {
                Some(left) => left,
                None => {
                    return refused(
                        "has a tensor that repeats what it holds in too wild an order; save it with .contiguous()",
                    );
                }
            };
            self.bytes.resize(wanted as usize, 0);
            self.start = at;
            self.source.read_exact_at(&mut self.bytes, at)?;
        }
        let from = (at - self.start) as usize;
        Ok(&self.bytes[from..from + length as usize])
    }
}

/// One dimension, in elements.
#[derive(Debug, Clone, Copy)]
struct Dim {
    size: u64,
    stride: u64,
    /// Stride in the result.
    out: u64,
}

/// The view at `start` (in bytes) as a row-major tensor of elements of `element` bytes. The extent was checked before.
pub fn gather(window: &mut Window<'_>, start: u64, element: u64, sizes: &[u64], strides: &[u64]) -> Result<Vec<u8>> {
    let mut out_stride = 1;
    let mut dims: Vec<Dim> = Vec::with_capacity(sizes.len());
    for (size, stride) in sizes.iter().zip(strides).rev() {
        dims.push(Dim { size: *size, stride: *stride, out: out_stride });
        out_stride *= *size;
    }
    // A view that visits each place once reads its part of the file once or twice.
    let part = window.within.end - window.within.start;
    window.left = MAX_PASSES * (part + out_stride * element) + WINDOW;
    let mut out = vec![0; (out_stride * element) as usize];
    dims.retain(|d| d.size != 1);
    // In the source's order, so that the window moves forward.
    dims.sort_by_key(|d| std::cmp::Reverse(d.stride));
    let inner = dims.pop().unwrap_or(Dim { size: 1, stride: 1, out: 1 });
    let mut index = vec![0; dims.len()];
    let (mut from, mut to) = (start, 0);
    loop {
        row(window, from, to, element, inner, &mut out)?;
        // Counts up like an odometer.
        let mut axis = dims.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return Ok(out) };
            axis = next;
            let dim = dims[axis];
            index[axis] += 1;
            from += dim.stride * element;
            to += dim.out;
            if index[axis] < dim.size {
                break;
            }
            from -= dim.size * dim.stride * element;
            to -= dim.size * dim.out;
            index[axis] = 0;
        }
    }
}

/// Copies the innermost dimension.
fn row(window: &mut Window<'_>, from: u64, to: u64, element: u64, dim: Dim, out: &mut [u8]) -> Result<()> {
    let step = dim.stride * element;
    // As many elements as the window holds.
    let at_once = match (WINDOW - element).checked_div(step) {
        _ if step > NEAR => 1,
        Some(n) => (n + 1).min(dim.size),
        None => dim.size,
    };
    let mut done = 0;
    while done < dim.size {
        let count = at_once.min(dim.size - done);
        let piece = window.get(from + done * step, (count - 1) * step + element, step <= NEAR)?;
        let mut place = ((to + done * dim.out) * element) as usize;
        let (element, step, out_step) = (element as usize, step as usize, (dim.out * element) as usize);
        if step == element && out_step == element {
            out[place..place + piece.len()].copy_from_slice(piece);
        } else {
            let mut at = 0;
            for _ in 0..count {
                out[place..place + element].copy_from_slice(&piece[at..at + element]);
                at += step;
                place += out_step;
            }
        }
        done += count;
    }
    Ok(())
}
