//! Times what the weights files cost beside Python's safetensors: listing a file of 1 GB, loading it with every tensor touched, loading a model
//! of 1.2 GB from its file, and saving the first file with a flush to the disk.
//!
//! Both sides take turns in processes of their own, and each measures itself, without its start. The files are in the page cache. Run with
//! `cargo run --release --example bench_weights`; arguments: rounds (5), megabytes (1024). Its files (3.5 GB) lie in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use frostline::core::recipe::{LoadSpec, Recipe};
use frostline::core::tensor::HostTensor;
use frostline::core::weights::{self, Found};
use frostline::engine::torch::{TorchEngine, mapped};
use frostline::engine::{Engine, InputSpec, Learner};
use tch::{Device, Kind, Tensor};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list", file] => println!("{}", list(Path::new(file))),
        ["load", file] => println!("{}", load(Path::new(file))),
        ["model", file] => println!("{}", model(Path::new(file))),
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

/// As Python's side: every tensor of the mapped file, each summed whole by libtorch.
fn load(file: &Path) -> f64 {
    let _warm = Tensor::zeros([1], (Kind::Float, Device::Cpu)).sum(Kind::Float);
    let start = Instant::now();
    let Found::InFile(found) = weights::find_some(file, None, &|_| true).unwrap() else { panic!("it was read") };
    let mut total = 0.0;
    mapped::for_each(&found, &mut |_, tensor| {
        total += tensor.f_sum(Kind::Float)?.f_double_value(&[])?;
        Ok(())
    })
    .unwrap();
    let time = start.elapsed().as_secs_f64();
    assert!(!total.is_nan());
    time
}

/// Into a model's parameters.
fn model(file: &Path) -> f64 {
    let mut learner = vit();
    let start = Instant::now();
    let Found::InFile(found) = weights::find_some(file, None, &|_| true).unwrap() else { panic!("it was read") };
    let (taken, report) = found.map_onto(learner.tree(), &LoadSpec::default(), "").unwrap();
    learner.restore_from_files(&taken).unwrap();
    let time = start.elapsed().as_secs_f64();
    assert!(report.is_strict());
    time
}

/// A vision transformer of 304 million parameters.
fn vit() -> Box<dyn Learner> {
    let mut recipe = Recipe::default();
    recipe.model.arch = "vit_l_16".into();
    let input = InputSpec { sample_shape: vec![3, 224, 224], outputs: 1000 };
    TorchEngine.learner(&recipe, &input, "cpu").unwrap()
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
    let whole = folder.path().join("vit.safetensors");
    let weights = vit().snapshot().unwrap().weights;
    weights::write_safetensors(&whole, &weights, &BTreeMap::new(), false).unwrap();
    drop(weights);
    let seconds = |command: &mut Command, what: &str| -> f64 {
        let command = command.arg(what).arg(if what == "model" { &whole } else { &file });
        if what == "save" {
            command.arg(&out);
        }
        let done = command.output().unwrap();
        let _ = std::fs::remove_file(&out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().parse().expect("seconds")
    };
    println!("{megabytes} MB, {rounds} rounds, medians (all in seconds)");
    println!("{:<6} {:>10} {:>10} {:>7}", "", "frostline", "Python", "ratio");
    for what in ["list", "load", "model", "save"] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(seconds(&mut Command::new(&own), what));
            theirs.push(seconds(Command::new(&python).arg("-B").arg(&script), what));
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
