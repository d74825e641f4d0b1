//! What train, resume and fork share: start a run, print its id, show its progress, stop it in order.

use std::sync::Arc;
use std::time::Duration;

use super::bell::Bell;
use super::context::Context;
use super::detach;
use super::error::{CliError, Done};
use super::guard::Guard;
use super::io::Io;
use super::progress::Progress;
use super::{settings, supervise};
use crate::core::alerts::Alerts;
use crate::core::event::{Event, Record};
use crate::session::{Begun, Extras, Outcome, RunHandle, Session, Start, leave_terminal, redirect_to};
use crate::tui;

/// How a run is followed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FollowArgs {
    /// Open the workbench on the run
    #[arg(long)]
    pub watch: bool,
    /// Say warnings and errors alone
    #[arg(short, long)]
    pub quiet: bool,
    /// Leave it running in the background: prints the id and ends as soon as the run has begun
    #[arg(long, conflicts_with = "watch")]
    pub detach: bool,
    /// For jobs that a scheduler starts again: when a signal stops the run, print the command that goes on as the last line of stdout and
    /// exit with CODE
    #[arg(long, value_name = "CODE", num_args = 0..=1, require_equals = true, default_missing_value = "99")]
    pub requeue: Option<u8>,
    /// Resume the run when its process crashes (a broken driver, out of memory), until it has crashed N + 1 times in a row without a newer
    /// checkpoint
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    pub retries: Option<u32>,
    /// Run this command when the run finishes, fails, crashes, meets a NaN, or stands still; without a shell, the event on its stdin
    /// [default: alerts.on_event of the settings]
    #[arg(long, value_name = "COMMAND")]
    pub on_event: Option<String>,
    /// This is the process in the background
    #[arg(long, hide = true)]
    pub daemon: bool,
    /// This process is looked after by another one
    #[arg(long, hide = true)]
    pub supervised: bool,
    /// The run was paused and stays so
    #[arg(long, hide = true)]
    pub paused: bool,
}

/// How long the terminal waits for news.
const LOOK: Duration = Duration::from_millis(100);

/// Starts a run and stays with it until it is over.
pub fn start(start: Start, args: FollowArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    // A command that is none is told before anything begins.
    let warn = !args.detach && args.retries.is_none();
    let alerts = settings::alerts(args.on_event.as_deref(), warn, cx)?;
    if args.watch {
        return watch(start, alerts, cx);
    }
    if args.detach {
        return detach::start(cx);
    }
    if let Some(retries) = args.retries {
        return supervise::start(retries, &args, cx);
    }
    let engine = cx.engine()?;
    // From here on a signal means: finish the step and write a checkpoint.
    let listening = match (cx.is_led(), args.supervised) {
        // It does already.
        (true, _) => Ok(()),
        (_, true) => cx.io.interrupt.listen_patiently(),
        _ => cx.io.interrupt.listen(),
    };
    listening.map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
    let extras = Extras { paused: args.paused, alerts: Some(alerts.clone()) };
    let handle = Session::begin(engine, cx.home(), start, extras)?;
    if args.daemon || args.supervised {
        tell_launcher(&handle, args.daemon, cx.io)?;
    } else {
        // A script may close its end as soon as it has the id; the run goes on.
        let printed = cx.io.print(handle.id().as_str()).and_then(|()| cx.io.flush());
        if !matches!(printed, Ok(()) | Err(CliError::OutputClosed)) {
            cx.io.say("warning: the run's id could not be written to stdout");
        }
    }
    follow(handle, &args, &alerts, cx.io)
}

/// Tells whoever launched this process that it has begun; one in the background lets go of the terminal.
fn tell_launcher(handle: &RunHandle, daemon: bool, io: &mut Io) -> Result<(), CliError> {
    let run = handle.id().to_string();
    let begun = if handle.is_over() && handle.tree().modules.is_empty() {
        Begun::AlreadyFinished { run }
    } else {
        Begun::Started { run, pid: std::process::id() }
    };
    // Whoever launched it may be gone; the run is there all the same.
    let _ = begun.say(io.out());
    if daemon && !matches!(begun, Begun::AlreadyFinished { .. }) && io.interrupt.is_of_process() {
        leave_terminal(&handle.dir().log_path());
        io.hush();
    }
    Ok(())
}

/// The workbench on the run; the id is printed once the screen is left.
fn watch(start: Start, alerts: Alerts, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let mut options = tui::Options::new(cx.take_engine(), cx.home().clone());
    options.watch = Some(start);
    options.alerts = Some(alerts);
    options.program = cx.io.program.clone();
    let exit = tui::run(options)?;
    left(exit, true, cx.io)
}

/// The workbench was left, or lost its terminal. `print`: the id of the run that it hosted is a result.
pub fn left(exit: tui::Exit, print: bool, io: &mut Io) -> Result<Done, CliError> {
    if exit.hung_up {
        io.hush();
    }
    if let Some(handle) = exit.alone {
        io.interrupt.listen().map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
        let args = FollowArgs { daemon: true, ..FollowArgs::default() };
        // The run has its own command for alerts, and there is no terminal any more.
        return follow(handle, &args, &Alerts::default(), io);
    }
    let Some(id) = exit.run else { return Ok(Done::Ok) };
    if print {
        io.print(&id)?;
    }
    if let Some((id, pid)) = exit.handed_over {
        io.say(&detach::in_words(&id, pid));
        return Ok(Done::Ok);
    }
    if exit.going_over {
        io.say(&format!(
            "left while a process in the background was taking run {id} over; `frostline show {id}` tells whether it goes on"
        ));
        return Ok(Done::Ok);
    }
    match exit.outcome {
        Some(outcome) => ended(outcome, &id, None, io),
        None => Ok(Done::Ok),
    }
}

/// Shows a run of this process until it is over.
pub fn follow(handle: RunHandle, args: &FollowArgs, alerts: &Alerts, io: &mut Io) -> Result<Done, CliError> {
    let id = handle.id().to_string();
    let mut bell = Bell::new(handle.dir(), alerts);
    let handle = Arc::new(handle);
    let stopped = args.requeue.unwrap_or(Done::Stopped.code());
    let guard = Guard::start(Arc::clone(&handle), io.interrupt.clone(), stopped);
    let guard = guard.map_err(|e| CliError::Failed(format!("a thread cannot be started: {e}")))?;
    let mut progress = Progress::new(io, args.quiet || args.daemon);
    let mut summary = Summary::default();
    let (mut said, mut alone) = (false, args.daemon);
    loop {
        // Looked at before the queue is emptied: what comes in between is seen in the next round.
        let over = handle.is_over();
        for record in handle.drain() {
            summary.fold(&record);
            progress.take(&record, io);
            if let Some(bell) = &mut bell {
                bell.take(&record, io);
            }
        }
        if over {
            break;
        }
        if guard.is_stopping() && !std::mem::replace(&mut said, true) {
            let reason = io.interrupt.asked().unwrap_or_default();
            progress.say(io, &format!("{reason}: finishing the step and writing a checkpoint; once more ends at once"));
        }
        if io.interrupt.hung_up() && !std::mem::replace(&mut alone, true) {
            go_on_alone(&handle, &mut progress, io);
        }
        handle.wait(LOOK);
    }
    progress.finish();
    let outcome = match Arc::try_unwrap(close(guard, handle)) {
        Ok(handle) => handle.join(),
        Err(_) => Outcome::Failed { message: "the run's handle is still in use; this is a bug".to_owned() },
    };
    if matches!(outcome, Outcome::Finished { .. }) && !args.quiet {
        io.say(&format!("finished: {}run {id}", summary.words()));
    }
    ended(outcome, &id, args.requeue, io)
}

/// The guard holds the handle too.
fn close(guard: Guard, handle: Arc<RunHandle>) -> Arc<RunHandle> {
    drop(guard);
    handle
}

/// The terminal has gone away: the run has not.
fn go_on_alone(handle: &RunHandle, progress: &mut Progress, io: &mut Io) {
    progress.hush();
    if io.interrupt.is_of_process() {
        redirect_to(&handle.dir().log_path());
    }
    io.say("the terminal is gone (SIGHUP); the run goes on without it");
    io.hush();
}

/// The end of a run as an exit code, and what to do next.
pub fn ended(outcome: Outcome, id: &str, requeue: Option<u8>, io: &mut Io) -> Result<Done, CliError> {
    match outcome {
        Outcome::Finished { .. } => Ok(Done::Ok),
        Outcome::Stopped { step, reason } => {
            io.say(&format!(
                "stopped at step {step} ({reason}), after a checkpoint; go on with: frostline resume {id}"
            ));
            match requeue.filter(|_| io.interrupt.asked().is_some()) {
                Some(code) => {
                    // A scheduler's script that has closed its end still gets the code.
                    let _ = io.print(&format!("frostline resume {id} --requeue={code}")).and_then(|()| io.flush());
                    Ok(Done::Requeue(code))
                }
                None => Ok(Done::Stopped),
            }
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
