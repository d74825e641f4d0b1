//! Steps a second of a run that nobody watches beside the same run with fifty viewers on its control socket, one of whom
//! never reads: `cargo run --release --example viewers [-- ROUNDS]`. The viewers live in a process of their own, which reads
//! their batches and counts them. The two take turns; the median of the rounds' ratios is printed.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use frostline::core::recipe::Recipe;
use frostline::core::run::{RunDir, RunHome};
use frostline::engine::default_engine;
use frostline::session::{RunHandle, Session, Start};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const VIEWERS: usize = 50;
/// Time of one measurement.
const SPAN: Duration = Duration::from_secs(4);
/// Silence that tells a batch from the one before.
const PAUSE: Duration = Duration::from_millis(30);
/// The viewers' process is told the socket by this.
const SOCKET: &str = "FROSTLINE_EXAMPLE_SOCKET";

const RECIPES: [(&str, &str); 2] = [
    ("MLP, digits, batch 32", "model = { arch = \"mlp\", hidden = [64] }"),
    ("ResNet-8, digits, batch 32", "model = { arch = \"resnet8\" }"),
];

fn main() -> Result<()> {
    if let Some(socket) = std::env::var_os(SOCKET) {
        return view(&socket);
    }
    let rounds = std::env::args().nth(1).map_or(Ok(5), |n| n.parse::<usize>())?;
    let folder = tempfile::tempdir()?;
    for (name, model) in RECIPES {
        let handle = start(model, folder.path())?;
        let run = handle.dir().clone();
        let (mut alone, mut watched, mut ratios, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        rate(&handle, Duration::from_secs(1))?;
        for _ in 0..rounds {
            let before = rate(&handle, SPAN)?;
            let (with, batches) = with_viewers(&handle, &run)?;
            // A machine whose speed drifts slows both alike.
            let after = rate(&handle, SPAN)?;
            let without = (before + after) / 2.0;
            alone.push(without);
            watched.push(with);
            ratios.push(with / without);
            lines.push(batches);
        }
        println!("{name}");
        println!("  alone            {:>8.1} steps/s", median(alone));
        println!("  {VIEWERS} viewers       {:>8.1} steps/s", median(watched));
        println!("  ratio            {:>8.4}", median(ratios));
        println!("  batches          {:>8.1} a second and viewer", median(lines));
    }
    Ok(())
}

fn start(model: &str, folder: &std::path::Path) -> Result<RunHandle> {
    let text = format!(
        "{model}\n[data]\nsource = \"digits\"\nworkers = 0\n[train]\nsteps = 100000000\nbatch_size = 32\ndevices = [\"cpu\"]\n\
         threads = 1\nvalidate_every_epochs = 1000000\n[checkpoint]\nevery_epochs = 1000000\n"
    );
    let recipe = Recipe::parse(&text, "viewers.toml", folder, &[])?;
    Ok(Session::start(default_engine()?, &RunHome::open(folder.join("home")), Start::Fresh { recipe })?)
}

/// Steps a second over some time.
fn rate(handle: &RunHandle, span: Duration) -> Result<f64> {
    let newest = || handle.drain().last().map(|r| r.step);
    let mut step = None;
    while step.is_none() {
        handle.wait(Duration::from_secs(5));
        step = newest();
    }
    let (start, first) = (Instant::now(), step.unwrap_or(0));
    let mut last = first;
    while start.elapsed() < span {
        std::thread::sleep(Duration::from_millis(100));
        last = newest().unwrap_or(last);
    }
    Ok((last - first) as f64 / start.elapsed().as_secs_f64())
}

/// The rate while the viewers are there, and how many batches a second each of them got.
fn with_viewers(handle: &RunHandle, run: &RunDir) -> Result<(f64, f64)> {
    let mut viewers = Command::new(std::env::current_exe()?)
        .env(SOCKET, run.socket_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = BufReader::new(viewers.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    let rate = rate(handle, SPAN)?;
    drop(viewers.stdin.take());
    line.clear();
    out.read_line(&mut line)?;
    viewers.wait()?;
    Ok((rate, line.trim().parse()?))
}

/// The viewers' process: connects, says so, counts batches until its stdin ends, and prints their number a second and viewer.
fn view(socket: &std::ffi::OsStr) -> Result<()> {
    let batches = Arc::new(AtomicU64::new(0));
    let mut silent = Vec::new();
    for viewer in 0..VIEWERS {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(b"{\"type\":\"watch\",\"steps\":true}\n")?;
        if viewer == 0 {
            silent.push(stream);
            continue;
        }
        let count = Arc::clone(&batches);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let (mut line, mut last) = (Vec::new(), Instant::now());
            while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                // The lines of a batch (several, where rare events lie between steps) come at once.
                count.fetch_add(u64::from(last.elapsed() > PAUSE), Ordering::Relaxed);
                last = Instant::now();
                line.clear();
            }
        });
    }
    let start = Instant::now();
    println!("connected");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{}", batches.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64() / (VIEWERS - 1) as f64);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
