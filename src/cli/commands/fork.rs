//! `frostline fork`: a new run from a checkpoint's weights.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow::{self, FollowArgs};
use crate::cli::ranks;
use crate::session::Start;

/// Arguments of `frostline fork`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run to take the weights and the recipe from
    pub run: String,
    /// From this checkpoint: a step, `best`, RUN@120 [default: the last one]
    #[arg(long, value_name = "CKPT")]
    pub from: Option<String>,
    /// Take the optimizer's state too
    #[arg(long)]
    pub optimizer: bool,
    /// Change a key of the recipe (repeatable): optimizer.lr=1e-4, freeze.rules='["train **"]'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// Forks.
pub fn run(args: Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if let Some(done) = ranks::take_part(&args.follow, cx)? {
        return Ok(done);
    }
    let what = match args.from.as_deref() {
        None => args.run.clone(),
        Some(from) if from.contains(['@', '/']) => from.to_owned(),
        Some(from) => format!("{}@{from}", args.run),
    };
    let checkpoint = cx.home().find_checkpoint(&what)?;
    follow::start(Start::Fork { checkpoint, optimizer: args.optimizer, sets: args.sets }, args.follow, cx)
}
