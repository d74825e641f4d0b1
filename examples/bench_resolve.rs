//! How long a key press in the layer tree of a 100,000-tensor model takes to resolve. Prints; asserts nothing.
//!
//!     cargo run --release --no-default-features --example bench_resolve

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostline::core::freeze::{FreezeError, Plan, Resolver};
use frostline::core::tensor::DType;
use frostline::core::tree::Tree;

const LAYERS: usize = 12_500;
const ROUNDS: usize = 51;

fn main() -> Result<(), FreezeError> {
    let tree = Arc::new(tree());
    println!("{} parameter tensors in {} modules", tree.parameters.len(), tree.modules.len());

    let rules = [
        "freeze **",
        "train blocks.12*.**",
        "train preset:head",
        "freeze **.bias",
        "no_grad before:blocks.40",
        "freeze kind:*Norm",
    ];
    for (what, rules) in [("one rule", &rules[..1]), ("six rules, three of them globs", &rules[..])] {
        println!("{what}:");
        let mut plan = Plan::parse(rules)?;
        report("  Plan::resolve, nothing remembered", || plan.resolve(&tree).map(|r| r.params.len()))?;
        let mut resolver = Resolver::new(tree.clone());
        resolver.resolve(&plan)?;
        let mut i = 0;
        report("  Resolver, toggling one parameter after another", || {
            i += 997;
            let p = i % tree.parameters.len();
            plan.toggle_param(&tree.parameters[p].name, frostline::core::freeze::ParamState::Trainable);
            resolver.resolve(&plan).map(|r| r.params.len())
        })?;
        let mut i = 0;
        report("  Resolver, toggling one module after another", || {
            i += 997;
            let m = 1 + i % (tree.modules.len() - 1);
            plan.set_module(&tree.modules[m].path, frostline::core::freeze::Action::Train);
            resolver.resolve(&plan).map(|r| r.params.len())
        })?;
    }
    Ok(())
}

fn report(what: &str, mut run: impl FnMut() -> Result<usize, FreezeError>) -> Result<(), FreezeError> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(run()?);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!(
        "{what}: least {:.2} ms, median {:.2} ms, worst {:.2} ms",
        ms(times[0]),
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS - 1])
    );
    Ok(())
}

fn tree() -> Tree {
    let leaves = [
        "attn.qkv.weight",
        "attn.qkv.bias",
        "attn.proj.weight",
        "attn.proj.bias",
        "norm.weight",
        "norm.bias",
        "mlp.weight",
        "mlp.bias",
    ];
    let names: Vec<String> =
        (0..LAYERS).flat_map(|layer| leaves.iter().map(move |leaf| format!("blocks.{layer}.{leaf}"))).collect();
    let mut tree = Tree::from_tensors(names.iter().map(|n| (n.as_str(), &[8usize, 8][..], DType::Float32)));
    for module in &mut tree.modules {
        module.kind = if module.path.ends_with("norm") { "LayerNorm" } else { "Linear" }.into();
    }
    tree
}
