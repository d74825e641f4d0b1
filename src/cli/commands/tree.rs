//! `frostline tree`: the layer tree with counts, shapes and what learns.

use serde::Serialize;

use crate::app::format::count;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::model::{Subject, subject};
use crate::cli::output::{Listing, plural, shape};
use crate::core::freeze::{ParamState, Plan, Resolution};
use crate::core::tree::{Learning, Totals, Tree, glob_covers};

/// Arguments of `frostline tree`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A zoo name (resnet18), a recipe, a checkpoint (RUN@120) or a .safetensors file
    #[arg(value_name = "MODEL|RECIPE|CKPT|FILE")]
    pub what: String,
    /// Try a freeze rule after those that are there (repeatable): "freeze layer1", "train fc", "no_grad conv1"
    #[arg(long, value_name = "RULE")]
    pub freeze: Vec<String>,
    /// Fold everything below this depth
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Only modules and parameters that match
    #[arg(long, value_name = "GLOB")]
    pub filter: Option<String>,
    /// Show each parameter
    #[arg(short, long)]
    pub params: bool,
    /// Shape of one sample for a zoo name, as 3,224,224
    #[arg(long, value_name = "SHAPE", value_delimiter = ',')]
    pub input: Option<Vec<usize>>,
    /// Outputs of a zoo name's head
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub classes: usize,
    /// Set a recipe's key (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Print one JSON document: modules, parameters, buffers
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    modules: Vec<ModuleEntry<'a>>,
    parameters: Vec<ParameterEntry<'a>>,
    buffers: Vec<BufferEntry<'a>>,
}

#[derive(Serialize)]
struct ModuleEntry<'a> {
    path: &'a str,
    kind: &'a str,
    detail: &'a str,
    params: u64,
    trainable: u64,
    output_shape: &'a Option<Vec<i64>>,
    flops: Option<u64>,
}

#[derive(Serialize)]
struct ParameterEntry<'a> {
    name: &'a str,
    shape: &'a [usize],
    dtype: &'static str,
    state: ParamState,
    reason: &'a str,
}

#[derive(Serialize)]
struct BufferEntry<'a> {
    name: &'a str,
    shape: &'a [usize],
    dtype: &'static str,
}

/// Prints the tree.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let Subject { tree, mut rules } = subject(&args.what, &args.sets, args.input.as_deref(), args.classes, cx)?;
    rules.extend(args.freeze.iter().cloned());
    let resolution = Plan::parse(&rules)?.resolve(&tree)?;
    let states = resolution.states();
    let totals = tree.all_totals(&states);
    let view = View { tree: &tree, resolution: &resolution, totals: &totals, args };
    if args.json {
        return cx.print_json(&view.document()).map(|()| Done::Ok);
    }
    view.print(cx)?;
    let counts = resolution.counts();
    let all = totals.first().copied().unwrap_or_default();
    cx.io.say(&format!(
        "{} ({} values): {} learn ({}), {} frozen, {} under no_grad; {}",
        plural(all.tensors, "parameter tensor"),
        count(all.params),
        counts.trainable,
        count(all.trainable),
        counts.frozen,
        counts.no_grad,
        plural(tree.buffers.len(), "buffer"),
    ));
    if counts.trainable == 0 {
        cx.io.say("nothing would learn: a run with this plan is refused");
    }
    Ok(Done::Ok)
}

struct View<'a> {
    tree: &'a Tree,
    resolution: &'a Resolution,
    totals: &'a [Totals],
    args: &'a Args,
}

impl<'a> View<'a> {
    fn passes(&self, name: &str) -> bool {
        self.args.filter.as_deref().is_none_or(|glob| glob_covers(glob, name))
    }

    fn document(&self) -> Document<'a> {
        let modules = self.tree.modules.iter().zip(self.totals).filter(|(m, _)| self.passes(&m.path));
        let parameters = self.tree.parameters.iter().zip(&self.resolution.params).filter(|(p, _)| self.passes(&p.name));
        Document {
            modules: modules
                .map(|(m, t)| ModuleEntry {
                    path: &m.path,
                    kind: &m.kind,
                    detail: &m.detail,
                    params: t.params,
                    trainable: t.trainable,
                    output_shape: &m.output_shape,
                    flops: m.flops,
                })
                .collect(),
            parameters: parameters
                .map(|(p, r)| ParameterEntry {
                    name: &p.name,
                    shape: &p.shape,
                    dtype: p.dtype.name(),
                    state: r.state,
                    reason: &r.reason,
                })
                .collect(),
            buffers: self
                .tree
                .buffers
                .iter()
                .filter(|b| self.passes(&b.name))
                .map(|b| BufferEntry { name: &b.name, shape: &b.shape, dtype: b.dtype.name() })
                .collect(),
        }
    }

    fn print(&self, cx: &mut Context<'_>) -> Result<(), CliError> {
        let headers = ["module", "kind", ">output", ">params", ">learn", "state"];
        let mut listing = Listing::new(cx.io, &headers, "nothing matches the filter");
        for (i, module) in self.tree.modules.iter().enumerate() {
            let depth = self.tree.depth(i);
            if self.args.depth.is_some_and(|d| depth > d) {
                continue;
            }
            let own = self.tree.own_parameters(i);
            let shown: Vec<usize> =
                own.into_iter().filter(|p| self.args.params && self.passes(&self.tree.parameters[*p].name)).collect();
            if !self.passes(&module.path) && shown.is_empty() {
                continue;
            }
            let totals = self.totals[i];
            let name = if module.path.is_empty() { "(model)" } else { module.name() };
            listing.row([
                format!("{}{name}", "  ".repeat(depth)),
                format!("{} {}", module.kind, module.detail).trim_end().to_owned(),
                module.output_shape.as_deref().map_or_else(String::new, output_shape),
                if totals.params > 0 { count(totals.params) } else { String::new() },
                if totals.trainable > 0 { count(totals.trainable) } else { String::new() },
                self.state_of(i).to_owned(),
            ]);
            for p in shown {
                let parameter = &self.tree.parameters[p];
                let resolved = &self.resolution.params[p];
                let leaf = parameter.name.rsplit('.').next().unwrap_or(&parameter.name);
                listing.row([
                    format!("{}{leaf}", "  ".repeat(depth + 1)),
                    format!("{} {}", parameter.dtype, shape(&parameter.shape)),
                    String::new(),
                    count(parameter.count() as u64),
                    String::new(),
                    format!("{} ({})", resolved.state, resolved.reason),
                ]);
            }
        }
        listing.print(cx.io)
    }

    fn state_of(&self, module: usize) -> &'static str {
        let under_no_grad = self.resolution.no_grad_modules.iter().any(|m| self.tree.is_within(module, *m));
        match self.totals[module].learning() {
            _ if under_no_grad => "no_grad",
            Learning::Trainable => "trainable",
            Learning::Frozen => "frozen",
            Learning::Mixed => "mixed",
            Learning::None => "",
        }
    }
}

/// `-x64x112x112`: the batch is a dash.
fn output_shape(sizes: &[i64]) -> String {
    sizes.iter().map(|n| if *n < 0 { "-".to_owned() } else { n.to_string() }).collect::<Vec<_>>().join("x")
}
