//! Resizing bytes in Pillow's arithmetic (`ImagingResample` of Pillow 13), bit for bit: one pass across and one down, each
//! in fixed point and rounded to bytes. Of the result only the part that is kept is computed.

use std::ops::Range;

use multiversion::multiversion;

use super::{Crop, Route};
use crate::core::recipe::Interpolation;

/// Binary places of a weight: eight bits of a pixel and two for weights beyond 0..1 are left of 32.
const PRECISION: u32 = 32 - 8 - 2;
/// One half, so that sums are rounded to nearest.
const HALF: i32 = 1 << (PRECISION - 1);

/// Interleaved pixels, row-major.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub data: &'a [u8],
    pub width: usize,
    pub channels: usize,
}

/// Memory that is used from image to image.
#[derive(Default)]
pub(super) struct Buffers {
    between: Vec<u8>,
    sums: Vec<i32>,
    row: Vec<u8>,
}

/// Goes the `way`; the kept part, interleaved.
pub(super) fn resize(from: Pixels<'_>, way: &Route, interpolation: Interpolation, buffers: &mut Buffers) -> Vec<u8> {
    let Route { part, height, width, kept } = *way;
    if (part.height, part.width) == (height, width) {
        let (rows, columns) = (kept.top..kept.top + kept.height, kept.left..kept.left + kept.width);
        return from.view(part, rows, columns).each_row().collect::<Vec<_>>().concat();
    }
    let mut across = Taps::new(part.width, width, kept.left..kept.left + kept.width, interpolation);
    let mut down = Taps::new(part.height, height, kept.top..kept.top + kept.height, interpolation);
    let Buffers { between, sums, row } = buffers;
    between.clear();
    let mut out = Vec::with_capacity(kept.height * kept.width * from.channels);
    // What the second pass does not look at is left out of the first.
    if down_first(way) {
        let (columns, rows) = (across.reach(), 0..part.height);
        down.down(from.view(part, rows, columns.clone()), sums, between);
        across.shift(columns.start);
        let whole = Pixels { data: between, width: columns.len(), ..from };
        across.across(whole.view(Crop::default(), 0..kept.height, 0..columns.len()), row, &mut out);
    } else {
        let (columns, rows) = (0..part.width, down.reach());
        across.across(from.view(part, rows.clone(), columns), row, between);
        down.shift(rows.start);
        let whole = Pixels { data: between, width: kept.width, ..from };
        down.down(whole.view(Crop::default(), 0..rows.len(), 0..kept.width), sums, &mut out);
    }
    out
}

/// Pillow 13 begins with the height where it loses more than twice as many pixels as the width. Older versions always begin
/// with the width, which makes a difference of one level at some pixels of such images.
fn down_first(way: &Route) -> bool {
    let lost = |from: usize, to: usize| from as i64 - to as i64;
    let (rows, columns) = (lost(way.part.height, way.height), lost(way.part.width, way.width));
    rows > 0 && rows > 2 * columns
}

/// Rows of a part of an image.
#[derive(Clone)]
struct View<'a> {
    data: &'a [u8],
    /// Bytes from row to row.
    stride: usize,
    rows: Range<usize>,
    /// The bytes of a row.
    bytes: Range<usize>,
    channels: usize,
}

impl<'a> Pixels<'a> {
    /// Some rows and columns of a part.
    fn view(self, part: Crop, rows: Range<usize>, columns: Range<usize>) -> View<'a> {
        let bytes = (part.left + columns.start) * self.channels..(part.left + columns.end) * self.channels;
        let rows = part.top + rows.start..part.top + rows.end;
        View { data: self.data, stride: self.width * self.channels, rows, bytes, channels: self.channels }
    }
}

impl<'a> View<'a> {
    fn each_row(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, rows) = (self.bytes.clone(), self.rows.clone());
        self.data.chunks_exact(self.stride).skip(rows.start).take(rows.len()).map(move |row| &row[bytes.clone()])
    }
}

/// The filter along one side: of each place that is kept, the inputs that it sums up, and their weights.
struct Taps {
    inputs: Vec<Range<usize>>,
    /// One an input, place by place.
    weights: Vec<i32>,
}

impl Taps {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` for the places `kept` of a side that goes from `from` to `to`.
    fn new(from: usize, to: usize, kept: Range<usize>, interpolation: Interpolation) -> Self {
        if from == to {
            return Self { weights: vec![1 << PRECISION; kept.len()], inputs: kept.map(|at| at..at + 1).collect() };
        }
        let (filter, reach): (fn(f64) -> f64, f64) = match interpolation {
            Interpolation::Bilinear => (triangle, 1.0),
            Interpolation::Bicubic => (cubic, 2.0),
        };
        let scale = from as f64 / to as f64;
        // Enlarging looks at neighbours alone; making smaller averages over what becomes one pixel (antialiasing).
        let stretch = scale.max(1.0);
        let support = reach * stretch;
        let mut taps = Self { inputs: Vec::with_capacity(kept.len()), weights: Vec::new() };
        let mut exact = Vec::new();
        for place in kept {
            let center = (place as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((first..end).map(|at| filter((at as f64 - center + 0.5) * (1.0 / stretch))));
            let sum: f64 = exact.iter().sum();
            let fixed = |exact: f64| (exact / sum * f64::from(1 << PRECISION)).round() as i32;
            taps.weights.extend(exact.iter().copied().map(fixed));
            taps.inputs.push(first..end);
        }
        taps
    }

    /// Counts inputs from `start` on.
    fn shift(&mut self, start: usize) {
        self.inputs.iter_mut().for_each(|range| *range = range.start - start..range.end - start);
    }

    /// The inputs that are looked at.
    fn reach(&self) -> Range<usize> {
        self.inputs.first().map_or(0, |range| range.start)..self.inputs.last().map_or(0, |range| range.end)
    }

    /// Each place's inputs and weights.
    fn places(&self) -> impl Iterator<Item = (Range<usize>, &[i32])> {
        let mut weights = &self.weights[..];
        self.inputs.iter().map(move |inputs| {
            let (own, rest) = weights.split_at(inputs.len());
            weights = rest;
            (inputs.clone(), own)
        })
    }

    /// Each row, appended to `out`.
    fn across(&self, view: View<'_>, buffer: &mut Vec<u8>, out: &mut Vec<u8>) {
        let to = self.inputs.len() * view.channels;
        for row in view.each_row() {
            let start = out.len();
            if view.channels == 3 {
                buffer.clear();
                buffer.extend_from_slice(row);
                buffer.push(0);
                out.resize(start + to + 1, 0);
                across_rgb(self, buffer, &mut out[start..]);
                out.pop();
            } else {
                out.resize(start + to, 0);
                across_gray(self, row, &mut out[start..]);
            }
        }
    }

    /// All columns at once, appended to `out`.
    fn down(&self, view: View<'_>, sums: &mut Vec<i32>, out: &mut Vec<u8>) {
        for (inputs, weights) in self.places() {
            sums.clear();
            sums.resize(view.bytes.len(), HALF);
            let rows = View { rows: view.rows.start + inputs.start..view.rows.start + inputs.end, ..view.clone() };
            for (row, weight) in rows.each_row().zip(weights) {
                add(sums, row, *weight);
            }
            let start = out.len();
            out.resize(start + sums.len(), 0);
            bytes(sums, &mut out[start..]);
        }
    }
}

/// A row of RGB. It and `out` have one byte more, so that each pixel can be taken as four bytes, which processors do at
/// once; the next pixel overwrites the fourth.
#[multiversion(targets("x86_64+avx2"))]
fn across_rgb(taps: &Taps, row: &[u8], out: &mut [u8]) {
    for (place, (inputs, weights)) in taps.places().enumerate() {
        let mut sums = [HALF; 4];
        for (pixel, weight) in row[inputs.start * 3..=inputs.end * 3].windows(4).step_by(3).zip(weights) {
            for (sum, byte) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*byte) * weight;
            }
        }
        out[place * 3..][..4].copy_from_slice(&sums.map(byte));
    }
}

fn across_gray(taps: &Taps, row: &[u8], out: &mut [u8]) {
    for ((inputs, weights), out) in taps.places().zip(out) {
        let products = row[inputs].iter().zip(weights).map(|(pixel, weight)| i32::from(*pixel) * weight);
        *out = byte(HALF + products.sum::<i32>());
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn add(sums: &mut [i32], row: &[u8], weight: i32) {
    for (sum, byte) in sums.iter_mut().zip(row) {
        *sum += i32::from(*byte) * weight;
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn bytes(sums: &[i32], out: &mut [u8]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = byte(*sum);
    }
}

/// Appends interleaved bytes, `channels` (1 or 3) a pixel, as planes of values in 0..1.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn planes(pixels: &[u8], channels: usize, out: &mut Vec<f32>) {
    let value = |byte: &u8| f32::from(*byte) / 255.0;
    if channels == 3 {
        let (pixels, _) = pixels.as_chunks::<3>();
        (0..3).for_each(|channel| out.extend(pixels.iter().map(|pixel| value(&pixel[channel]))));
    } else {
        out.extend(pixels.iter().map(value));
    }
}

#[inline(always)]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// The cubic of Keys with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
