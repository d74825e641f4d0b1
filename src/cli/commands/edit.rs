//! `frostline tag`, `note`, `rename`: what the run list keeps about a run. They work on the folder, whether the run lives or not.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::core::run::{RunEdit, TagEdit};

/// Arguments of `frostline tag`.
#[derive(Debug, clap::Args)]
pub struct TagArgs {
    /// The run
    pub run: String,
    /// Tags to add; none lists the run's tags
    pub tags: Vec<String>,
    /// Tag to take off (repeatable)
    #[arg(short = 'd', long, value_name = "TAG")]
    pub remove: Vec<String>,
}

/// Arguments of `frostline note`.
#[derive(Debug, clap::Args)]
pub struct NoteArgs {
    /// The run
    pub run: String,
    /// The note; an empty one ("") takes it away, none prints it
    #[arg(allow_hyphen_values = true)]
    pub text: Vec<String>,
}

/// Arguments of `frostline rename`.
#[derive(Debug, clap::Args)]
pub struct RenameArgs {
    /// The run
    pub run: String,
    /// Its new name
    pub name: String,
}

/// Adds and removes tags.
pub fn tag(args: &TagArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    if args.tags.is_empty() && args.remove.is_empty() {
        for tag in run.meta()?.tags {
            cx.io.print(&tag)?;
        }
        return Ok(Done::Ok);
    }
    // `+good` is how the workbench has it.
    let add =
        args.tags.iter().flat_map(|t| t.split(',')).map(|t| t.trim().trim_start_matches('+')).filter(|t| !t.is_empty());
    let (add, remove) = (add.map(str::to_owned).collect(), args.remove.clone());
    run.edit(&RunEdit::Tags(TagEdit::Change { add, remove }))?;
    Ok(Done::Ok)
}

/// Sets or prints the note.
pub fn note(args: &NoteArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    if args.text.is_empty() {
        let note = run.meta()?.note;
        if !note.is_empty() {
            cx.io.print(&note)?;
        }
        return Ok(Done::Ok);
    }
    run.edit(&RunEdit::Note(args.text.join(" ")))?;
    Ok(Done::Ok)
}

/// Changes the name.
pub fn rename(args: &RenameArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    cx.home().find(&args.run)?.edit(&RunEdit::Rename(args.name.clone()))?;
    Ok(Done::Ok)
}
