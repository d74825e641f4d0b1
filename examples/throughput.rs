//! Images a second of one device, for `scripts/gpu_checks.py`, which runs it in turns with the same loop in Python's PyTorch.
//!
//!     cargo run --release --example throughput -- DEVICE ARCH SIDE BATCH STEPS PRECISION [channels_last]
//!
//! A step is the learner's: the batch goes from host memory to the device, then forward, backward, gradient norm, check for values that are
//! not finite, fused SGD with momentum. Of as many steps again as a quarter of STEPS, three to ten, nothing
//! is counted: they warm up. Prints a number.

use std::error::Error;
use std::time::Instant;

use frostline::core::recipe::{AUTO_BATCH, OnNan, OptimizerKind, Recipe};
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, InputSpec, StepInput, Targets};

const CLASSES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [device, arch, side, batch, steps, precision, layout @ ..] = args.as_slice() else {
        return Err("usage: throughput DEVICE ARCH SIDE BATCH STEPS PRECISION [channels_last]".into());
    };
    let (side, batch, steps): (usize, usize, u64) = (side.parse()?, batch.parse()?, steps.parse()?);
    let mut recipe = Recipe::default().with_sets(&[
        format!("model.arch={arch}"),
        format!("train.precision={precision}"),
        format!("train.channels_last={}", layout.first().is_some_and(|l| l == "channels_last")),
        "train.cudnn_benchmark=true".to_owned(),
    ])?;
    assert_ne!(batch, AUTO_BATCH, "a number");
    recipe.optimizer.kind = OptimizerKind::Sgd;
    recipe.optimizer.momentum = 0.9;
    let input = InputSpec { sample_shape: vec![3, side, side], outputs: CLASSES };
    let device = TorchEngine.resolve_devices(std::slice::from_ref(device))?.remove(0);
    let mut learner = TorchEngine.learner(&recipe, &input, &device)?;
    let x: Vec<f32> = (0..batch * 3 * side * side)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0)
        .collect();
    let y = Targets::Classes((0..batch).map(|i| (i * 37 % CLASSES) as i64).collect());
    let micro = [Batch { x, x_shape: vec![batch, 3, side, side], y, indices: (0..batch as u64).collect() }];
    let warm = (steps / 4).clamp(3, 10);
    let mut start = Instant::now();
    for step in 0..warm + steps {
        if step == warm {
            learner.drain(true)?;
            start = Instant::now();
        }
        let micro = &micro;
        learner.step(&StepInput { step, seed: 0, micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Skip })?;
        learner.drain(false)?;
    }
    learner.drain(true)?;
    println!("{:.3}", (batch as u64 * steps) as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
