//! `frostline diff`: how far each tensor moved between two checkpoints.

use std::path::Path;

use serde::Serialize;

use crate::app::diff_view::word;
use crate::app::format::number;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::model::is_weights_file;
use crate::cli::output::{Listing, plural};
use crate::core::checkpoint::diff::{self, Drift};
use crate::core::tensor::HostTensor;
use crate::core::tree::by_module;
use crate::core::weights;

/// Arguments of `frostline diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first checkpoint, or a weights file of any kind and name
    #[arg(value_name = "CKPT")]
    pub before: String,
    /// The second
    #[arg(value_name = "CKPT")]
    pub after: String,
    /// By module instead of by tensor, down to this depth
    #[arg(long, value_name = "DEPTH", num_args = 0..=1, default_missing_value = "99")]
    pub modules: Option<usize>,
    /// Only what is not bit-equal
    #[arg(long)]
    pub moved: bool,
    /// Print one JSON document: before, after, tensors, modules
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    before: &'a str,
    after: &'a str,
    #[serde(flatten)]
    drift: &'a Drift,
}

/// Compares the weights of two checkpoints.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let (mut before, before_name) = tensors(&args.before, cx)?;
    let (after, after_name) = tensors(&args.after, cx)?;
    by_module(&mut before, |t| &t.name);
    let drift = diff::diff(&before, &after);
    if args.json {
        return cx.print_json(&Document { before: &before_name, after: &after_name, drift: &drift }).map(|()| Done::Ok);
    }
    let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    if let Some(depth) = args.modules {
        let mut listing =
            Listing::new(cx.io, &["module", ">tensors", ">bit-equal", ">relative L2", ">max abs"], "no tensors");
        let shown = drift.modules.iter().filter(|m| m.path.is_empty() || m.path.split('.').count() <= depth);
        for m in shown.filter(|m| !args.moved || m.bit_equal < m.tensors) {
            let path = if m.path.is_empty() { "(model)".to_owned() } else { m.path.clone() };
            listing.row([path, m.tensors.to_string(), m.bit_equal.to_string(), of(m.relative_l2), of(m.max_abs)]);
        }
        listing.print(cx.io)?;
    } else {
        let mut listing = Listing::new(cx.io, &["tensor", "change", ">relative L2", ">max abs"], "nothing moved");
        for t in drift.tensors.iter().filter(|t| !args.moved || !t.bit_equal) {
            listing.row([t.name.clone(), word(t.change).to_owned(), of(t.relative_l2), of(t.max_abs)]);
        }
        listing.print(cx.io)?;
    }
    let equal = drift.tensors.iter().filter(|t| t.bit_equal).count();
    let all = drift.tensors.len();
    cx.io.say(&format!("{before_name} -> {after_name}: {} bit-equal, {} moved", plural(equal, "tensor"), all - equal));
    Ok(Done::Ok)
}

fn tensors(what: &str, cx: &Context<'_>) -> Result<(Vec<HostTensor>, String), CliError> {
    let path = Path::new(what);
    let file = || Ok((weights::read(path, None)?.into_tensors()?, what.to_owned()));
    if is_weights_file(path) && !path.is_dir() {
        return file();
    }
    let checkpoint = match cx.home().find_checkpoint(what) {
        Err(_) if path.is_file() => return file(),
        found => found?,
    };
    Ok((checkpoint.load_weights()?.1, checkpoint.label()))
}
