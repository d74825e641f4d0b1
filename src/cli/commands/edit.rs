//! `frostline tag`, `note`, `rename`: what the run list keeps about a run. They work on the folder, whether the run lives or not.

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};

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
    let mut meta = run.meta()?;
    let tags = args.tags.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|t| !t.is_empty());
    if let Some(missing) = args.remove.iter().find(|t| !meta.tags.contains(t)) {
        return Err(CliError::Refused(format!(
            "run {} has no tag `{missing}`; it has: {}",
            run.id(),
            meta.tags.join(", ")
        )));
    }
    meta.tags.retain(|t| !args.remove.contains(t));
    for tag in tags {
        if !meta.tags.iter().any(|t| t == tag) {
            meta.tags.push(tag.to_owned());
        }
    }
    if args.tags.is_empty() && args.remove.is_empty() {
        for tag in &meta.tags {
            cx.io.print(tag)?;
        }
        return Ok(Done::Ok);
    }
    run.save_meta(&meta)?;
    Ok(Done::Ok)
}

/// Sets or prints the note.
pub fn note(args: &NoteArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let mut meta = run.meta()?;
    if args.text.is_empty() {
        if !meta.note.is_empty() {
            cx.io.print(&meta.note)?;
        }
        return Ok(Done::Ok);
    }
    meta.note = args.text.join(" ");
    run.save_meta(&meta)?;
    Ok(Done::Ok)
}

/// Changes the name.
pub fn rename(args: &RenameArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let name = args.name.trim();
    let problem = match name {
        "" => Some("is empty"),
        "last" => Some("means the newest run"),
        _ if name.contains(['@', '/', '\n']) => {
            Some("holds a character with a meaning of its own (@, / or a line end)")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(CliError::Refused(format!("the name `{name}` {problem}; choose another")));
    }
    let mut meta = run.meta()?;
    meta.name = name.to_owned();
    run.save_meta(&meta)?;
    Ok(Done::Ok)
}
