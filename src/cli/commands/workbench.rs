//! Plain `frostline`: the workbench on the run home.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow;
use crate::tui;

/// Opens the workbench and stays until it is left.
pub fn run(cx: &mut Context<'_>) -> Result<Done, CliError> {
    let exit = tui::run(tui::Options::new(cx.take_engine(), cx.home().clone()))?;
    match (exit.run, exit.outcome) {
        (Some(id), Some(outcome)) => follow::ended(outcome, &id, cx.io),
        _ => Ok(Done::Ok),
    }
}
