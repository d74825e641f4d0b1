//! What train, resume and fork share: start a run, print its id, show its progress, stop it in order.

use std::time::Duration;

use super::context::Context;
use super::error::{CliError, Done};
use super::io::Io;
use super::progress::Progress;
use crate::core::command::Command;
use crate::core::event::{Event, Record};
use crate::session::{Outcome, RunHandle, Session, Start};
use crate::tui;

/// How a run is followed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct FollowArgs {
    /// Open the workbench on the run
    #[arg(long)]
    pub watch: bool,
    /// Say warnings and errors alone
    #[arg(short, long)]
    pub quiet: bool,
}

/// How long the terminal waits for news; signals are looked at in between.
const LOOK: Duration = Duration::from_millis(100);

/// Starts a run and stays with it until it is over.
pub fn start(start: Start, args: FollowArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if args.watch {
        return watch(start, cx);
    }
    let engine = cx.engine()?;
    // From here on a signal means: finish the step and write a checkpoint.
    cx.io.interrupt.listen().map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
    let handle = Session::start(engine, cx.home(), start)?;
    // A script may close its end as soon as it has the id; the run goes on.
    let printed = cx.io.print(handle.id().as_str()).and_then(|()| cx.io.flush());
    if !matches!(printed, Ok(()) | Err(CliError::OutputClosed)) {
        cx.io.say("warning: the run's id could not be written to stdout");
    }
    follow(handle, args.quiet, cx.io)
}

/// The workbench on the run; the id is printed once the screen is left.
fn watch(start: Start, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let mut options = tui::Options::new(cx.take_engine(), cx.home().clone());
    options.watch = Some(start);
    let exit = tui::run(options)?;
    let Some(id) = exit.run else { return Ok(Done::Ok) };
    cx.io.print(&id)?;
    match exit.outcome {
        Some(outcome) => ended(outcome, &id, cx.io),
        None => Ok(Done::Ok),
    }
}

fn follow(handle: RunHandle, quiet: bool, io: &mut Io) -> Result<Done, CliError> {
    let id = handle.id().to_string();
    let mut progress = Progress::new(io, quiet);
    let mut summary = Summary::default();
    let mut stopping = false;
    loop {
        // Looked at before the queue is emptied: what comes in between is seen in the next round.
        let over = handle.is_over();
        for record in handle.drain() {
            summary.fold(&record);
            progress.take(&record, io);
        }
        if over {
            break;
        }
        if let Some(reason) = io.interrupt.asked().filter(|_| !stopping) {
            stopping = true;
            progress.say(io, &format!("{reason}: finishing the step and writing a checkpoint; once more ends at once"));
            handle.send(Command::Stop { reason: reason.to_owned() });
        }
        handle.wait(LOOK);
    }
    progress.finish();
    let outcome = handle.join();
    if matches!(outcome, Outcome::Finished { .. }) && !quiet {
        io.say(&format!("finished: {}run {id}", summary.words()));
    }
    ended(outcome, &id, io)
}

/// The end of a run as an exit code, and what to do next.
pub fn ended(outcome: Outcome, id: &str, io: &mut Io) -> Result<Done, CliError> {
    match outcome {
        Outcome::Finished { .. } => Ok(Done::Ok),
        Outcome::Stopped { step, reason } => {
            io.say(&format!(
                "stopped at step {step} ({reason}), after a checkpoint; go on with: frostline resume {id}"
            ));
            Ok(Done::Stopped)
        }
        Outcome::Failed { message } => Err(CliError::Failed(format!("run {id}: {message}"))),
        Outcome::AlreadyFinished => {
            io.say(&format!("run {id} is finished already; --set train.epochs=N makes it longer"));
            Ok(Done::Ok)
        }
    }
}

/// What the last line says of a run.
#[derive(Debug, Default)]
struct Summary {
    step: u64,
    started: Option<u64>,
    now: u64,
    last: crate::core::event::Metrics,
}

impl Summary {
    fn fold(&mut self, record: &Record) {
        self.step = self.step.max(record.step);
        self.now = record.time_ms;
        self.started.get_or_insert(record.time_ms);
        if let Event::Validation { metrics, .. } = &record.event {
            self.last.clone_from(metrics);
        }
    }

    fn words(&self) -> String {
        let seconds = self.now.saturating_sub(self.started.unwrap_or(self.now)) as f64 / 1000.0;
        let mut words = format!("step {} in {}, ", self.step, crate::app::format::duration(seconds));
        if !self.last.is_empty() {
            words.push_str(&format!("{}, ", super::output::metrics(&self.last)));
        }
        words
    }
}
