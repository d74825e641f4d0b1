//! Times what the weights files cost beside Python's safetensors: listing a file of 1 GB, loading it with every tensor touched, and saving it
//! with a flush to the disk.
//!
//! Both sides take turns in processes of their own, and each measures itself, without its start. Run with
//! `cargo run --release --example bench_weights`; arguments: rounds (5), megabytes (1024). Its files lie in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use frostline::core::tensor::HostTensor;
use frostline::core::weights;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list", file] => println!("{}", list(Path::new(file))),
        ["load", file] => println!("{}", load(Path::new(file))),
        ["save", file, to] => println!("{}", save(Path::new(file), Path::new(to))),
        _ => {
            let number = |i: usize, default: usize| words.get(i).map_or(default, |w| w.parse().expect("a number"));
            compare(number(0, 5), number(1, 1024));
        }
    }
}

/// A file as large models have it: matrices of 16 MiB, with a short vector after each.
fn make(path: &Path, megabytes: usize) {
    let values: Vec<f32> = (0..4 << 20).map(|i| (i % 1000) as f32 * 1e-3).collect();
    let pairs = (0..megabytes.div_ceil(16)).flat_map(|i| {
        [
            HostTensor::from_f32(format!("layers.{i}.weight"), &[2048, 2048], &values),
            HostTensor::from_f32(format!("layers.{i}.bias"), &[2048], &values[..2048]),
        ]
    });
    let tensors: Vec<HostTensor> = pairs.collect();
    weights::write_safetensors(path, &tensors, &BTreeMap::new(), true).unwrap();
}

fn list(file: &Path) -> f64 {
    let start = Instant::now();
    let listing = weights::inspect(file).unwrap();
    let time = start.elapsed().as_secs_f64();
    assert!(!listing.tensors.is_empty());
    time
}

fn load(file: &Path) -> f64 {
    let start = Instant::now();
    let state = weights::read(file, None).unwrap();
    let sums: f32 = state.tensors.iter().map(|t| sum(&t.data)).sum();
    black_box(sums);
    start.elapsed().as_secs_f64()
}

/// In as many parts as a vector unit adds at once, as PyTorch does.
fn sum(data: &[u8]) -> f32 {
    let mut parts = [0f32; 32];
    let (blocks, rest) = data.as_chunks::<128>();
    for block in blocks {
        let (floats, _) = block.as_chunks::<4>();
        for (part, float) in parts.iter_mut().zip(floats) {
            *part += f32::from_le_bytes(*float);
        }
    }
    parts.iter().sum::<f32>() + rest.as_chunks::<4>().0.iter().map(|f| f32::from_le_bytes(*f)).sum::<f32>()
}

fn save(file: &Path, to: &Path) -> f64 {
    let tensors = weights::read(file, None).unwrap().tensors;
    let start = Instant::now();
    weights::write_safetensors(to, &tensors, &BTreeMap::new(), true).unwrap();
    start.elapsed().as_secs_f64()
}

fn compare(rounds: usize, megabytes: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("FROSTLINE_PYTHON").map_or_else(|| root.join(".python-ref/bin/python"), PathBuf::from);
    if !python.exists() {
        println!("skipped: no Python with safetensors (`make python` fetches one)");
        return;
    }
    let script = root.join("scripts/bench_weights.py");
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    make(&file, megabytes);
    let seconds = |command: &mut Command, words: &[&str]| -> f64 {
        let command = command.args(words).arg(&file);
        if words == ["save"] {
            command.arg(&out);
        }
        let done = command.output().unwrap();
        let _ = std::fs::remove_file(&out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().parse().expect("seconds")
    };
    println!("{megabytes} MB, {rounds} rounds, medians (all in seconds)");
    println!("{:<6} {:>10} {:>10} {:>7}", "", "frostline", "Python", "ratio");
    for what in ["list", "load", "save"] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(seconds(&mut Command::new(&own), &[what]));
            theirs.push(seconds(Command::new(&python).arg("-B").arg(&script), &[what]));
        }
        let (a, b) = (median(&mut ours), median(&mut theirs));
        println!("{what:<6} {a:>10.4} {b:>10.4} {:>7.2}   {}", a / b, spread(&ours, &theirs));
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Of sorted times.
fn spread(ours: &[f64], theirs: &[f64]) -> String {
    let of = |t: &[f64]| format!("{:.4}..{:.4}", t[0], t[t.len() - 1]);
    format!("({} against {})", of(ours), of(theirs))
}
