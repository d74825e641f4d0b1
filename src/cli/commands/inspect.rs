//! `frostline inspect`: what a weights file holds, from its header alone.

use std::path::{Path, PathBuf};

use crate::app::format::{bytes, count};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, harmless, plural, shape};
use crate::core::checkpoint::WEIGHTS;
use crate::core::weights;

/// Arguments of `frostline inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .safetensors file, a checkpoint's folder, or a checkpoint (RUN@120)
    pub file: String,
    /// Print one JSON document: tensors (name, shape, dtype, bytes) and metadata
    #[arg(long)]
    pub json: bool,
}

/// Lists the file.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let listing = weights::inspect(&file_of(&args.file, cx)?)?;
    if args.json {
        return cx.print_json(&listing).map(|()| Done::Ok);
    }
    let mut table = Listing::new(cx.io, &["tensor", "dtype", ">shape", ">size"], "the file holds no tensors");
    for t in &listing.tensors {
        table.row([t.name.clone(), t.dtype.to_owned(), shape(&t.shape), bytes(t.bytes)]);
    }
    table.print(cx.io)?;
    let elements: u64 = listing.tensors.iter().map(|t| t.shape.iter().product::<usize>() as u64).sum();
    let size: u64 = listing.tensors.iter().map(|t| t.bytes).sum();
    cx.io.say(&format!("{}, {} elements, {}", plural(listing.tensors.len(), "tensor"), count(elements), bytes(size)));
    for (key, value) in &listing.metadata {
        cx.io.say(&format!("{} = {}", harmless(key), harmless(value)));
    }
    Ok(Done::Ok)
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
