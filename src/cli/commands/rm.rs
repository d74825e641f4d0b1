//! `frostline rm`: deletes runs.

use std::io::{BufRead, IsTerminal};

use crate::app::format::bytes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::plural;

/// Arguments of `frostline rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs
    #[arg(required = true)]
    pub runs: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long, alias = "force")]
    pub yes: bool,
}

/// Finds all runs first, so that a wrong name deletes nothing; asks on a terminal; never touches a live run.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let mut runs = Vec::new();
    for what in &args.runs {
        let run = cx.home().find(what)?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    for run in &runs {
        let name = run.meta().map(|m| m.name).unwrap_or_default();
        let checkpoints = run.checkpoints().list();
        let size: u64 = checkpoints.iter().map(|c| c.bytes).sum();
        cx.io.say(&format!("run {} ({name}): {}, {}", run.id(), plural(checkpoints.len(), "checkpoint"), bytes(size)));
    }
    if !args.yes {
        if !std::io::stdin().is_terminal() || !cx.io.err_is_terminal {
            return Err(CliError::Usage(
                "nobody can be asked here; `frostline rm --yes` deletes without asking".into(),
            ));
        }
        cx.io.say(&format!("delete {} for ever? [y/N]", if runs.len() == 1 { "it" } else { "them" }));
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            cx.io.say("nothing was deleted");
            return Ok(Done::Ok);
        }
    }
    for run in &runs {
        cx.home().remove(run)?;
        cx.io.print(run.id().as_str())?;
    }
    Ok(Done::Ok)
}
