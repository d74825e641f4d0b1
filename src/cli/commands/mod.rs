//! One file a command: its arguments, and a `run` that does it.

pub mod attach;
pub mod audit;
pub mod checkpoints;
pub mod compare;
pub mod devices;
pub mod diff;
pub mod edit;
pub mod evaluate;
pub mod export;
pub mod fork;
pub mod inspect;
pub mod ls;
pub mod metrics;
pub mod new;
pub mod pin;
pub mod predict;
pub mod resume;
pub mod rm;
pub mod show;
pub mod tell;
pub mod train;
pub mod tree;
pub mod verify;
mod workbench;

use super::args::Command;
use super::context::Context;
use super::error::{CliError, Done};

/// Runs a command; none opens the workbench.
pub fn run(command: Option<Command>, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let Some(command) = command else { return workbench::run(cx) };
    match command {
        Command::New(args) => new::run(&args, cx),
        Command::Train(args) => train::run(args, cx),
        Command::Resume(args) => resume::run(args, cx),
        Command::Fork(args) => fork::run(args, cx),
        Command::Evaluate(args) => evaluate::run(&args, cx),
        Command::Predict(args) => predict::run(&args, cx),
        Command::Export(args) => export::run(&args, cx),
        Command::Attach(args) => attach::run(&args, cx),
        Command::Pause(args) => tell::pause(&args, cx),
        Command::Continue(args) => tell::go_on(&args, cx),
        Command::Stop(args) => tell::stop(&args, cx),
        Command::Save(args) => tell::save(&args, cx),
        Command::Freeze(args) => tell::freeze(&args, cx),
        Command::Set(args) => tell::set(&args, cx),
        Command::Ls(args) => ls::run(&args, cx),
        Command::Show(args) => show::run(&args, cx),
        Command::Compare(args) => compare::run(&args, cx),
        Command::Checkpoints(args) => checkpoints::run(&args, cx),
        Command::Metrics(args) => metrics::run(&args, cx),
        Command::Tree(args) => tree::run(&args, cx),
        Command::Audit(args) => audit::run(&args, cx),
        Command::Diff(args) => diff::run(&args, cx),
        Command::Inspect(args) => inspect::run(&args, cx),
        Command::Verify(args) => verify::run(&args, cx),
        Command::Tag(args) => edit::tag(&args, cx),
        Command::Note(args) => edit::note(&args, cx),
        Command::Rename(args) => edit::rename(&args, cx),
        Command::Rm(args) => rm::run(&args, cx),
        Command::Pin(args) => pin::run(&args, true, cx),
        Command::Unpin(args) => pin::run(&args, false, cx),
        Command::Devices(args) => devices::run(&args, cx),
    }
}
