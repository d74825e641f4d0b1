//! Times what reads images beside torchvision's `ImageFolder` and PyTorch's `DataLoader`: JPEGs of 500 x 375 pixels to normalised batches of
//! 224 x 224, with training's random crops and flips and as validation does it, and the listing of a folder of 100,000 images.
//!
//! Both sides take turns in processes of their own, and each measures itself, without its start. The files are in the page cache. Run with
//! `cargo run --release --example bench_data`; arguments: rounds (5), images (512), workers (2). Its files lie in a temporary folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use frostline::core::recipe::{Augment, DataSpec, NamedNormalize, Normalize, SourceKind};
use frostline::engine::data::{self, Dataset, EpochPlan};

/// Different pictures; the others are the same again.
const PICTURES: usize = 64;
const BATCH: usize = 32;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |word: Option<&&str>, default: usize| word.map_or(default, |w| w.parse().expect("a number"));
    match words.as_slice() {
        ["list", folder] => println!("{}", list(Path::new(folder))),
        ["train", folder, workers] => println!("{}", train(Path::new(folder), workers.parse().expect("a number"))),
        ["val", folder, workers] => println!("{}", val(Path::new(folder), workers.parse().expect("a number"))),
        _ => compare(number(words.first(), 5), number(words.get(1), 512), number(words.get(2), 2)),
    }
}

fn open(folder: &Path, augment: &[Augment], val_fraction: f64, workers: usize) -> Dataset {
    let spec = DataSpec {
        source: SourceKind::ImageFolder,
        path: Some(folder.to_owned()),
        normalize: Normalize::Named(NamedNormalize::Imagenet),
        augment: augment.to_vec(),
        val_fraction,
        workers,
        ..DataSpec::default()
    };
    data::open(&spec, Some(3), 0).unwrap()
}

/// Seconds to open a folder.
fn list(folder: &Path) -> f64 {
    let start = Instant::now();
    let data = open(folder, &[], 0.0, 0);
    let time = start.elapsed().as_secs_f64();
    assert!(data.info().train_len > 0);
    time
}

/// Images a second.
fn train(folder: &Path, workers: usize) -> f64 {
    let data = open(folder, &[Augment::RandomResizedCrop, Augment::HorizontalFlip], 0.0, workers);
    let plan = EpochPlan { seed: 0, epoch: 0, batch_size: BATCH, shuffle: true, drop_last: false, start_batch: 0 };
    pass(data.info().train_len, || data.train(plan))
}

fn val(folder: &Path, workers: usize) -> f64 {
    // All but one a class are held back.
    let data = open(folder, &[], 0.999, workers);
    pass(data.info().val_len, || data.val(BATCH))
}

fn pass(count: usize, loader: impl Fn() -> data::Loader) -> f64 {
    let start = Instant::now();
    let mut seen = 0;
    for batch in loader() {
        seen += batch.unwrap().x_shape[0];
    }
    assert_eq!(seen, count);
    count as f64 / start.elapsed().as_secs_f64()
}

/// Pictures with the detail of photographs: waves of many lengths, each half as strong as the one twice as long, and a little noise.
fn picture(number: usize) -> image::RgbImage {
    let mut state = number as u32 * 2 + 1;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let waves: Vec<[f32; 6]> = (0..24)
        .map(|i| {
            let length = 300.0 / 1.3f32.powi(i);
            let (angle, phase) = (draw() * TAU, draw() * TAU);
            [
                angle.cos() / length,
                angle.sin() / length,
                phase,
                draw() * length / 3.0,
                draw() * length / 3.0,
                draw() * length / 3.0,
            ]
        })
        .collect();
    image::RgbImage::from_fn(500, 375, |x, y| {
        let mut sums = [128.0f32; 3];
        for [across, down, phase, red, green, blue] in &waves {
            let wave = (TAU * (across * x as f32 + down * y as f32) + phase).sin();
            sums[0] += wave * red;
            sums[1] += wave * green;
            sums[2] += wave * blue;
        }
        let noise = draw() * 12.0 - 6.0;
        image::Rgb(sums.map(|s| (s + noise).clamp(0.0, 255.0) as u8))
    })
}

/// Files in a folder of each of ten classes; `count` of them, made of `pictures`.
fn make(folder: &Path, pictures: &[PathBuf], count: usize) {
    for class in 0..10 {
        std::fs::create_dir_all(folder.join(format!("class{class}"))).unwrap();
    }
    for number in 0..count {
        let to = folder.join(format!("class{}/{number:06}.jpg", number % 10));
        std::fs::hard_link(&pictures[number % pictures.len()], to).unwrap();
    }
}

fn compare(rounds: usize, images: usize, workers: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("FROSTLINE_PYTHON").map_or_else(|| root.join(".python-ref/bin/python"), PathBuf::from);
    if !python.exists() {
        println!("skipped: no Python with torchvision (`make python` fetches one)");
        return;
    }
    let script = root.join("scripts/bench_data.py");
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pictures: Vec<PathBuf> = (0..PICTURES)
        .map(|number| {
            let path = folder.path().join(format!("{number}.jpg"));
            let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
            let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 90);
            picture(number).write_with_encoder(encoder).unwrap();
            path
        })
        .collect();
    let size: u64 = pictures.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
    let (few, many) = (folder.path().join("few"), folder.path().join("many"));
    make(&few, &pictures, images);
    make(&many, &pictures, 100_000);
    let number = |command: &mut Command, what: &str| -> f64 {
        command.arg(what).arg(if what == "list" { &many } else { &few });
        if what != "list" {
            command.arg(workers.to_string());
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().parse().expect("a number")
    };
    println!("{images} images of {} kB, {workers} workers, {rounds} rounds, medians", size / PICTURES as u64 / 1000);
    println!("{:<22} {:>10} {:>10} {:>7}", "", "frostline", "Python", "ratio");
    for (what, unit) in [("train", "images/s"), ("val", "images/s"), ("list", "s")] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(number(&mut Command::new(&own), what));
            theirs.push(number(Command::new(&python).arg("-B").arg(&script), what));
        }
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        let (a, b) = (median(&ours), median(&theirs));
        println!("{what:<5} {unit:<16} {a:>10.3} {b:>10.3} {:>7.2}   {}", median(&ratios), spread(&ours, &theirs));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn spread(ours: &[f64], theirs: &[f64]) -> String {
    let of = |t: &[f64]| {
        let least = t.iter().copied().fold(f64::INFINITY, f64::min);
        format!("{least:.3}..{:.3}", t.iter().copied().fold(0.0, f64::max))
    };
    format!("({} against {})", of(ours), of(theirs))
}
