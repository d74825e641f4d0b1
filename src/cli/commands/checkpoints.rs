//! `frostline checkpoints`: a run's history.

use serde::Serialize;

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, clock, metrics};
use crate::core::checkpoint::{CheckpointInfo, policy};

/// Arguments of `frostline checkpoints`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// Print one JSON document: an array, oldest first
    #[arg(long)]
    pub json: bool,
}

/// A line of `checkpoints --json`.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// What the store says.
    #[serde(flatten)]
    pub info: CheckpointInfo,
    /// Why the policy keeps it.
    pub kept: Vec<String>,
    /// Whether every byte is as it was written.
    pub verified: bool,
    /// Damaged files, in words.
    pub damage: Vec<String>,
}

/// All checkpoints of a run with checksums proved.
pub fn entries(run: &crate::core::run::RunDir) -> Result<Vec<Entry>, CliError> {
    let recipe = run.meta()?.recipe;
    let store = run.checkpoints();
    store.readable()?;
    let infos = store.list();
    let kept = policy::kept_reasons(&infos, &recipe.checkpoint);
    let entry = |(info, kept): (CheckpointInfo, Vec<String>)| {
        let damage: Vec<String> = store.verify(&info.name).iter().map(ToString::to_string).collect();
        Entry { verified: damage.is_empty(), info, kept, damage }
    };
    Ok(infos.into_iter().zip(kept).map(entry).collect())
}

/// Lists a run's checkpoints.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let entries = entries(&run)?;
    if args.json {
        return cx.print_json(&entries).map(|()| Done::Ok);
    }
    let headers = [">step", ">epoch", "time", ">size", "metrics", "kept", "state"];
    let mut listing = Listing::new(cx.io, &headers, "the run has no checkpoint yet");
    for e in &entries {
        let validation = e.info.metrics.iter().filter(|(name, _)| name.starts_with("val/"));
        listing.row([
            e.info.step.to_string(),
            e.info.epoch.to_string(),
            clock(e.info.time_ms),
            bytes(e.info.bytes),
            metrics(validation),
            e.kept.join(", "),
            if e.verified { "verified".to_owned() } else { format!("damaged: {}", e.damage.join("; ")) },
        ]);
    }
    listing.print(cx.io)?;
    Ok(Done::Ok)
}
