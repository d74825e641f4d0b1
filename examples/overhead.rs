//! Steps per second of Frostline's trainer beside the loop that one would write with tch, in one process.
//!
//! `cargo run --release --example overhead [-- ROUNDS]`. Three loops take turns, so that a machine whose speed drifts
//! slows them alike; medians are printed:
//!
//! - `trainer`: a run through `Session`, with everything it does: loader, metrics file, events, gradient norm, NaN check;
//! - `tch loop`: tch's own model, AdamW and `backward_step`, on tensors that lie ready, reading the loss at each step;
//! - `bare fused`: our model and fused optimizer without the trainer, which shows what the trainer itself costs.

#[path = "support/trainer.rs"]
mod trainer;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use frostline::core::recipe::Recipe;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, InputSpec, StepInput, Targets};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Tensor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Case {
    name: &'static str,
    recipe: &'static str,
    shape: [usize; 3],
    classes: usize,
    batch: usize,
    steps: u64,
    model: fn(&nn::Path, i64) -> Box<dyn ModuleT>,
}

const CASES: [Case; 2] = [
    Case {
        name: "MLP 64-64-10, batch 32",
        recipe: "model = { arch = \"mlp\", hidden = [64] }",
        shape: [1, 8, 8],
        classes: 10,
        batch: 32,
        steps: 4000,
        model: |p, classes| {
            Box::new(
                nn::seq_t()
                    .add_fn(|x| x.flatten(1, -1))
                    .add(nn::linear(p / "fc1", 64, 64, Default::default()))
                    .add_fn(|x| x.relu())
                    .add(nn::linear(p / "fc2", 64, classes, Default::default())),
            )
        },
    },
    Case {
        name: "ResNet-18, 64x64, batch 32",
        recipe: "model = { arch = \"resnet18\" }",
        shape: [3, 64, 64],
        classes: 10,
        batch: 32,
        steps: 24,
        model: |p, classes| Box::new(tch::vision::resnet::resnet18(p, classes)),
    },
];

/// Batches of one epoch.
const REPEAT: usize = 8;

fn samples(case: &Case) -> (Vec<f32>, Vec<i64>) {
    let n = case.batch * REPEAT;
    let x = (0..n * case.shape.iter().product::<usize>()).map(|i| ((i as f32) * 0.37).sin()).collect();
    let y = (0..n).map(|i| (i * 7 % case.classes) as i64).collect();
    (x, y)
}

fn main() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |n| n.parse::<usize>())?;
    println!("{} threads, {rounds} rounds, medians", tch::get_num_threads());
    for case in &CASES {
        let folder = tempfile::tempdir()?;
        let recipe = write_recipe(case, folder.path())?;
        let (mut trainer, mut bare, mut fused) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            trainer.push(trainer::seconds_a_step(Arc::new(TorchEngine), &recipe, folder.path())?);
            bare.push(on_a_thread(|| run_bare(case))?);
            fused.push(on_a_thread(|| run_fused(case, &recipe))?);
        }
        let ratio = |other: &[f64]| median(trainer.iter().zip(other).map(|(t, o)| o / t).collect());
        let (to_bare, to_fused) = (ratio(&bare), ratio(&fused));
        let (t, b, f) = (median(trainer.clone()), median(bare), median(fused));
        println!("\n{}", case.name);
        println!("  trainer     {:>9.1} us a step {:>9.1} steps/s", t * 1e6, 1.0 / t);
        println!("  tch loop    {:>9.1} us a step {:>9.1} steps/s", b * 1e6, 1.0 / b);
        println!("  bare fused  {:>9.1} us a step {:>9.1} steps/s", f * 1e6, 1.0 / f);
        println!("  trainer's speed over the tch loop's {to_bare:.3}, over bare fused {to_fused:.3}");
        println!(
            "  a trainer's step takes {:+.1} us beside the tch loop, {:+.1} us beside bare fused",
            (t - b) * 1e6,
            (t - f) * 1e6
        );
    }
    Ok(())
}

/// Each loop on a thread of its own that ends with it, as the trainer's does: OpenMP keeps workers for each thread that ever
/// computed, and where there are more than cores it puts them to sleep between any two operators.
fn on_a_thread(run: impl FnOnce() -> Result<f64> + Send) -> Result<f64> {
    std::thread::scope(|s| match s.spawn(|| run().map_err(|e| e.to_string())).join() {
        Ok(result) => Ok(result?),
        Err(_) => Err("the loop panicked".into()),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn write_recipe(case: &Case, folder: &std::path::Path) -> Result<Recipe> {
    let (x, y) = samples(case);
    trainer::write_data(folder, &x, &case.shape, &y)?;
    let text = format!(
        "{}\n[data]\nsource = \"tensors\"\npath = \"data.safetensors\"\nval_fraction = 0.0\n\
         [train]\nsteps = {}\nbatch_size = {}\ndevices = [\"cpu\"]\nvalidate_every_epochs = 1000000\n\
         [checkpoint]\nevery_epochs = 1000000\n",
        case.recipe, case.steps, case.batch
    );
    Ok(Recipe::parse(&text, "overhead.toml", folder, &[])?)
}

fn run_bare(case: &Case) -> Result<f64> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = (case.model)(&vs.root(), case.classes as i64);
    let mut optimizer = nn::AdamW::default().build(&vs, 1e-3)?;
    let (x, y) = samples(case);
    let shape: Vec<i64> = [&[y.len()][..], &case.shape[..]].concat().into_iter().map(|n| n as i64).collect();
    let (x, y) = (Tensor::from_slice(&x).view(shape.as_slice()), Tensor::from_slice(&y));
    let batch = case.batch as i64;
    timed(case.steps, |step| {
        let at = (step as usize % REPEAT) as i64 * batch;
        let (x, y) = (x.narrow(0, at, batch), y.narrow(0, at, batch));
        let loss = model.forward_t(&x, true).cross_entropy_for_logits(&y);
        optimizer.backward_step(&loss);
        let _ = loss.double_value(&[]);
        Ok(())
    })
}

fn run_fused(case: &Case, recipe: &Recipe) -> Result<f64> {
    let input = InputSpec { sample_shape: case.shape.to_vec(), outputs: case.classes };
    let mut learner = TorchEngine.learner(recipe, &input, "cpu")?;
    let (x, y) = samples(case);
    let per_batch = case.batch * case.shape.iter().product::<usize>();
    let batches: Vec<Batch> = (0..REPEAT)
        .map(|i| Batch {
            x: x[i * per_batch..(i + 1) * per_batch].to_vec(),
            x_shape: [&[case.batch][..], &case.shape[..]].concat(),
            y: Targets::Classes(y[i * case.batch..(i + 1) * case.batch].to_vec()),
            indices: (0..case.batch as u64).collect(),
        })
        .collect();
    timed(case.steps, |step| {
        let micro = std::slice::from_ref(&batches[step as usize % REPEAT]);
        let input = StepInput { step, seed: 0, micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: Default::default() };
        learner.step(&input)?;
        learner.drain(false)?;
        Ok(())
    })
}

/// Seconds a step, after a few steps of warm-up.
fn timed(steps: u64, mut step: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    for i in 0..steps / 8 {
        step(i)?;
    }
    let start = Instant::now();
    for i in 0..steps {
        step(i)?;
    }
    Ok(start.elapsed().as_secs_f64() / steps as f64)
}
