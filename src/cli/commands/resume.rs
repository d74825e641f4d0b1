//! `frostline resume`: a run goes on exactly where it stopped.

use super::tell::{self, Wait};
use super::workbench;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow::{self, FollowArgs};
use crate::cli::ranks;
use crate::core::command::Command;
use crate::core::run::{RunDir, RunStatus};
use crate::session::Start;

/// Arguments of `frostline resume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// Go on from this checkpoint of it: a step, `best`, RUN@120; later ones are set aside [default: the newest good one]
    #[arg(long, value_name = "CKPT")]
    pub from: Option<String>,
    /// Make the run longer or shorter: train.epochs=20, train.steps=900; run it elsewhere: train.devices=cuda:1; share out a step's samples
    /// anew: train.batch_size=16 with train.accumulate_grad_batches=2 (all else is fork's)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// A run that stands still in a live process goes on there; false where it does not.
fn continued(run: &RunDir, cx: &mut Context<'_>) -> Result<bool, CliError> {
    let Some((_, pid)) = tell::standing(run).filter(|(s, _)| s.status == RunStatus::Paused) else { return Ok(false) };
    tell::ask(run, Command::Continue, Wait { timeout: None }, CliError::Failed)?;
    let id = run.id();
    cx.io.print(id.as_str())?;
    cx.io.say(&format!("it was paused in process {pid}, and goes on there; watch it with: frostline attach {id}"));
    Ok(true)
}

/// Resumes.
pub fn run(args: Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if let Some(done) = ranks::take_part(&args.follow, cx)? {
        return Ok(done);
    }
    let run = cx.home().find(&args.run)?;
    if args.from.is_none() && args.sets.is_empty() && continued(&run, cx)? {
        return if args.follow.watch { workbench::open(Some(run.id().to_string()), cx) } else { Ok(Done::Ok) };
    }
    follow::start(Start::Resume { run, from: args.from, sets: args.sets }, args.follow, cx)
}
