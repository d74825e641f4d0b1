//! `frostline inspect`: what a weights file holds, without reading its tensors.

use std::path::{Path, PathBuf};

use crate::app::format::{bytes, count};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, harmless, plural, shape};
use crate::core::checkpoint::WEIGHTS;
use crate::core::weights::{self, FileListing};

/// Arguments of `frostline inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .safetensors, .pth, .pt, .bin or .ckpt file, the index or folder of a sharded one, a checkpoint's folder, or a checkpoint (RUN@120)
    pub file: String,
    /// The state dict under this key, as model.load.key (`state_dict_ema`)
    #[arg(long)]
    pub key: Option<String>,
    /// Print one JSON document: tensors (name, shape, dtype, bytes), metadata, format, key, candidates, placeholders, other
    #[arg(long)]
    pub json: bool,
}

/// Lists the file.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let listing = weights::inspect_key(&file_of(&args.file, cx)?, args.key.as_deref())?;
    if args.json {
        return cx.print_json(&listing).map(|()| Done::Ok);
    }
    let mut table = Listing::new(cx.io, &["tensor", "dtype", ">shape", ">size"], "the file holds no tensors");
    for t in &listing.tensors {
        table.row([t.name.clone(), t.dtype.to_owned(), shape(&t.shape), bytes(t.bytes)]);
    }
    table.print(cx.io)?;
    let elements = listing.tensors.iter().map(|t| t.shape.iter().fold(1u64, |n, s| n.saturating_mul(*s as u64)));
    let (elements, size) = (sum(elements), sum(listing.tensors.iter().map(|t| t.bytes)));
    let count = format!("{}, {} elements, {}", plural(listing.tensors.len(), "tensor"), count(elements), bytes(size));
    cx.io.say(&format!("{count}; {}", listing.format));
    facts(&listing, cx);
    Ok(Done::Ok)
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// What the file says beside its tensors.
fn facts(listing: &FileListing, cx: &mut Context<'_>) {
    for (key, value) in &listing.metadata {
        cx.io.say(&format!("{} = {}", harmless(key), harmless(value)));
    }
    for (key, value) in &listing.other {
        cx.io.say(&format!("{} = {}", harmless(key), harmless(&value.to_string())));
    }
    if let Some(key) = &listing.key {
        cx.io.say(&format!("the state dict is under `{}`", harmless(key)));
    }
    let others: Vec<_> = listing.candidates.iter().filter(|c| Some(*c) != listing.key.as_ref()).collect();
    if !others.is_empty() {
        cx.io.say(&format!("others, for --key and model.load.key: {}", some_of(&others)));
    }
    if !listing.placeholders.is_empty() {
        let names: Vec<_> = listing.placeholders.iter().collect();
        cx.io.say(&format!("kept as placeholders, not run: {}", some_of(&names)));
    }
}

/// Names shown on a line.
const SHOWN: usize = 8;

fn some_of(names: &[&String]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| harmless(name)).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more (--json lists them)", shown.join(", ")) } else { shown.join(", ") }
}

fn file_of(argument: &str, cx: &Context<'_>) -> Result<PathBuf, CliError> {
    let path = Path::new(argument);
    if path.is_dir() && path.join(WEIGHTS).exists() {
        return Ok(path.join(WEIGHTS));
    }
    // Only what cannot be a file is looked for among the runs, so that a misspelt file name is not called a run.
    if !path.exists() && argument.contains('@') {
        return Ok(cx.home().find_checkpoint(argument)?.path.join(WEIGHTS));
    }
    Ok(path.to_owned())
}
