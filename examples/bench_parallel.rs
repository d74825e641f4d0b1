//! What several ranks on one machine's cores do, beside one rank with all of them: the same model, the same global batch.
//!
//! `cargo run --release --example bench_parallel [-- ROUNDS]`. Whole runs of ResNet-18 at 64x64, 32 samples a step, take turns, each in
//! processes of its own. Printed are medians, and the median of the ratios within a round:
//!
//! - `one rank, 2 threads`: what libtorch makes of two cores;
//! - `one rank, 1 thread`: what one of the ranks would do alone;
//! - `2 ranks, threads`: `devices = ["cpu:0", "cpu:1"]`, one thread of libtorch each;
//! - `2 ranks, processes`: as torchrun starts them.

#[path = "support/trainer.rs"]
mod trainer;

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use frostline::core::recipe::Recipe;
use frostline::engine::Engine;
use frostline::engine::seat::Seat;
use frostline::engine::torch::TorchEngine;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STEPS: u64 = 24;
const SAMPLES: usize = 256;
const SIDE: usize = 64;
const CLASSES: usize = 10;

/// Name, `train.devices`, `train.threads`, processes.
const CASES: [(&str, &str, usize, usize); 4] = [
    ("one rank, 2 threads", "['cpu']", 2, 1),
    ("one rank, 1 thread", "['cpu']", 1, 1),
    ("2 ranks, threads", "['cpu:0', 'cpu:1']", 1, 1),
    ("2 ranks, processes", "['cpu']", 1, 2),
];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, devices, threads] = args.as_slice()
        && flag == "--take-part"
    {
        return take_part(std::path::Path::new(folder), devices, threads);
    }
    let rounds = args.first().map_or(Ok(5), |n| n.parse::<usize>())?;
    let folder = tempfile::tempdir()?;
    let x: Vec<f32> = (0..SAMPLES * 3 * SIDE * SIDE).map(|i| ((i as f32) * 0.37).sin()).collect();
    let y: Vec<i64> = (0..SAMPLES).map(|i| (i * 7 % CLASSES) as i64).collect();
    trainer::write_data(folder.path(), &x, &[3, SIDE, SIDE], &y)?;
    let mut times = CASES.map(|_| Vec::new());
    for _ in 0..rounds {
        for (case, times) in CASES.iter().zip(&mut times) {
            times.push(seconds_a_step(case, folder.path())?);
        }
    }
    println!("{rounds} rounds");
    let base = times[0].clone();
    for ((name, ..), times) in CASES.iter().zip(times) {
        let ratio = median(base.iter().zip(&times).map(|(base, time)| base / time).collect());
        println!("  {name:<20} {:>7.1} ms a step, {ratio:.3} of the speed", median(times) * 1e3);
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Starts a case's processes; rank 0 says how long a step took.
fn seconds_a_step(
    (_, devices, threads, processes): &(&str, &str, usize, usize),
    folder: &std::path::Path,
) -> Result<f64> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let start = |rank: usize| -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--take-part").arg(folder).args([devices, threads.to_string().as_str()]);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        for (name, value) in
            [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", *processes), ("LOCAL_WORLD_SIZE", *processes)]
        {
            command.env(name, value.to_string());
        }
        Ok(command.stdout(Stdio::piped()).spawn()?)
    };
    let all = (0..*processes).map(start).collect::<Result<Vec<_>>>()?;
    let mut said = Vec::new();
    for child in all {
        let out = child.wait_with_output()?;
        if !out.status.success() {
            return Err("a process failed".into());
        }
        said.push(String::from_utf8(out.stdout)?);
    }
    Ok(said.first().ok_or("no rank 0")?.trim().parse()?)
}

/// The body of a process.
fn take_part(folder: &std::path::Path, devices: &str, threads: &str) -> Result<()> {
    let mut engine: Arc<dyn Engine> = Arc::new(TorchEngine);
    if let Some(seat) = Seat::of_process()? {
        if seat.rank > 0 {
            return Ok(engine.follow(&seat)?);
        }
        engine = engine.lead(&seat)?;
    }
    let text = format!(
        "model = {{ arch = 'resnet18' }}\n\
         data = {{ source = 'tensors', path = 'data.safetensors', val_fraction = 0.0 }}\n\
         train = {{ steps = {STEPS}, batch_size = 32, devices = {devices}, threads = {threads}, \
         validate_every_epochs = 1000000 }}\n\
         checkpoint = {{ every_epochs = 1000000 }}\n"
    );
    let recipe = Recipe::parse(&text, "bench.toml", folder, &[])?;
    println!("{}", trainer::seconds_a_step(engine, &recipe, folder)?);
    Ok(())
}
