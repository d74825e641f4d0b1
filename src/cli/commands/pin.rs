//! `frostline pin`, `unpin`: checkpoints that the policy must keep.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};

/// Arguments of `frostline pin` and `unpin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoints (RUN@120)
    #[arg(required = true, value_name = "CKPT")]
    pub checkpoints: Vec<String>,
}

/// Pins or unpins; all are found before the first is changed.
pub fn run(args: &Args, pinned: bool, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let found: Result<Vec<_>, _> = args.checkpoints.iter().map(|what| cx.home().find_checkpoint(what)).collect();
    for checkpoint in found? {
        let Some(run) = &checkpoint.run else {
            let message = format!("{} belongs to no run; nothing would remove it", checkpoint.path.display());
            return Err(CliError::Refused(message));
        };
        run.checkpoints().pin(&checkpoint.name, pinned)?;
        let word = if pinned { "pinned" } else { "unpinned" };
        cx.io.say(&format!("{word} {}", checkpoint.label()));
    }
    Ok(Done::Ok)
}
