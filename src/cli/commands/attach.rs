//! `frostline attach`: watch a run that lives in another process.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::workbench;
use crate::cli::bell::Bell;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow;
use crate::cli::io::Io;
use crate::cli::progress::Progress;
use crate::cli::settings;
use crate::core::alerts::Alerts;
use crate::core::command::HANDED_OVER;
use crate::core::control::Standing;
use crate::core::event::{Event, Record};
use crate::core::run::RunDir;
use crate::session::{self, AttachError, Outcome, RunHandle};

/// Arguments of `frostline attach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// Show its progress as `train` does, without the workbench; so it is where there is no terminal
    #[arg(long)]
    pub plain: bool,
    /// With --plain: say warnings and errors alone
    #[arg(short, long)]
    pub quiet: bool,
}

/// How long the terminal waits for news; signals are looked at in between.
const LOOK: Duration = Duration::from_millis(100);

/// How long a host is waited for without a word.
const SILENCE: Duration = Duration::from_secs(2);
/// Time in which a run is resumed whose host was killed, where no process is known to do so (`--retries`).
const RESUMED: Duration = Duration::from_secs(15);
/// The same, once the next host has the run's lock and gets the model and the data ready.
const STARTED: Duration = Duration::from_secs(60);

/// Opens the workbench on the run, or follows it in plain text until it ends.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let plain = args.plain || args.quiet || !std::io::stdin().is_terminal() || !cx.io.out_is_terminal;
    if !plain {
        // Refused before the screen is entered, which follows a run that is about to be resumed.
        match reach(&run, cx.io) {
            Err(AttachError::NotLive { supervisor: Some(_), .. }) => {}
            tried => drop(tried?),
        }
        return workbench::open(Some(run.id().to_string()), cx);
    }
    let alerts = settings::alerts(None, true, cx)?;
    let first = reach(&run, cx.io);
    cx.io.interrupt.listen().map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
    let mut handle = match first {
        Err(AttachError::NotLive { supervisor: Some(_), .. }) => match next_host(&run, cx.io) {
            Next::Host(next) => *next,
            Next::Left => return Ok(Done::Ok),
            Next::Ended(outcome) => return follow::ended(outcome, run.id().as_str(), None, cx.io),
            Next::Nobody => reach(&run, cx.io)?,
        },
        tried => tried?,
    };
    loop {
        let mut outcome = match watch(handle, args.quiet, &alerts, cx.io) {
            None => return Ok(Done::Ok),
            Some(outcome) => outcome,
        };
        if session::last_word(&run).is_none() || is_tried_again(&outcome, &run) {
            match next_host(&run, cx.io) {
                Next::Host(next) => {
                    handle = *next;
                    continue;
                }
                Next::Ended(said) => outcome = said,
                // A host that was being killed then is gone now.
                Next::Nobody => outcome = session::no_word(&run),
                Next::Left => return Ok(Done::Ok),
            }
        }
        match &outcome {
            Outcome::Stopped { reason, .. } if reason == HANDED_OVER => handle = reach(&run, cx.io)?,
            Outcome::Finished { step, .. } if !args.quiet => {
                cx.io.say(&format!("finished: step {step}, run {}", run.id()));
                return follow::ended(outcome, run.id().as_str(), None, cx.io);
            }
            _ => return follow::ended(outcome, run.id().as_str(), None, cx.io),
        }
    }
}

/// Connects, and says so where that takes longer than a user waits without a word.
fn reach(run: &RunDir, io: &mut Io) -> Result<RunHandle, AttachError> {
    std::thread::scope(|scope| {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        scope.spawn(move || {
            let _ = done.send(session::attach_patiently(run));
        });
        let tried = answer.recv_timeout(SILENCE).or_else(|_| {
            let host = run.owner().map_or_else(|| "its next host".to_owned(), |owner| format!("process {}", owner.pid));
            io.say(&format!("run {}: waiting for {host} to answer", run.id()));
            answer.recv()
        });
        tried.unwrap_or_else(|_| Err(AttachError::not_live(run)))
    })
}

/// What comes after a host that ended without a word.
enum Next {
    Host(Box<RunHandle>),
    /// Another one was there, and the run has ended.
    Ended(Outcome),
    Nobody,
    /// The user no longer waits.
    Left,
}

/// Whether the process beside the host will resume the run.
fn is_tried_again(outcome: &Outcome, run: &RunDir) -> bool {
    matches!(outcome, Outcome::Failed { .. }) && run.supervisor().is_some()
}

/// A host that was killed may have a process beside it (`--retries`) which resumes the run.
fn next_host(run: &RunDir, io: &mut Io) -> Next {
    let start = Instant::now();
    let mut said = false;
    loop {
        match session::attach(run) {
            Ok(handle) => return Next::Host(Box::new(handle)),
            Err(AttachError::NotLive { .. }) if start.elapsed() < RESUMED || run.supervisor().is_some() => {}
            Err(e) if e.is_passing() && start.elapsed() < STARTED => {}
            Err(_) => return Next::Nobody,
        }
        if let Some(outcome) = session::last_word(run).filter(|outcome| !is_tried_again(outcome, run)) {
            return Next::Ended(outcome);
        }
        if !std::mem::replace(&mut said, true) {
            let what = match run.supervisor() {
                Some(owner) => format!("until process {} resumes it", owner.pid),
                None => format!("{} s for another that resumes it", RESUMED.as_secs()),
            };
            io.say(&format!("warning: run {}: its host has ended; waiting {what}", run.id()));
        }
        if io.interrupt.asked().is_some() || io.interrupt.hung_up() {
            io.say(&format!("left; `frostline show {}` tells how the run stands", run.id()));
            return Next::Left;
        }
        std::thread::sleep(LOOK);
    }
}

/// Shows the run until it ends; `None` where the user left it.
fn watch(handle: RunHandle, quiet: bool, alerts: &Alerts, io: &mut Io) -> Option<Outcome> {
    let mut progress = Progress::new(io, quiet);
    let mut bell = Bell::new(handle.dir(), alerts);
    if let Some(standing) = handle.standing() {
        catch_up(standing, &mut progress, io);
    }
    loop {
        let over = handle.is_over();
        for record in handle.drain() {
            progress.take(&record, io);
            if let Some(bell) = &mut bell {
                bell.take(&record, io);
            }
        }
        if over {
            progress.finish();
            return Some(handle.join());
        }
        if io.interrupt.asked().is_some() || io.interrupt.hung_up() {
            progress.finish();
            io.say(&format!("left; run {} goes on in process {}", handle.id(), handle.host_pid()));
            return None;
        }
        handle.wait(LOOK);
    }
}

/// Shows where the run stands. The last validation's values belong to an earlier step, or are on their way as an event: they
/// are for the lines to come, and make none.
fn catch_up(standing: &Standing, progress: &mut Progress, io: &mut Io) {
    for record in so_far(standing) {
        match record.event {
            Event::Validation { .. } => progress.recall(&record),
            _ => progress.take(&record, io),
        }
    }
}

/// What a newcomer would have heard.
fn so_far(standing: &Standing) -> Vec<Record> {
    let record = |event| Record { time_ms: standing.time_ms, step: standing.step, event };
    let resumed_from = (standing.step > 0).then_some(standing.step);
    let Standing { steps, steps_per_epoch, devices, .. } = standing.clone();
    let started = Event::Started { steps, steps_per_epoch, devices, resumed_from };
    let (validation, step) = standing.metrics.clone().into_iter().partition(|(name, _)| name.starts_with("val/"));
    let mut records = vec![record(started), record(Event::Step { epoch: standing.epoch, metrics: step })];
    let validation: crate::core::event::Metrics = validation;
    if !validation.is_empty() {
        records.push(record(Event::Validation { epoch: standing.epoch, metrics: validation }));
    }
    if standing.status == crate::core::run::RunStatus::Paused {
        records.push(record(Event::Paused));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Metrics;

    #[test]
    fn who_joins_at_a_validation_gets_one_line_with_its_values() {
        let (mut io, captured) = Io::captured();
        let mut progress = Progress::new(&io, false);
        let metrics = |loss| Metrics::from([("train/loss".to_owned(), 0.5), ("val/loss".to_owned(), loss)]);
        let standing =
            Standing { step: 50, steps: 100, steps_per_epoch: 25, metrics: metrics(0.75), ..Standing::default() };
        catch_up(&standing, &mut progress, &mut io);
        let validation = Event::Validation { epoch: 1, metrics: Metrics::from([("val/loss".to_owned(), 0.25)]) };
        progress.take(&Record { time_ms: 1, step: 50, event: validation }, &mut io);
        let said = captured.stderr();
        assert_eq!(said.matches("step 50/").count(), 1, "{said}");
        assert!(said.contains("val/loss 0.2500") && !said.contains("0.7500"), "{said}");
    }
}
