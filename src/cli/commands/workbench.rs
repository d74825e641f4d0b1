//! Plain `frostline`: the workbench on the run home.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow;
use crate::tui;

/// Opens the workbench and stays until it is left.
pub fn run(cx: &mut Context<'_>) -> Result<Done, CliError> {
    open(None, cx)
}

/// The same, with a run open from the beginning.
pub fn open(run: Option<String>, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let mut options = tui::Options::new(cx.take_engine(), cx.home().clone());
    options.open = run;
    options.program = cx.io.program.clone();
    let exit = tui::run(options)?;
    follow::left(exit, false, cx.io)
}
