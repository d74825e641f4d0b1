//! `--detach`: the command line again, in a process of its own in the background.

use std::ffi::OsString;

use super::context::Context;
use super::error::{CliError, Done};
use crate::session::{Begun, LaunchError, Manner, launch};

/// The hidden option of the process in the background.
pub const DAEMON: &str = "--daemon";

/// Starts this command line in the background, prints the run's id, and how to get back to it.
pub fn start(cx: &mut Context<'_>) -> Result<Done, CliError> {
    match launch(&cx.io.program, in_background(&cx.args), Manner::Watched) {
        Ok(begun) => say(&begun, cx),
        // It has said why on the same stderr.
        Err(LaunchError::Ended { code: Some(code), .. }) => Err(CliError::Said(u8::try_from(code).unwrap_or(1))),
        Err(e) => Err(CliError::failed(e)),
    }
}

fn say(begun: &Begun, cx: &mut Context<'_>) -> Result<Done, CliError> {
    match begun {
        Begun::Started { run, pid } => {
            cx.io.print(run)?;
            cx.io.say(&in_words(run, *pid));
        }
        Begun::AlreadyFinished { run } => cx.io.print(run)?,
    }
    Ok(Done::Ok)
}

/// Where a run in the background is, and how to get back to it.
pub fn in_words(run: &str, pid: u32) -> String {
    format!(
        "run {run} goes on in the background (process {pid}); watch it with: frostline attach {run}; end it with: frostline \
         stop {run}"
    )
}

/// The arguments of the process in the background.
fn in_background(args: &[OsString]) -> Vec<OsString> {
    let options = args.iter().position(|a| a == "--").unwrap_or(args.len());
    let kept = args.iter().enumerate().filter(|(i, a)| *i >= options || *a != "--detach").map(|(_, a)| a.clone());
    let mut kept: Vec<OsString> = kept.collect();
    let end = kept.iter().position(|a| a == "--").unwrap_or(kept.len());
    kept.insert(end, DAEMON.into());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_gets_the_same_command_line() {
        let of = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            in_background(&args).into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&["train", "--detach", "r.toml", "--set", "a=b"]), "train r.toml --set a=b --daemon");
        assert_eq!(of(&["train", "--detach", "--", "--detach"]), "train --daemon -- --detach");
    }
}
