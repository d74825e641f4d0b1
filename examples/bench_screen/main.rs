//! How fast the workbench is: the first frame, a key, an idle screen, a slow line, a terminal that is stopped. Drives the
//! built program in a pseudo-terminal, on run homes of its own; the run that is watched trains for real.
//! Prints; asserts nothing.
//!
//!     make build && cargo run --release --example bench_screen [-- SECONDS]
//!
//! `SECONDS` is how long the terminal stands still [60]. With `FROSTLINE` another program is measured than `target/release/frostline`.

mod homes;
mod memory;
#[path = "../support/terminal.rs"]
mod terminal;

use std::path::Path;
use std::time::{Duration, Instant};

use terminal::{Result, Shown, Terminal, command};

/// How often a start is timed.
const STARTS: usize = 11;
const KEYS: usize = 300;
const SIZE: (u16, u16) = (160, 50);
/// A line of 50 KB/s.
const SLOW: u64 = 50_000;

fn main() -> Result<()> {
    let still = std::env::args().nth(1).map_or(Ok(60), |s| s.parse())?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    println!("in memory, {}x{} cells:", SIZE.0, SIZE.1);
    memory::keys(SIZE)?;

    let (empty, runs, checkpoints) = (path("empty"), path("runs"), path("checkpoints"));
    std::fs::create_dir_all(&empty)?;
    homes::runs(&runs, 10_000)?;
    homes::checkpoints(&checkpoints, 1_000)?;
    println!("first frame, median of {STARTS} in turns; `frostline --version` loads the same libraries and ends:");
    starts(&[
        ("empty home", &empty, "No runs yet"),
        ("10,000 runs", &runs, "Runs"),
        ("1,000 checkpoints", &checkpoints, "Runs"),
    ])?;
    lists(&runs, &checkpoints)?;
    println!("idle for 10 s:");
    idle("empty home", &empty, "")?;
    idle("10,000 runs", &runs, "")?;
    idle("1,000 checkpoints", &checkpoints, "\r5")?;

    live(&path("live"), Duration::from_secs(still))
}

/// From the start to the first complete frame, beside a program that only loads the libraries.
fn starts(homes: &[(&str, &Path, &str)]) -> Result<()> {
    let mut alone = Vec::new();
    let mut times = vec![Vec::new(); homes.len()];
    for _ in 0..STARTS {
        let began = Instant::now();
        command(homes[0].1, &["--version"])?;
        alone.push(ms(began.elapsed()));
        for ((_, home, words), times) in homes.iter().zip(&mut times) {
            let began = Instant::now();
            let mut terminal = Terminal::start(home, &[], SIZE.0, SIZE.1)?;
            let first = terminal.frame_after(began)?;
            times.push(ms(first - began));
            terminal.wait_for(words)?;
            terminal.keys("q")?;
            terminal.wait_exit()?;
        }
    }
    let alone = median(&mut alone);
    println!("  {:<20}{alone:>8.0} ms", "--version");
    for ((name, ..), times) in homes.iter().zip(&mut times) {
        let time = median(times);
        println!("  {name:<20}{time:>8.0} ms, {:+.0} ms", time - alone);
    }
    Ok(())
}

/// How long the long lists take to be there; the keys work meanwhile.
fn lists(runs: &Path, checkpoints: &Path) -> Result<()> {
    let began = Instant::now();
    let mut terminal = Terminal::start(runs, &[], SIZE.0, SIZE.1)?;
    let there = terminal.wait_for("1/10000")?;
    println!("10,000 runs are listed after {:.0} ms", ms(there - began));
    report("key to frame on them", keys(&mut terminal, &to_and_fro("2/10000", "1/10000", "10000/10000"))?);
    terminal.keys("q")?;
    terminal.wait_exit()?;
    let mut terminal = Terminal::start(checkpoints, &[], SIZE.0, SIZE.1)?;
    terminal.wait_for("1/1")?;
    let began = Instant::now();
    terminal.keys("\r")?;
    terminal.keys("5")?;
    let there = terminal.wait_for("/1000")?;
    println!("1,000 checkpoints are listed after {:.0} ms", ms(there - began));
    report("key to frame on them", keys(&mut terminal, &to_and_fro("2/1000", "1/1000", "1000/1000"))?);
    terminal.keys("q")?;
    terminal.wait_exit()
}

/// Keys that go through a list, from its first line and back to it, with what the list says then.
fn to_and_fro(second: &'static str, first: &'static str, last: &'static str) -> [(&'static str, Shown); 4] {
    [("j", second), ("k", first), ("G", last), ("g", first)].map(|(key, words)| (key, Shown::With(words)))
}

fn idle(name: &str, home: &Path, first: &str) -> Result<()> {
    let mut terminal = Terminal::start(home, &[], SIZE.0, SIZE.1)?;
    terminal.frame_after(Instant::now() - Duration::from_secs(60))?;
    terminal.keys(first)?;
    // What is read at the start is not idleness.
    std::thread::sleep(Duration::from_secs(5));
    let (pid, before, (frames, bytes)) = (terminal.pid()?, Instant::now(), terminal.counts());
    let used = cpu(pid)?;
    std::thread::sleep(Duration::from_secs(10));
    let share = (cpu(pid)? - used) / before.elapsed().as_secs_f64() * 100.0;
    let (now_frames, now_bytes) = terminal.counts();
    println!("  {name:<20}{share:>8.2} % of a core, {} frames, {} bytes", now_frames - frames, now_bytes - bytes);
    terminal.keys("q")?;
    terminal.wait_exit()
}

/// The first chart with the mark of the focus.
const FOCUS: &str = "▌loss";
/// The focus goes to the next chart and back.
const TRAIN: [(&str, Shown); 2] = [("l", Shown::Without(FOCUS)), ("h", Shown::With(FOCUS))];
/// What the pane beside the layers says of the first line.
const ROOT: &str = "the whole model";

/// A screen with a run that trains in its process, and keys on it.
fn watched(folder: &Path, hidden: &str) -> Result<Terminal> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("live.toml"), homes::live(hidden))?;
    let mut terminal = Terminal::start(folder, &["train", "live.toml", "--watch"], SIZE.0, SIZE.1)?;
    terminal.wait_for("running live")?;
    std::thread::sleep(Duration::from_secs(3));
    let rate = homes::rate(&folder.join("home"), Duration::from_secs(3))?;
    println!("a run of {rate:.0} steps a second trains in this process:");
    terminal.wait_for(FOCUS)?;
    report("key to frame on Train", keys(&mut terminal, &TRAIN)?);
    terminal.keys("2")?;
    terminal.wait_for(ROOT)?;
    report("key to frame on Model", keys(&mut terminal, &[("j", Shown::Without(ROOT)), ("k", Shown::With(ROOT))])?);
    terminal.keys("4")?;
    terminal.wait_for(FOCUS)?;
    Ok(terminal)
}

fn leave(mut terminal: Terminal) -> Result<()> {
    terminal.wait_for("running live")?;
    terminal.keys("q")?;
    terminal.keys("y")?;
    terminal.wait_exit()
}

/// Everything that needs a run: keys while it trains, a slow line, a line that stands still.
fn live(folder: &Path, still: Duration) -> Result<()> {
    leave(watched(&folder.join("wide"), "[768, 768]")?)?;
    let mut terminal = watched(folder, "[64]")?;
    let rate = |span: Duration| homes::rate(&folder.join("home"), span);

    terminal.speed(Some(SLOW));
    std::thread::sleep(Duration::from_secs(3));
    let (before, start) = (terminal.counts(), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let (after, span) = (terminal.counts(), start.elapsed().as_secs_f64());
    println!(
        "over a line of {SLOW} bytes/s: {:.1} frames and {:.0} bytes a second",
        (after.0 - before.0) as f64 / span,
        (after.1 - before.1) as f64 / span
    );
    report("key to frame on Train", keys(&mut terminal, &TRAIN)?);
    terminal.speed(None);
    std::thread::sleep(Duration::from_secs(1));

    println!("steps a second, and with a terminal that takes nothing for {still:?} between:");
    let before = rate(Duration::from_secs(20))?;
    terminal.speed(Some(0));
    // The line fills up first.
    std::thread::sleep(Duration::from_secs(5));
    let stalled = rate(still)?;
    terminal.speed(None);
    let after = rate(Duration::from_secs(20))?;
    println!(
        "  before {before:.0}, stopped {stalled:.0}, after {after:.0}: ratio {:.3}",
        2.0 * stalled / (before + after)
    );
    leave(terminal)
}

/// Times from a key to the end of the first frame that shows what it does, one key after the other.
fn keys(terminal: &mut Terminal, cycle: &[(&str, Shown)]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for (key, shown) in cycle.iter().cycle().take(KEYS) {
        // Not in step with the frames of a run.
        std::thread::sleep(Duration::from_millis(20 + times.len() as u64 % 13));
        let pressed = Instant::now();
        times.push(ms(terminal.press(key, *shown)? - pressed));
    }
    Ok(times)
}

fn report(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get((times.len() as f64 * q) as usize).or(times.last()).copied().unwrap_or(f64::NAN);
    println!("  {what}: median {:.1} ms, 99th percentile {:.1} ms, slowest {:.1} ms", at(0.5), at(0.99), at(1.0));
}

/// Processor seconds of a process. The kernel counts hundredths.
fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
