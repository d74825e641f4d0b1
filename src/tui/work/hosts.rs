//! Other processes that host runs: connecting to one, and starting one that takes a run over.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::files::open;
use super::{Job, Places, next, run_dir};
use crate::app::effect::Effect;
use crate::app::message::{AttachedRun, Message};
use crate::session::{self, AttachError, Begun, Manner};
use crate::tui::post::Post;

/// Time that a host has to start or to end before the screen is told. Other runs wait as long.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting = VecDeque::new();
    while let Some(job) = next(queue, &mut waiting) {
        let open = match job {
            Job::Effect(Effect::Attach(run)) => attach(places, run, post),
            Job::Effect(Effect::HandOver { run, paused }) => {
                post.message(Message::HandedOver(hand_over(places, &run, paused)))
            }
            _ => true,
        };
        if !open {
            return;
        }
    }
}

fn for_good(problem: String) -> (String, bool) {
    (problem, false)
}

fn attach(places: &Places, id: String, post: &Post) -> bool {
    let attached = run_dir(places, &id).map_err(for_good).and_then(|run| {
        // Connected first: what comes while the files are read is in the stream.
        let handle = session::attach_within(&run, PATIENCE).map_err(|e| {
            // One that is not live after all: its files say so soon.
            let passing = e.is_passing() || matches!(e, AttachError::NotLive { .. });
            (e.to_string(), passing)
        })?;
        Ok((open(&run).map_err(for_good)?, handle))
    });
    match attached {
        Ok((opened, handle)) => {
            let attached = AttachedRun { opened, tree: handle.tree(), pid: handle.host_pid() };
            post.attached(handle, Message::Attached(Box::new(attached)))
        }
        Err((problem, passing)) => post.message(Message::NotAttached { run: id, problem, passing }),
    }
}

/// Starts `frostline resume` in the background.
fn hand_over(places: &Places, run: &str, paused: bool) -> Result<u32, String> {
    let home = places.home.path().as_os_str().to_owned();
    let mut args: Vec<OsString> = vec!["--home".into(), home, "resume".into(), run.into(), "--daemon".into()];
    args.extend(paused.then(|| "--paused".into()));
    let command = places.alerts.command.iter().map(String::as_str);
    if let Some(command) = shlex::try_join(command).ok().filter(|c| !c.is_empty()) {
        args.push(format!("--on-event={command}").into());
    }
    match session::launch(&places.program, args, Manner::Alone) {
        Ok(Begun::Started { pid, .. }) => Ok(pid),
        Ok(Begun::AlreadyFinished { .. }) => Err("the run is finished".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}
