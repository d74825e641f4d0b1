//! `frostline predict`: raw outputs and classes for images or a tensor file.

use std::path::PathBuf;

use super::evaluate::source;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{harmless, plural};
use crate::cli::predictions::{self, Format};
use crate::session;

/// Arguments of `frostline predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint (RUN@best; a run alone means its last one) or a recipe
    #[arg(value_name = "CKPT|RECIPE")]
    pub what: String,
    /// Images, folders of images, or a .safetensors or .npz file with `x`
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// File to write: .csv, .jsonl, .safetensors or .npz
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Change a key of the recipe (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Predicts. The output's name is checked before the work is done.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let format = Format::of(&args.output)?;
    if args.output.exists() && !args.force {
        let message =
            format!("{} exists already; choose another name, or overwrite it with --force", args.output.display());
        return Err(CliError::Refused(message));
    }
    let (source, sets) = source(&args.what, &args.sets, cx)?;
    let engine = cx.engine()?;
    let result = session::predict(&*engine, cx.home(), &source, &args.inputs, &sets)?;
    result.warnings.iter().for_each(|w| cx.io.say(&format!("warning: {}", harmless(w))));
    predictions::write(&result, format, &args.output, args.force)?;
    let mut said = format!("wrote {}: {}", args.output.display(), plural(result.names.len(), "prediction"));
    if !result.skipped.is_empty() {
        said += &format!(", none for {}", plural(result.skipped.len(), "damaged image"));
    }
    cx.io.say(&said);
    Ok(Done::Ok)
}
