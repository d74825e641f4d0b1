//! `frostline new`: a commented recipe to start from.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::core::recipe;

/// Arguments of `frostline new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write (`first.toml`)
    pub recipe: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Writes the template. An existing file is somebody's work and is left alone.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let path = &args.recipe;
    if path.is_dir() {
        return Err(CliError::Refused(format!(
            "{} is a folder; give a file, such as {}",
            path.display(),
            path.join("first.toml").display()
        )));
    }
    if path.exists() && !args.force {
        return Err(CliError::Refused(format!(
            "{} exists already; choose another name, or overwrite it with --force",
            path.display()
        )));
    }
    let written = crate::core::io::write_atomic(path, recipe::template().as_bytes());
    written.map_err(|e| CliError::Failed(format!("cannot write {}: {e}", path.display())))?;
    cx.io.say(&format!("wrote {0}; train it with: frostline train {0}", path.display()));
    Ok(Done::Ok)
}
