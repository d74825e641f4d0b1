//! A frozen block in the middle keeps its bits, and both its neighbours learn: gradients flow through what is frozen.
//!
//!     cargo run --example frozen_middle

use std::error::Error;
use std::path::Path;

use frostline::core::freeze::Plan;
use frostline::core::recipe::{OnNan, Recipe};
use frostline::engine::data::EpochPlan;
use frostline::engine::train::{self, Position};
use frostline::engine::{Engine, StepInput, default_engine};

const RECIPE: &str = r#"
[model]
arch = "resnet8"
width = 4
[freeze]
rules = ["freeze layer2"]
[train]
batch_size = 32
devices = ["cpu"]
"#;

const STEPS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    show(&*default_engine()?)
}

/// Trains a few steps on the embedded digits and prints what moved; an error if it is not what the rules say.
pub fn show(engine: &dyn Engine) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe::parse(RECIPE, "frozen_middle", Path::new("."), &[])?;
    let mut built = train::model(engine, &recipe)?;
    built.put(Plan::parse(&recipe.freeze.rules)?, &Position::default())?;

    let before = built.learner.snapshot()?.weights;
    let epoch = EpochPlan { seed: 0, epoch: 0, batch_size: 32, shuffle: true, drop_last: true, start_batch: 0 };
    for (step, batch) in built.data.train(epoch).take(STEPS).enumerate() {
        let micro = [batch?];
        built.learner.step(&StepInput {
            step: step as u64,
            seed: 0,
            micro: &micro,
            lr_scale: 1.0,
            clip_grad_norm: None,
            on_nan: OnNan::Stop,
        })?;
    }
    let after = built.learner.snapshot()?.weights;

    println!("{:<8} {:>7}  after {STEPS} steps with `{}`", "block", "tensors", recipe.freeze.rules.join("`, `"));
    for block in ["conv1", "bn1", "layer1", "layer2", "layer3", "fc"] {
        // Parameters and the statistics of batch norms alike.
        let inside = |name: &str| name.strip_prefix(block).is_some_and(|rest| rest.starts_with('.'));
        let pairs: Vec<_> = before.iter().zip(&after).filter(|(t, _)| inside(&t.name)).collect();
        let moved = pairs.iter().filter(|(before, after)| before != after).count();
        let wanted = if block == "layer2" { 0 } else { pairs.len() };
        println!("{block:<8} {:>7}  {}", pairs.len(), if moved == 0 { "bit-equal" } else { "moved" });
        if moved != wanted {
            return Err(format!("{block}: {moved} of {} tensors moved, {wanted} should have", pairs.len()).into());
        }
    }
    Ok(())
}
