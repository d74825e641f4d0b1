//! `frostline export`: a checkpoint's weights, for others to load.

use std::path::PathBuf;

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::core::tensor::DType;
use crate::core::weights::{Average, ExportFormat, Selection};
use crate::session::{self, ExportAs, Exportable};

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
    let what = source(args, cx)?;
    let selection = args.selection();
    let how = ExportAs { format, selection: &selection, to: &args.output, force: args.force };
    let (said, size) = session::export(|| cx.engine(), what, &how, &mut |_| {})?;
    let size = if format == ExportFormat::Torchscript { String::new() } else { format!(", {}", bytes(size)) };
    cx.io.say(&format!("wrote {}: {said}{size}", args.output.display()));
    Ok(Done::Ok)
}

impl Args {
    fn format(&self) -> Result<ExportFormat, CliError> {
        let named = self.format.map(|format| match format {
            Format::Safetensors => ExportFormat::Safetensors,
            Format::Pth => ExportFormat::Pth,
            Format::Torchscript => ExportFormat::Torchscript,
        });
        named.or_else(|| ExportFormat::of_path(&self.output)).ok_or_else(|| {
            CliError::Refused(format!(
                "{}: end the file's name in .safetensors, .pth (a state dict for torch.load) or .pt (TorchScript), or say it with --format",
                self.output.display()
            ))
        })
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

fn source(args: &Args, cx: &Context<'_>) -> Result<Exportable, CliError> {
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
        let (state, weights) = checkpoint.load_weights()?;
        if names.len() == 1 {
            return Ok(Exportable { state, weights, label, averaged: Vec::new() });
        }
        average.add(&label, weights)?;
        labels.push(label);
        first.get_or_insert(state);
    }
    let Some(state) = first else { return Err(CliError::Usage("name a checkpoint".to_owned())) };
    let label = format!("the mean of {}", labels.join(", "));
    Ok(Exportable { state, weights: average.finish()?, label, averaged: labels })
}
