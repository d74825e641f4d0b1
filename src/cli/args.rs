//! The grammar of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::commands::{
    attach, audit, checkpoints, compare, diff, edit, evaluate, export, fork, inspect, ls, metrics, new, pin, predict,
    resume, rm, show, tell, train, tree, verify,
};

const AFTER: &str = "\
A RUN is an id, a unique beginning of one, a unique name, or `last`.
A CKPT is RUN@120 (a step), RUN@last, RUN@best, or a checkpoint's folder.

Results go to stdout, progress and messages to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused, 130 stopped after a checkpoint.
`frostline` alone opens the workbench on the terminal. `frostline new first.toml` writes a recipe to start from.";

/// A terminal workbench for fine-tuning PyTorch models.
#[derive(Debug, Parser)]
#[command(name = "frostline", version, about, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// Folder that holds the runs [default: $FROSTLINE_HOME, else the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented recipe to start from; as it stands it trains on the embedded digits
    New(new::Args),
    /// Train a recipe
    Train(train::Args),
    /// Go on exactly where a run stopped
    Resume(resume::Args),
    /// Start a new run from a checkpoint's weights
    Fork(fork::Args),
    /// Watch a run that lives in another process
    Attach(attach::Args),
    /// Make a live run stand still after its step
    Pause(tell::Args),
    /// Let a paused run go on
    Continue(tell::Args),
    /// Stop a live run after a checkpoint
    Stop(tell::Args),
    /// Write a checkpoint of a live run now
    Save(tell::Args),
    /// Change a live run's freeze plan
    Freeze(tell::FreezeArgs),
    /// Change a live run's learning rate, or move it to other devices
    Set(tell::SetArgs),
    /// Loss and metrics on the validation data
    Evaluate(evaluate::Args),
    /// Raw outputs and classes for images or a tensor file
    Predict(predict::Args),
    /// Write a checkpoint's weights for others to load
    Export(export::Args),
    /// The runs, newest first
    Ls(ls::Args),
    /// Everything about one run
    Show(show::Args),
    /// Runs side by side: results, and the recipe keys that differ
    Compare(compare::Args),
    /// A run's checkpoints: step, metrics, size, why they are kept
    Checkpoints(checkpoints::Args),
    /// A run's metrics, step by step
    Metrics(metrics::Args),
    /// The layer tree: counts, shapes, what learns
    Tree(tree::Args),
    /// What is meant to learn, and what really moved
    Audit(audit::Args),
    /// How far each tensor moved between two checkpoints
    Diff(diff::Args),
    /// Names, shapes and types in a weights file; reads the header only
    Inspect(inspect::Args),
    /// Checksums of everything; damaged files named
    Verify(verify::Args),
    /// Add tags to a run, or take them off
    Tag(edit::TagArgs),
    /// Set a run's note
    Note(edit::NoteArgs),
    /// Give a run another name
    Rename(edit::RenameArgs),
    /// Delete runs with all their checkpoints
    Rm(rm::Args),
    /// Keep a checkpoint for ever
    Pin(pin::Args),
    /// Let the recipe's policy decide about a checkpoint again
    Unpin(pin::Args),
    /// CPU and GPUs, their memory, and why one cannot be used
    Devices(DevicesArgs),
}

/// `frostline devices`.
#[derive(Debug, clap::Args)]
pub struct DevicesArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `ls -tag:old` means a negated filter, not the short options -t, -a, -g. A leading blank tells clap so, and the filter drops it.
pub fn keep_negated_filters(mut args: Vec<OsString>) -> Vec<OsString> {
    let Some(ls) = command(&args).filter(|at| args[*at] == "ls") else { return args };
    for arg in &mut args[ls + 1..] {
        let negated =
            arg.to_str().filter(|a| a.len() > 2 && a.starts_with('-') && !a.starts_with("--")).map(|a| format!(" {a}"));
        if let Some(negated) = negated {
            *arg = negated.into();
        }
    }
    args
}

/// Where the command stands: the first argument that is no option, nor `--home`'s folder.
fn command(args: &[OsString]) -> Option<usize> {
    (1..args.len()).find(|at| args[at - 1] != "--home" && !args[*at].as_encoded_bytes().starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_negated_filter_is_no_option() {
        let args = ["frostline", "ls", "-tag:old", "best<0.3", "--json"].map(OsString::from).to_vec();
        let Some(Command::Ls(ls)) = Cli::try_parse_from(keep_negated_filters(args)).unwrap().command else {
            panic!("not ls")
        };
        assert_eq!(ls.filter.iter().map(|f| f.trim()).collect::<Vec<_>>(), ["-tag:old", "best<0.3"]);
        assert!(ls.json);
    }

    #[test]
    fn a_run_that_is_called_ls_has_options() {
        let args = ["frostline", "--home", "ls", "tag", "ls", "-d", "old"].map(OsString::from).to_vec();
        let Some(Command::Tag(tag)) = Cli::try_parse_from(keep_negated_filters(args)).unwrap().command else {
            panic!("not tag")
        };
        assert_eq!((tag.run.as_str(), tag.remove), ("ls", vec!["old".to_owned()]));
    }
}
