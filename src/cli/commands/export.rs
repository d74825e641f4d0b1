//! `frostline export`: a checkpoint's weights, for others to load.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::plural;
use crate::core::tensor::DType;
use crate::core::weights::{self, Selection};

/// Arguments of `frostline export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint; a run alone means its last one
    #[arg(value_name = "CKPT")]
    pub checkpoint: String,
    /// File to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Type of the floating-point tensors [default: as they are]
    #[arg(long, value_enum)]
    pub dtype: Option<Precision>,
    /// Only tensors that match (repeatable); a module means everything below it
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Leave out tensors that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub drop: Vec<String>,
    /// Remove a prefix from names
    #[arg(long, value_name = "PREFIX")]
    pub strip_prefix: Option<String>,
    /// Rename (repeatable, in order); with wildcards, those in TO stand for what those in FROM matched
    #[arg(long, value_name = "FROM=TO", value_parser = rename)]
    pub rename: Vec<(String, String)>,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Types to export as.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Precision {
    /// Single precision.
    Fp32,
    /// IEEE half precision.
    Fp16,
    /// Brain float.
    Bf16,
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() || !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err("write FROM=TO, such as backbone=encoder".to_owned()),
    }
}

/// Writes the weights. The checkpoint's checksums are proved first.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let extension = args.output.extension().map(|e| e.to_string_lossy().to_lowercase());
    if extension.as_deref() != Some("safetensors") {
        let message =
            format!("{}: the file's name must end in .safetensors, the format that is written", args.output.display());
        return Err(CliError::Refused(message));
    }
    let checkpoint = cx.home().find_checkpoint(&args.checkpoint)?;
    let loaded = checkpoint.load()?;
    let selection = Selection {
        only: args.only.clone(),
        drop: args.drop.clone(),
        strip_prefix: args.strip_prefix.clone(),
        rename: args.rename.clone(),
        dtype: args.dtype.map(|p| match p {
            Precision::Fp32 => DType::Float32,
            Precision::Fp16 => DType::Float16,
            Precision::Bf16 => DType::Bfloat16,
        }),
    };
    let state = loaded.state;
    let tensors = weights::select(loaded.weights, &selection)?;
    let mut metadata = BTreeMap::from([
        ("frostline.model".to_owned(), state.recipe.model.arch.clone()),
        ("frostline.step".to_owned(), state.step.to_string()),
        ("frostline.checkpoint".to_owned(), checkpoint.label()),
    ]);
    for (name, value) in &state.metrics {
        metadata.insert(format!("frostline.{name}"), value.to_string());
    }
    if !state.data.class_names.is_empty() {
        let names = serde_json::to_string(&state.data.class_names).map_err(CliError::failed)?;
        metadata.insert("frostline.class_names".to_owned(), names);
    }
    weights::write_safetensors(&args.output, &tensors, &metadata, args.force)?;
    let size: usize = tensors.iter().map(|t| t.data.len()).sum();
    let (n, from) = (plural(tensors.len(), "tensor"), checkpoint.label());
    cx.io.say(&format!("wrote {}: {n} of {from}, {}", args.output.display(), bytes(size as u64)));
    Ok(Done::Ok)
}
