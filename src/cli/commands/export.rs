//! `frostline export`: a checkpoint's weights, for others to load.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::plural;
use crate::core::checkpoint::{LoadedCheckpoint, TrainState};
use crate::core::tensor::{DType, HostTensor};
use crate::core::weights::{self, Average, Selection};
use crate::session;

/// Arguments of `frostline export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint; a run alone means its last one
    #[arg(value_name = "CKPT", required_unless_present = "average")]
    pub checkpoint: Option<String>,
    /// File to write: .safetensors, .pth (a state dict for torch.load), .pt (TorchScript)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Format, where the file's name does not say it
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The mean of these checkpoints' weights (and of CKPT, if it is given too)
    #[arg(long, value_name = "CKPT", num_args = 1..)]
    pub average: Vec<String>,
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

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A state dict, with metadata.
    Safetensors,
    /// A state dict as torch.save writes it.
    Pth,
    /// The model itself, for torch.jit.load.
    Torchscript,
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

/// Writes the weights. The checkpoints' checksums are proved first.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let format = args.format()?;
    let Source { state, weights, label, averaged } = source(args, cx)?;
    let wrote = format!("wrote {}", args.output.display());
    if format == Format::Torchscript {
        args.check_whole()?;
        let engine = cx.engine()?;
        session::export_script(&*engine, &state, &weights, &args.output, args.force)?;
        cx.io.say(&format!("{wrote}: TorchScript of {}, {label}", state.recipe.model.arch));
        return Ok(Done::Ok);
    }
    let tensors = weights::select(weights, &args.selection())?;
    if format == Format::Pth {
        weights::write_pth(&args.output, &tensors, args.force)?;
    } else {
        let metadata = metadata(&state, &label, &averaged)?;
        weights::write_safetensors(&args.output, &tensors, &metadata, args.force)?;
    }
    let size: usize = tensors.iter().map(|t| t.data.len()).sum();
    cx.io.say(&format!("{wrote}: {} of {label}, {}", plural(tensors.len(), "tensor"), bytes(size as u64)));
    Ok(Done::Ok)
}

impl Args {
    fn format(&self) -> Result<Format, CliError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = self.output.extension().map(|e| e.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("safetensors") => Ok(Format::Safetensors),
            Some("pth" | "bin" | "ckpt") => Ok(Format::Pth),
            Some("pt" | "ts" | "torchscript") => Ok(Format::Torchscript),
            _ => Err(CliError::Refused(format!(
                "{}: end the file's name in .safetensors, .pth (a state dict for torch.load) or .pt (TorchScript), or say it with --format",
                self.output.display()
            ))),
        }
    }

    /// A script takes its weights as they are.
    fn check_whole(&self) -> Result<(), CliError> {
        let chosen = [
            ("--only", !self.only.is_empty()),
            ("--drop", !self.drop.is_empty()),
            ("--rename", !self.rename.is_empty()),
            ("--strip-prefix", self.strip_prefix.is_some()),
            ("--dtype", self.dtype.is_some()),
        ];
        match chosen.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(CliError::Refused(format!(
                "{option}: a TorchScript file holds the whole model as it was trained; leave the option out, or write .safetensors or .pth"
            ))),
            None => Ok(()),
        }
    }

    fn selection(&self) -> Selection {
        Selection {
            only: self.only.clone(),
            drop: self.drop.clone(),
            strip_prefix: self.strip_prefix.clone(),
            rename: self.rename.clone(),
            dtype: self.dtype.map(|p| match p {
                Precision::Fp32 => DType::Float32,
                Precision::Fp16 => DType::Float16,
                Precision::Bf16 => DType::Bfloat16,
            }),
        }
    }
}

/// What is exported.
struct Source {
    /// Of the first checkpoint.
    state: TrainState,
    weights: Vec<HostTensor>,
    /// In words.
    label: String,
    /// The checkpoints, where there are several.
    averaged: Vec<String>,
}

fn source(args: &Args, cx: &Context<'_>) -> Result<Source, CliError> {
    let names: Vec<&String> = args.checkpoint.iter().chain(&args.average).collect();
    let mut first = None;
    let mut average = Average::default();
    let mut labels = Vec::with_capacity(names.len());
    for name in &names {
        let checkpoint = cx.home().find_checkpoint(name)?;
        let label = checkpoint.label();
        if labels.contains(&label) {
            return Err(CliError::Refused(format!("--average: {label} is named twice")));
        }
        let LoadedCheckpoint { state, weights, .. } = checkpoint.load()?;
        if names.len() == 1 {
            return Ok(Source { state, weights, label, averaged: Vec::new() });
        }
        average.add(&label, weights)?;
        labels.push(label);
        first.get_or_insert(state);
    }
    let Some(state) = first else { return Err(CliError::Usage("name a checkpoint".to_owned())) };
    let label = format!("the mean of {}", labels.join(", "));
    Ok(Source { state, weights: average.finish()?, label, averaged: labels })
}

fn metadata(state: &TrainState, label: &str, averaged: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut metadata = BTreeMap::from([("frostline.model".to_owned(), state.recipe.model.arch.clone())]);
    if averaged.is_empty() {
        metadata.insert("frostline.step".to_owned(), state.step.to_string());
        metadata.insert("frostline.checkpoint".to_owned(), label.to_owned());
        for (name, value) in &state.metrics {
            metadata.insert(format!("frostline.{name}"), value.to_string());
        }
    } else {
        metadata.insert("frostline.average".to_owned(), averaged.join(" "));
    }
    if !state.data.class_names.is_empty() {
        let names = serde_json::to_string(&state.data.class_names).map_err(CliError::failed)?;
        metadata.insert("frostline.class_names".to_owned(), names);
    }
    Ok(metadata)
}
