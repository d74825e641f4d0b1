//! How long a frame of the Train screen takes with 8 series of a million points, and what taking in a step costs.
//! Prints; asserts nothing.
//!
//!     cargo run --release --no-default-features --example charts

use std::hint::black_box;
use std::time::{Duration, Instant};

use frostline::app::keys::Keymap;
use frostline::app::message::OpenedRun;
use frostline::app::{Message, Model, update};
use frostline::core::event::{Event, Metrics, Record};
use frostline::core::recipe::Mode;
use frostline::core::run::{Lineage, RunId, RunStatus, RunSummary};
use frostline::core::series::Series;
use frostline::tui::Canvas;

const POINTS: u32 = 1_000_000;
const NAMES: [&str; 8] =
    ["train/loss", "val/loss", "train/top1", "val/top1", "lr", "grad_norm", "samples_per_s", "device/cuda:0/load"];
const ROUNDS: usize = 101;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let mut model = model()?;
    println!("{} series of {POINTS} points were built in {:.2?}", NAMES.len(), began.elapsed());
    for (width, height) in [(160, 50), (300, 90)] {
        println!("{width}x{height} cells:");
        update(&mut model, Message::Resize { width, height });
        let mut canvas = Canvas::new(width, height);
        // All charts; zoomed; smoothed; one chart with two series.
        for (what, keys) in [
            ("all charts, all points", ""),
            ("zoomed 8 times", "+ + + ["),
            ("smoothed", "0 > > > >"),
            ("smoothed, log scale, by time", "L l L x x"),
            ("one chart on the full screen", "f"),
        ] {
            press(&mut model, keys);
            report(what, || canvas.draw(&model));
        }
        press(&mut model, "f x h L h L < < < < 0");
    }
    let mut step = u64::from(POINTS);
    let mut take = |model: &mut Model| {
        let started = Instant::now();
        let records = (0..1000).map(|_| {
            step += 1;
            let metrics: Metrics = NAMES.iter().map(|n| ((*n).to_owned(), 0.5)).collect();
            Record { time_ms: step, step, event: Event::Step { epoch: 0, metrics } }
        });
        update(model, Message::Heard(records.collect()));
        started.elapsed() / 1000
    };
    // The run is followed as one of another process is.
    model.attached = model.shown.clone();
    println!("a step of 8 metrics is taken in within {:.2?}", take(&mut model));
    press(&mut model, "> > > >");
    println!("the same, smoothed: {:.2?}", take(&mut model));
    let smoothing = Instant::now();
    press(&mut model, ">");
    println!("another smoothing of all points: {:.2?}", smoothing.elapsed());
    if let Some(kib) = peak_memory() {
        println!("peak memory of this program: {} MB", kib / 1000);
    }
    Ok(())
}

fn report(what: &str, mut draw: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            draw();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("  {what}: median {:.2?}, slowest {:.2?}", black_box(times[ROUNDS / 2]), times[ROUNDS - 1]);
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.split_whitespace().filter_map(|k| k.parse().ok()) {
        update(model, Message::Key(key));
    }
}

/// A run whose series are noise around a falling line, with a spike that must be seen.
fn model() -> Result<Model, Box<dyn std::error::Error>> {
    let id: RunId = "20261125-014501-k3f9".parse()?;
    let created = jiff::Timestamp::from_millisecond(1_790_000_000_000)?;
    let summary = RunSummary {
        id: id.clone(),
        name: "long".to_owned(),
        status: RunStatus::Running,
        step: u64::from(POINTS),
        steps: 2 * u64::from(POINTS),
        epoch: 0,
        epochs: 1,
        best: None,
        monitor: "val/loss".to_owned(),
        mode: Mode::Min,
        created,
        updated: created,
        tags: Vec::new(),
        note: String::new(),
        host: "box".to_owned(),
        model: "mlp".to_owned(),
        message: None,
        pid: None,
        lineage: Lineage::default(),
        problem: None,
    };
    let mut noise = 1_u32;
    let mut value = |i: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let spike = if i == POINTS / 3 { 5.0 } else { 0.0 };
        2.0 / (1.0 + f64::from(i) / 1e5) + f64::from(noise >> 16) / 1e6 + spike
    };
    let series = NAMES.map(|name| {
        let points = (1..=POINTS).map(|i| (f64::from(i), value(i)));
        (name.to_owned(), Series::from_points(points.collect::<Vec<_>>()))
    });
    let opened = OpenedRun {
        optimizer: Default::default(),
        batches: frostline::core::fit::BatchSizes::new(32, 1, 1),
        summary,
        lr: 1e-3,
        rules: Vec::new(),
        monitor: "val/loss".to_owned(),
        mode: Mode::Min,
        records: Vec::new(),
        series: series.into(),
        times: (1..=POINTS).map(|i| (u64::from(i), u64::from(i) * 10)).collect(),
        latest: Metrics::new(),
        notes: Vec::new(),
    };
    let (mut model, _) = Model::new(Keymap::default(), String::new(), false);
    model.opening = Some(id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    Ok(model)
}

/// In KiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
