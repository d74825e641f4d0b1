//! `frostline resume`: a run goes on exactly where it stopped.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow::{self, FollowArgs};
use crate::session::Start;

/// Arguments of `frostline resume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// Go on from this checkpoint of it: a step, `best`, RUN@120; later ones are set aside [default: the newest good one]
    #[arg(long, value_name = "CKPT")]
    pub from: Option<String>,
    /// Make the run longer or shorter: train.epochs=20 (all else is fork's)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// Resumes.
pub fn run(args: Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    follow::start(Start::Resume { run, from: args.from, sets: args.sets }, args.follow, cx)
}
