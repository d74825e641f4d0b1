//! `frostline tree`: the layer tree with counts, shapes and what learns.

use serde::Serialize;

use crate::app::format::{bytes, count};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::model::{Subject, subject};
use crate::cli::output::{Listing, plural, shape};
use crate::core::freeze::{ParamState, Plan, Resolution};
use crate::core::tree::{Learning, Totals, Tree, glob_covers};

/// Arguments of `frostline tree`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A zoo name (resnet18), a recipe, a checkpoint (RUN@120), a TorchScript or a weights file
    #[arg(value_name = "MODEL|RECIPE|CKPT|FILE")]
    pub what: String,
    /// Try a freeze rule after those that are there (repeatable): "freeze layer1", "train fc", "no_grad conv1"
    #[arg(long, value_name = "RULE")]
    pub freeze: Vec<String>,
    /// Fold everything below this depth
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Only modules and parameters that match, under their whole names: layer4, '**.bias'
    #[arg(long, value_name = "GLOB")]
    pub filter: Option<String>,
    /// Show each parameter
    #[arg(short, long)]
    pub params: bool,
    /// Shape of one sample for a zoo name or a TorchScript file, as 3,224,224
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
    state: Option<&'static str>,
    tensors: usize,
    params: u64,
    trainable: u64,
    bytes: u64,
    buffers: usize,
    buffer_bytes: u64,
    output_shape: &'a Option<Vec<i64>>,
    flops: Option<u64>,
}

#[derive(Serialize)]
struct ParameterEntry<'a> {
    name: &'a str,
    shape: &'a [usize],
    dtype: &'static str,
    count: usize,
    bytes: usize,
    state: ParamState,
    reason: &'a str,
}

#[derive(Serialize)]
struct BufferEntry<'a> {
    name: &'a str,
    shape: &'a [usize],
    dtype: &'static str,
    bytes: usize,
}

/// Prints the tree.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let Subject { tree, mut rules } = subject(&args.what, &args.sets, args.input.as_deref(), args.classes, cx)?;
    rules.extend(args.freeze.iter().cloned());
    let resolution = Plan::parse(&rules)?.resolve(&tree)?;
    let states = resolution.states();
    let totals = tree.all_totals(&states);
    let no_grad = resolution.no_grad_mask(&tree);
    let view = View { tree: &tree, resolution: &resolution, totals: &totals, no_grad: &no_grad, args };
    if args.json {
        return cx.print_json(&view.document()).map(|()| Done::Ok);
    }
    view.print(cx)?;
    let counts = resolution.counts();
    let all = totals.first().copied().unwrap_or_default();
    cx.io.say(&format!(
        "{} ({} values, {}): {} learn ({}), {} frozen, {} under no_grad; {}",
        plural(all.tensors, "parameter tensor"),
        count(all.params),
        bytes(all.bytes),
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
    no_grad: &'a [bool],
    args: &'a Args,
}

impl<'a> View<'a> {
    fn passes(&self, name: &str) -> bool {
        self.args.filter.as_deref().is_none_or(|glob| glob_covers(glob, name))
    }

    /// Whether a module lies above the fold.
    fn unfolded(&self, module: usize) -> bool {
        self.args.depth.is_none_or(|depth| self.tree.depth(module) <= depth)
    }

    fn document(&self) -> Document<'a> {
        let shown = |module: usize, name: &str| self.passes(name) && self.unfolded(module);
        let modules = self.tree.modules.iter().zip(self.totals).enumerate().filter(|(i, (m, _))| shown(*i, &m.path));
        let parameters = self.tree.parameters.iter().zip(&self.resolution.params);
        let buffers = self.tree.buffers.iter().filter(|b| shown(b.module, &b.name));
        Document {
            modules: modules
                .map(|(i, (m, t))| ModuleEntry {
                    path: &m.path,
                    kind: &m.kind,
                    detail: &m.detail,
                    state: self.state_of(i),
                    tensors: t.tensors,
                    params: t.params,
                    trainable: t.trainable,
                    bytes: t.bytes,
                    buffers: t.buffers,
                    buffer_bytes: t.buffer_bytes,
                    output_shape: &m.output_shape,
                    flops: m.flops,
                })
                .collect(),
            parameters: parameters
                .filter(|(p, _)| shown(p.module, &p.name))
                .map(|(p, r)| ParameterEntry {
                    name: &p.name,
                    shape: &p.shape,
                    dtype: p.dtype.name(),
                    count: p.count(),
                    bytes: p.bytes(),
                    state: r.state,
                    reason: &r.reason,
                })
                .collect(),
            buffers: buffers
                .map(|b| BufferEntry { name: &b.name, shape: &b.shape, dtype: b.dtype.name(), bytes: b.bytes() })
                .collect(),
        }
    }

    fn print(&self, cx: &mut Context<'_>) -> Result<(), CliError> {
        let headers = ["module", "kind", ">output", ">flops", ">params", ">bytes", ">learn", "state"];
        let mut listing = Listing::new(cx.io, &headers, "nothing matches the filter");
        let mut own: Vec<Vec<usize>> = vec![Vec::new(); self.tree.modules.len()];
        for (p, parameter) in self.tree.parameters.iter().enumerate() {
            own[parameter.module].push(p);
        }
        for (i, own) in own.iter().enumerate().filter(|(i, _)| self.unfolded(*i)) {
            let passes = self.passes(&self.tree.modules[i].path);
            if passes {
                listing.row(self.module_row(i));
            }
            // Without --params only those that a filter names by themselves.
            for &p in
                own.iter().filter(|p| (self.args.params || !passes) && self.passes(&self.tree.parameters[**p].name))
            {
                listing.row(self.parameter_row(p));
            }
        }
        listing.print(cx.io)
    }

    /// A name in its place of the tree; the whole name where a filter took the tree apart.
    fn label(&self, depth: usize, whole: &str) -> String {
        match whole.rsplit('.').next() {
            _ if self.args.filter.is_some() => whole.to_owned(),
            last => format!("{}{}", "  ".repeat(depth), last.unwrap_or(whole)),
        }
    }

    fn module_row(&self, i: usize) -> [String; 8] {
        let (module, totals) = (&self.tree.modules[i], self.totals[i]);
        let path = if module.path.is_empty() { "(model)" } else { &module.path };
        let some = |n: u64, words: fn(u64) -> String| if n > 0 { words(n) } else { String::new() };
        [
            self.label(self.tree.depth(i), path),
            format!("{} {}", module.kind, module.detail).trim_end().to_owned(),
            module.output_shape.as_deref().map_or_else(String::new, output_shape),
            some(module.flops.unwrap_or(0), count),
            some(totals.params, count),
            some(totals.bytes, bytes),
            some(totals.trainable, count),
            self.state_of(i).unwrap_or_default().to_owned(),
        ]
    }

    fn parameter_row(&self, p: usize) -> [String; 8] {
        let (parameter, resolved) = (&self.tree.parameters[p], &self.resolution.params[p]);
        [
            self.label(self.tree.depth(parameter.module) + 1, &parameter.name),
            format!("{} {}", parameter.dtype, shape(&parameter.shape)),
            String::new(),
            String::new(),
            count(parameter.count() as u64),
            bytes(parameter.bytes() as u64),
            String::new(),
            format!("{} ({})", resolved.state, resolved.reason),
        ]
    }

    /// `None` where a module has no parameters and is not under no_grad.
    fn state_of(&self, module: usize) -> Option<&'static str> {
        match self.totals[module].learning() {
            _ if self.no_grad[module] => Some("no_grad"),
            Learning::Trainable => Some("trainable"),
            Learning::Frozen => Some("frozen"),
            Learning::Mixed => Some("mixed"),
            Learning::None => None,
        }
    }
}

/// `-x64x112x112`: the batch is a dash.
fn output_shape(sizes: &[i64]) -> String {
    sizes.iter().map(|n| if *n < 0 { "-".to_owned() } else { n.to_string() }).collect::<Vec<_>>().join("x")
}
