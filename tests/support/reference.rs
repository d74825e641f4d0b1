//! What `scripts/fixtures.py` computed with Python's PyTorch, and the samples and values that it made by formula.

use std::io::Read;

use frostline::core::tensor::HostTensor;
use frostline::engine::{Batch, Learner, Targets};
use serde_json::Value;

pub const BATCH: usize = 16;

pub fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/pytorch.json")).unwrap()
}

pub fn digits() -> &'static (Vec<f32>, Vec<i64>) {
    static DIGITS: std::sync::OnceLock<(Vec<f32>, Vec<i64>)> = std::sync::OnceLock::new();
    DIGITS.get_or_init(read_digits)
}

fn read_digits() -> (Vec<f32>, Vec<i64>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&include_bytes!("../../data/digits.csv.gz")[..]).read_to_string(&mut text).unwrap();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let row: Vec<i64> = line.split(',').map(|v| v.parse().unwrap()).collect();
        x.extend(row[..64].iter().map(|&v| v as f32 / 16.0));
        y.push(row[64]);
    }
    (x, y)
}

pub fn batch(step: u64) -> Batch {
    let (x, y) = digits();
    let from = step as usize * BATCH;
    Batch {
        x: x[from * 64..(from + BATCH) * 64].to_vec(),
        x_shape: vec![BATCH, 1, 8, 8],
        y: Targets::Classes(y[from..from + BATCH].to_vec()),
        indices: (from as u64..(from + BATCH) as u64).collect(),
    }
}

/// The state dict of `fixtures.py`'s `fill`.
pub fn fill(l: &mut dyn Learner) {
    fill_with(l, |k, i| (0.7 * i as f64 + k as f64).sin());
}

/// That of its `scatter`.
pub fn scatter(l: &mut dyn Learner) {
    fill_with(l, |k, i| {
        let mut h = (i as u64).wrapping_add(k as u64 * 2_654_435_761) as u32;
        for _ in 0..2 {
            h = (h ^ (h >> 16)).wrapping_mul(0x45d_9f3b);
        }
        2.0 * (f64::from(h ^ (h >> 16)) / 2_147_483_648.0 - 1.0)
    });
}

fn fill_with(l: &mut dyn Learner, value: impl Fn(usize, usize) -> f64) {
    let mut weights = l.snapshot().unwrap().weights;
    for (k, t) in weights.iter_mut().enumerate() {
        let n: usize = t.shape.iter().product();
        if t.shape.len() >= 2 {
            let scale = 1.0 / ((n / t.shape[0]) as f64).sqrt();
            let values: Vec<f32> = (0..n).map(|i| (scale * value(k, i)) as f32).collect();
            *t = HostTensor::from_f32(t.name.clone(), &t.shape, &values);
        } else if t.name.contains("fc") {
            t.data.fill(0);
        }
    }
    l.restore_weights(&weights).unwrap();
}

/// Numbers within a relative tolerance; PyTorch's null is one that was not finite.
pub fn assert_close(what: &str, ours: &[f64], theirs: &Value, tolerance: f64) {
    let theirs: Vec<f64> = theirs.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let same = if b.is_finite() { (a - b).abs() <= tolerance * b.abs().max(scale * 0.1) } else { !a.is_finite() };
        assert!(same, "{what}: number {i}: {a} here, {b} in PyTorch");
    }
}
