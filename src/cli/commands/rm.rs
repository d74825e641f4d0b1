//! `frostline rm`: deletes runs and checkpoints.

use std::io::{BufRead, IsTerminal};

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::plural;
use crate::core::run::edit::short_name;
use crate::core::run::{CheckpointRef, RunDir};

/// Arguments of `frostline rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs, or checkpoints (RUN@120): never the newest good one of a run, the best, or a pinned one
    #[arg(required = true, value_name = "RUN|CKPT")]
    pub what: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long, alias = "force")]
    pub yes: bool,
}

/// Finds and checks everything first, so that a wrong name deletes nothing; asks on a terminal; never touches a live run.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let (mut runs, mut checkpoints) = (Vec::new(), Vec::new());
    for what in &args.what {
        if what.contains('@') {
            checkpoints.push(checkpoint(what, cx)?);
            continue;
        }
        let run = cx.home().find(what)?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    for run in &runs {
        let name = run.meta().map(|m| short_name(&m.name)).unwrap_or_default();
        let checkpoints = run.checkpoints().list();
        let size: u64 = checkpoints.iter().map(|c| c.bytes).sum();
        cx.io.say(&format!("run {} ({name}): {}, {}", run.id(), plural(checkpoints.len(), "checkpoint"), bytes(size)));
    }
    // Nobody is asked about what is refused anyway.
    for (run, checkpoint) in &checkpoints {
        run.checkpoints().may_delete(&checkpoint.name, &run.meta()?.recipe.checkpoint)?;
    }
    for (_, checkpoint) in &checkpoints {
        cx.io.say(&format!("checkpoint {}", checkpoint.label()));
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() || !cx.io.err_is_terminal {
            return Err(CliError::Usage(
                "nobody can be asked here; `frostline rm --yes` deletes without asking".into(),
            ));
        }
        let them = if runs.len() + checkpoints.len() == 1 { "it" } else { "them" };
        cx.io.say(&format!("delete {them} for ever? [y/N]"));
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            cx.io.say("nothing was deleted");
            return Ok(Done::Ok);
        }
    }
    for (run, checkpoint) in &checkpoints {
        let recipe = run.meta()?.recipe;
        // Nobody is to go on from it meanwhile; a live run's owner tolerates that one goes.
        let _lock = run.lock().ok();
        run.checkpoints().delete(&checkpoint.name, &recipe.checkpoint)?;
        cx.io.print(&checkpoint.label())?;
    }
    for run in &runs {
        cx.home().remove(run)?;
        cx.io.print(run.id().as_str())?;
    }
    Ok(Done::Ok)
}

fn checkpoint(what: &str, cx: &Context<'_>) -> Result<(RunDir, CheckpointRef), CliError> {
    let checkpoint = cx.home().find_checkpoint(what)?;
    match checkpoint.run.clone() {
        Some(run) => Ok((run, checkpoint)),
        None => Err(CliError::Refused(format!("{} belongs to no run; remove its folder", checkpoint.path.display()))),
    }
}
