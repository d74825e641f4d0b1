//! A command of the user's that is run when something deserves an alert: without a shell, with the facts on its stdin and
//! in its environment, and for a bounded time. What goes wrong with it is a line in the run's log and harms nothing.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::core::alerts::{Alert, Alerts, Watch};
use crate::core::event::{Event, Record};
use crate::core::run::{RunDir, RunMeta};
use crate::engine::train::{Bus, Reader, now_ms};

/// Time that a command has; then it is killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Silence after which it is looked whether a command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Starts the thread that runs the command for a run of this process. It ends when the bus is closed and the last command
/// has ended.
pub(super) fn start(run: &RunDir, alerts: Alerts, reader: Reader, bus: Arc<Bus>) -> Option<JoinHandle<()>> {
    if alerts.command.is_empty() {
        return None;
    }
    let (run, meta) = (run.clone(), run.meta().ok()?);
    let work = move || {
        let monitor = &meta.recipe.checkpoint.monitor;
        let mut watch = Watch::new(monitor, meta.recipe.monitor_mode(), alerts.plateau);
        loop {
            let over = reader.is_closed();
            for alert in reader.drain().iter().filter_map(|r| watch.fold(r)).filter(|a| alerts.tells(a.kind)) {
                if let Err(problem) = tell(&alerts, &run, &meta, &alert) {
                    complain(&run, &bus, alert.step, &problem);
                }
            }
            if over {
                return;
            }
            reader.wait(Duration::from_secs(3600));
        }
    };
    std::thread::Builder::new().name("alerts".to_owned()).spawn(work).ok()
}

/// Runs the command for one alert, if there is a command and this kind is told. What goes wrong is written to the log.
pub fn alert(alerts: &Alerts, run: &RunDir, alert: &Alert) {
    let told = match run.meta() {
        Ok(meta) if !alerts.command.is_empty() && alerts.tells(alert.kind) => tell(alerts, run, &meta, alert),
        _ => Ok(()),
    };
    if let Err(problem) = told {
        note(run, &problem);
    }
}

fn complain(run: &RunDir, bus: &Bus, step: u64, problem: &str) {
    note(run, problem);
    bus.push(Record { time_ms: now_ms(), step, event: Event::Warning { message: problem.to_owned() } });
}

/// A line in the host's log.
fn note(run: &RunDir, problem: &str) {
    if let Ok(mut log) = File::options().append(true).create(true).open(run.log_path()) {
        let _ = writeln!(log, "{problem}");
    }
}

/// What the command reads on its stdin.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    alert: &'a Alert,
    run: &'a str,
    name: &'a str,
    path: &'a std::path::Path,
}

fn tell(alerts: &Alerts, run: &RunDir, meta: &RunMeta, alert: &Alert) -> Result<(), String> {
    let Some((program, args)) = alerts.command.split_first() else { return Ok(()) };
    let words = format!("on_event: `{}`", alerts.command.join(" "));
    let log =
        || File::options().append(true).create(true).open(run.log_path()).map_or_else(|_| Stdio::null(), Stdio::from);
    let mut child = Command::new(program)
        .args(args)
        .env("FROSTLINE_EVENT", alert.kind.name())
        .env("FROSTLINE_RUN", run.id().as_str())
        .env("FROSTLINE_NAME", &meta.name)
        .env("FROSTLINE_STEP", alert.step.to_string())
        .env("FROSTLINE_MESSAGE", &alert.message)
        .env("FROSTLINE_PATH", run.path())
        .stdin(Stdio::piped())
        .stdout(log())
        .stderr(log())
        .spawn()
        .map_err(|e| format!("{words} cannot be started: {e}"))?;
    let told = Told { alert, run: run.id().as_str(), name: &meta.name, path: run.path() };
    if let Some(mut stdin) = child.stdin.take() {
        // A few hundred bytes, which fit into the pipe; a command that does not read them is none the worse for it.
        let _ = serde_json::to_writer(&mut stdin, &told);
    }
    wait(&mut child).map_err(|why| format!("{words} {why}"))
}

fn wait(child: &mut Child) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed: {status}")),
            Ok(None) if Instant::now() < end => std::thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("was killed: it took more than {} s", PATIENCE.as_secs()));
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}
