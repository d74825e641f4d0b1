//! A block under `no_grad` also stops what is before it, unless another path leads around it.
//!
//! First a whole residual block of the middle, shortcut and all: nothing before it learns. Then only the last layer of its
//! main path: what is before it on that path starves, but the gradient takes the shortcut, and everything before the block
//! learns.
//!
//!     cargo run --example no_grad_middle

use std::error::Error;
use std::path::Path;

use frostline::core::freeze::{ParamState, Plan};
use frostline::core::recipe::{OnNan, Recipe};
use frostline::engine::data::EpochPlan;
use frostline::engine::train::{self, Position};
use frostline::engine::{Engine, StepInput, default_engine};

const RECIPE: &str = r#"
[model]
arch = "resnet8"
width = 4
[train]
batch_size = 32
devices = ["cpu"]
"#;

const STEPS: usize = 5;

/// Parts of the model in forward order.
const PARTS: [&str; 10] = [
    "conv1",
    "bn1",
    "layer1",
    "layer2.0.conv1",
    "layer2.0.bn1",
    "layer2.0.conv2",
    "layer2.0.bn2",
    "layer2.0.downsample",
    "layer3",
    "fc",
];

fn main() -> Result<(), Box<dyn Error>> {
    show(&*default_engine()?)
}

/// Both cases, printed; an error if one is not as told above.
pub fn show(engine: &dyn Engine) -> Result<(), Box<dyn Error>> {
    case(engine, "no_grad layer2", &["layer3", "fc"])?;
    println!();
    case(engine, "no_grad layer2.0.bn2", &["conv1", "bn1", "layer1", "layer2.0.downsample", "layer3", "fc"])
}

/// Trains a few steps under one rule. `learns` are the parts that must move; all others must keep their bits.
fn case(engine: &dyn Engine, rule: &str, learns: &[&str]) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe::parse(RECIPE, "no_grad_middle", Path::new("."), &[])?;
    let mut built = train::model(engine, &recipe)?;
    // This also finds out what no gradient reaches: it is then treated as frozen, batch norms included.
    built.put(Plan::parse(&[rule])?, &Position::default())?;
    let epoch = EpochPlan { seed: 0, epoch: 0, batch_size: 32, shuffle: true, drop_last: true, start_batch: 0 };
    let before = built.learner.snapshot()?.weights;
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

    println!("{:<20} {:<10}  after {STEPS} steps with `{rule}`", "part", "state");
    for part in PARTS {
        let inside = |name: &str| name.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'));
        let pairs: Vec<_> = before.iter().zip(&after).filter(|(t, _)| inside(&t.name)).collect();
        let moved = pairs.iter().filter(|(before, after)| before != after).count();
        let parameter = built.learner.tree().parameters.iter().position(|p| inside(&p.name));
        let state = parameter.and_then(|i| built.resolution.state(i)).unwrap_or(ParamState::Trainable);
        println!("{part:<20} {:<10}  {}", state.name(), if moved == 0 { "bit-equal" } else { "moved" });
        let wanted = if learns.contains(&part) { pairs.len() } else { 0 };
        if moved != wanted {
            return Err(format!("{part}: {moved} of {} tensors moved, {wanted} should have", pairs.len()).into());
        }
    }
    Ok(())
}
