//! What freezing saves: ResNet-18, batch 16 at 224x224 on the CPU. A step of full training beside one of layer4+fc and one of fc alone,
//! in one process and in turn, so that a busy machine slows all three alike; then the peak memory of each, in a process of its own.
//!
//!     cargo run --release --example freeze_speed [ROUNDS]

use std::error::Error;
use std::time::Instant;

use frostline::core::freeze::Plan;
use frostline::core::recipe::{OnNan, OptimizerKind, Recipe};
use frostline::engine::{Batch, Engine, InputSpec, Learner, StepInput, Targets, default_engine};

const BATCH: usize = 16;
const SIDE: usize = 224;

/// Name, rules, largest part of a full step that it may take.
const CASES: [(&str, &[&str], f64); 3] = [
    ("full", &[], 1.0),
    ("layer4+fc", &["freeze **", "train layer4", "train fc"], 0.55),
    ("fc", &["freeze **", "train fc"], 0.45),
];

fn main() -> Result<(), Box<dyn Error>> {
    let engine = default_engine()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case] = arguments.as_slice()
        && flag == "--memory"
    {
        return memory(&*engine, case);
    }
    let rounds = arguments.first().map_or(Ok(7), |n| n.parse())?;
    println!("ResNet-18, batch {BATCH}, {SIDE}x{SIDE}, {rounds} rounds, {}", engine.name());

    let batch = batch();
    let mut learners = Vec::new();
    for (_, rules, _) in CASES {
        let mut learner = prepare(&*engine, rules)?;
        step(&mut *learner, 0, &batch)?; // the first step makes the optimizer's state
        learners.push(learner);
    }
    let mut seconds = vec![Vec::new(); CASES.len()];
    for round in 0..rounds {
        for (learner, seconds) in learners.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            step(&mut **learner, round + 1, &batch)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    drop(learners);

    let medians: Vec<f64> = seconds.into_iter().map(median).collect();
    let full = medians.first().copied().unwrap_or(f64::NAN);
    let mut slow = Vec::new();
    println!("{:<10} {:>9} {:>7} {:>7} {:>12}", "learns", "step", "ratio", "target", "peak memory");
    for ((name, _, target), seconds) in CASES.iter().zip(&medians) {
        let ratio = seconds / full;
        println!("{name:<10} {:>6.0} ms {ratio:>7.3} {target:>7.2} {:>12}", seconds * 1e3, peak_of_child(name)?);
        if ratio > *target {
            slow.push(*name);
        }
    }
    if slow.is_empty() { Ok(()) } else { Err(format!("above the target: {}", slow.join(", ")).into()) }
}

fn prepare(engine: &dyn Engine, rules: &[&str]) -> Result<Box<dyn Learner>, Box<dyn Error>> {
    let mut recipe = Recipe::default();
    "resnet18".clone_into(&mut recipe.model.arch);
    recipe.optimizer.kind = OptimizerKind::Sgd;
    recipe.optimizer.momentum = 0.9;
    let input = InputSpec { sample_shape: vec![3, SIDE, SIDE], outputs: 10 };
    let mut learner = engine.learner(&recipe, &input, "cpu")?;
    let resolution = Plan::parse(rules)?.resolve(learner.tree())?;
    learner.apply_freeze(&resolution)?;
    Ok(learner)
}

fn batch() -> Batch {
    Batch {
        x: (0..BATCH * 3 * SIDE * SIDE).map(|i| (i * 31 % 257) as f32 / 128.0 - 1.0).collect(),
        x_shape: vec![BATCH, 3, SIDE, SIDE],
        y: Targets::Classes((0..BATCH as i64).map(|i| i % 10).collect()),
        indices: (0..BATCH as u64).collect(),
    }
}

fn step(learner: &mut dyn Learner, step: u64, batch: &Batch) -> Result<(), Box<dyn Error>> {
    let micro = std::slice::from_ref(batch);
    learner.step(&StepInput { step, seed: 0, micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop })?;
    learner.drain(true)?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs three steps of one case and prints the process's peak memory (Linux's `VmHWM`).
fn memory(engine: &dyn Engine, case: &str) -> Result<(), Box<dyn Error>> {
    let (_, rules, _) = CASES.iter().find(|(name, ..)| *name == case).ok_or("no such case")?;
    let mut learner = prepare(engine, rules)?;
    let batch = batch();
    for n in 0..3 {
        step(&mut *learner, n, &batch)?;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    println!("{peak}");
    Ok(())
}

fn peak_of_child(case: &str) -> Result<String, Box<dyn Error>> {
    let output = std::process::Command::new(std::env::current_exe()?).args(["--memory", case]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let kibibytes = text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
    Ok(kibibytes.map_or(text.clone(), |k| format!("{:.0} MiB", k / 1024.0)))
}
