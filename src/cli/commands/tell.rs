//! `frostline pause`, `continue`, `stop`, `save`, `freeze`, `set`: commands to a live run. Each returns when it is done.

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::core::command::Command;
use crate::core::control::Standing;
use crate::core::freeze::Plan;
use crate::core::recipe::Recipe;
use crate::core::run::{RunDir, RunStatus};
use crate::session::{self, AskError};

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Wait {
    /// Give up after so many whole seconds, with exit code 1; a command that was sent stands all the same [default: wait until it is done]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// Arguments of `frostline pause`, `continue`, `stop` and `save`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    #[command(flatten)]
    pub wait: Wait,
}

/// Arguments of `frostline freeze`.
#[derive(Debug, clap::Args)]
pub struct FreezeArgs {
    /// The run
    pub run: String,
    /// Rules that are laid over those in force, all or none: 'freeze layer1', 'train fc', 'no_grad conv1'
    #[arg(required = true, value_name = "RULE")]
    pub rules: Vec<String>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Arguments of `frostline set`.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The run
    pub run: String,
    /// lr=1e-4: the base learning rate, which groups and schedule scale; devices=cuda:1 or devices=cuda:0,cuda:1: where it goes on, after
    /// a checkpoint
    #[arg(value_name = "KEY=VALUE")]
    pub set: String,
    #[command(flatten)]
    pub wait: Wait,
}

/// Asks the host of a run. `kind`: what a no of the host is.
pub fn ask(
    run: &RunDir,
    command: Command,
    wait: Wait,
    kind: fn(String) -> CliError,
) -> Result<session::Done, CliError> {
    session::ask(run, command, wait.timeout.map(Duration::from_secs)).map_err(|e| match e {
        AskError::Attach(e) => e.into(),
        AskError::Refused(words) => kind(format!("run {}: {words}", run.id())),
        AskError::Late { .. } | AskError::Lost { .. } => CliError::failed(e),
    })
}

/// `pause`.
pub fn pause(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    say(args, Command::Pause, cx)
}

/// `continue`.
pub fn go_on(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    say(args, Command::Continue, cx)
}

fn say(args: &Args, command: Command, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let done = ask(&run, command, args.wait, CliError::Failed)?;
    cx.io.say(&format!("run {}: {}", run.id(), done.words));
    Ok(Done::Ok)
}

/// `stop`: when it returns, the checkpoint is written and the run can be resumed.
pub fn stop(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let done = ask(&run, Command::Stop { reason: "frostline stop".to_owned() }, args.wait, CliError::Failed)?;
    let id = run.id();
    let status = run.summary().status;
    if done.words == session::CALLED_OFF {
        cx.io.say(&format!("run {id}: it is {status}, and is not resumed any more; go on with: frostline resume {id}"));
        return Ok(Done::Ok);
    }
    if matches!(status, RunStatus::Finished | RunStatus::Failed) {
        cx.io.say(&format!("run {id}: it ended before the stop came: it is {status}"));
        return Ok(Done::Ok);
    }
    cx.io.say(&format!("run {id}: stopped with checkpoint {}; go on with: frostline resume {id}", done.words));
    Ok(Done::Ok)
}

/// `save`: prints the checkpoint.
pub fn save(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let done = ask(&run, Command::Save, args.wait, CliError::Failed)?;
    let checkpoint = cx.home().find_checkpoint(&format!("{}@{}", run.id(), done.words))?;
    cx.io.print(&checkpoint.label())?;
    Ok(Done::Ok)
}

/// `freeze`.
pub fn freeze(args: &FreezeArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    // A rule that is none is told here, whether the run lives or not.
    Plan::parse(&args.rules)?;
    let run = cx.home().find(&args.run)?;
    let done = ask(&run, Command::Freeze { rules: args.rules.clone() }, args.wait, CliError::Refused)?;
    cx.io.say(&format!("run {}: {}", run.id(), done.words));
    Ok(Done::Ok)
}

/// `set`.
pub fn set(args: &SetArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let usage = || {
        let words =
            "lr=NUMBER and devices=NAME,… are what a live run can be told, such as lr=1e-4 or devices=cuda:0,cuda:1";
        CliError::Usage(format!("`{}`: {words}", args.set))
    };
    let (key, value) = args.set.split_once('=').ok_or_else(usage)?;
    let command = match key.trim() {
        "lr" | "optimizer.lr" => {
            let lr: f64 = value.trim().parse().map_err(|_| usage())?;
            // JSON, in which the host is told, has no word for it.
            if !lr.is_finite() {
                return Err(CliError::Refused(format!("lr = {lr}: give a finite number that is not negative")));
            }
            Command::SetLr { lr }
        }
        "devices" | "train.devices" => {
            let devices = devices(value.trim()).map_err(|why| CliError::Refused(format!("`{}`: {why}", args.set)))?;
            Command::SetDevices { devices }
        }
        other => {
            let fork = format!("frostline fork {} --set {}", args.run, args.set);
            return Err(CliError::Usage(format!(
                "`{other}` cannot be changed in a live run; lr, devices and the freeze plan can; for anything else: {fork}"
            )));
        }
    };
    let run = cx.home().find(&args.run)?;
    let done = ask(&run, command, args.wait, CliError::Refused)?;
    cx.io.say(&format!("run {}: {}", run.id(), done.words));
    Ok(Done::Ok)
}

/// Devices as a user names them, `cuda:0,cuda:1`, or as a recipe does: a word or a list in TOML. `Err` says what is wrong.
fn devices(value: &str) -> Result<Vec<String>, String> {
    let mut sets = vec!["model.arch=mlp".to_owned()];
    let is_toml = value.starts_with(['[', '"', '\'']);
    if !is_toml && value.split(',').any(|device| device.trim().is_empty()) {
        return Err("a device's name is missing".to_owned());
    }
    sets.extend(is_toml.then(|| format!("train.devices={value}")));
    let checked = Recipe::default().with_sets(&sets).and_then(|mut any| {
        if !is_toml {
            any.train.devices = value.split(',').map(|device| device.trim().to_owned()).collect();
        }
        any.validate().map(|()| any.train.devices)
    });
    checked.map_err(|e| e.problems().iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "))
}

/// Where a run stands whose host can be reached.
pub fn standing(run: &RunDir) -> Option<(Standing, u32)> {
    run.owner()?;
    let handle = session::attach(run).ok()?;
    Some((handle.standing()?.clone(), handle.host_pid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_with_commas_or_as_in_a_recipe() {
        let some = |names: &[&str]| Ok(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(devices("cuda:1"), some(&["cuda:1"]));
        assert_eq!(devices("cuda:0, cuda:1"), some(&["cuda:0", "cuda:1"]));
        assert_eq!(devices("cpu:0,cpu:1"), some(&["cpu:0", "cpu:1"]));
        assert_eq!(devices("[\"cuda:0\", \"cuda:1\"]"), some(&["cuda:0", "cuda:1"]));
        for (value, words) in [
            ("gpu,cuda:1", "\"gpu\" is no device"),
            ("cuda:0,cuda:0", "listed twice"),
            ("cuda:0,", "is missing"),
            ("[1]", ""),
            ("", "is missing"),
        ] {
            let why = devices(value).unwrap_err();
            assert!(why.contains(words) && !why.contains("--set"), "{value}: {why}");
        }
    }
}
