//! The terminal: entered, restored on every way out, lent to the shell while suspended.
//!
//! While the screen is up, the process's own stdout and stderr go to a log file, so that no print of a library can
//! reach the screen; drawing goes through a descriptor of its own.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use super::TuiError;
use crate::session;

/// What a restore needs; kept where the panic hook finds it.
struct Entered {
    tty: File,
    stdout: OwnedFd,
    stderr: OwnedFd,
    owner: ThreadId,
}

/// Clicks, the wheel and drags, told in SGR's way; not every movement, as crossterm's own command asks for: each would
/// cross the line.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// Whether the mouse is asked for.
static MOUSE: AtomicBool = AtomicBool::new(true);

/// Leaves the mouse to the terminal, for its own selection.
pub fn without_mouse() {
    MOUSE.store(false, Ordering::Relaxed);
}

/// The one entered terminal of the process.
static ENTERED: Mutex<Option<Entered>> = Mutex::new(None);

/// Whether a screen can be drawn here; the error names the headless commands.
pub fn check(stdout_may_be_piped: bool) -> Result<(), TuiError> {
    let term = std::env::var("TERM").unwrap_or_default();
    if !io::stdin().is_terminal() || !(stdout_may_be_piped || io::stdout().is_terminal()) {
        return Err(TuiError::NoTerminal("input and output are not a terminal".to_owned()));
    }
    if term.is_empty() || term == "dumb" {
        return Err(TuiError::NoTerminal(format!("TERM is `{term}`: this terminal cannot place text")));
    }
    Ok(())
}

/// Columns and rows; 0 where the terminal does not say.
pub fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdin()) {
        Ok(size) => (size.ws_col, size.ws_row),
        Err(_) => (0, 0),
    }
}

/// Enters the screen; prints of the process go to `log` from here on. Gives the descriptor to draw on.
pub fn enter(log: &Path) -> Result<File, TuiError> {
    // A controlling terminal of its own: stdout may be a pipe (`id=$(frostline train r.toml --watch)`).
    let tty = File::options().read(true).write(true).open("/dev/tty");
    let tty = tty.or_else(|_| io::stdin().as_fd().try_clone_to_owned().map(File::from));
    let tty = tty.map_err(|e| TuiError::io("the terminal cannot be opened", &e))?;
    let draw = tty.try_clone().map_err(|e| TuiError::io("the terminal cannot be opened", &e))?;
    let keep = |fd: io::Result<OwnedFd>| fd.map_err(|e| TuiError::io("output cannot be set aside", &e));
    let stdout = keep(io::stdout().as_fd().try_clone_to_owned())?;
    let stderr = keep(io::stderr().as_fd().try_clone_to_owned())?;
    install_hook();
    let entered = Entered { tty, stdout, stderr, owner: std::thread::current().id() };
    let mut slot = lock();
    if let Err(e) = switch_on(&entered.tty) {
        switch_off(&entered);
        return Err(TuiError::io("the terminal cannot be put into raw mode", &e));
    }
    *slot = Some(entered);
    drop(slot);
    redirect(log);
    Ok(draw)
}

fn lock() -> std::sync::MutexGuard<'static, Option<Entered>> {
    ENTERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn switch_on(mut tty: &File) -> io::Result<()> {
    enable_raw_mode()?;
    execute!(tty, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
    if MOUSE.load(Ordering::Relaxed) { execute!(tty, Print(MOUSE_ON)) } else { Ok(()) }
}

/// Best effort: on a terminal that is gone nothing of this can succeed, and nothing needs to.
fn switch_off(entered: &Entered) {
    let mut tty = &entered.tty;
    let _ = queue!(tty, Print(MOUSE_OFF), DisableBracketedPaste, Show, LeaveAlternateScreen);
    let _ = tty.flush();
    let _ = disable_raw_mode();
}

/// Sends what the process prints to another log, as that of the run that was just started.
pub fn redirect(log: &Path) {
    let file = File::options().create(true).append(true).open(log).or_else(|_| File::create("/dev/null"));
    if let (Ok(file), true) = (file, lock().is_some()) {
        let _ = io::stdout().flush();
        let _ = dup2_stdout(&file);
        let _ = dup2_stderr(&file);
    }
}

/// Gives the terminal back as it was. Does nothing when it was not entered, or was restored already.
pub fn restore() {
    let Some(entered) = lock().take() else { return };
    give_back(&entered);
}

/// The terminal is gone: nothing is given back. Output goes on into the log, and input comes from a pipe that nobody
/// writes to, so that a reader which does not know better (crossterm's, in the middle of an escape sequence) sleeps there.
pub fn abandon() {
    if lock().take().is_none() {
        return;
    }
    static SILENT: Mutex<Option<OwnedFd>> = Mutex::new(None);
    if let Ok((read, write)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        && rustix::stdio::dup2_stdin(&read).is_ok()
    {
        *SILENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(write);
    }
}

/// [`restore`], waiting at most a second for a terminal that takes no output.
pub fn restore_soon() {
    let Some(entered) = lock().take() else { return };
    let (done, wait) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        give_back(&entered);
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("frostline-restore".to_owned()).spawn(work).is_ok() {
        let _ = wait.recv_timeout(std::time::Duration::from_secs(1));
    }
}

fn give_back(entered: &Entered) {
    switch_off(entered);
    let _ = io::stdout().flush();
    let _ = dup2_stdout(&entered.stdout);
    let _ = dup2_stderr(&entered.stderr);
}

/// Gives the terminal back and stops the process group until the shell brings it back. The stop may take effect after
/// this has returned: nothing is drawn until SIGCONT comes, which calls for [`resume`]. Without a shell that could
/// continue it (a session leader), it says so.
pub fn suspend() -> Result<(), String> {
    // The first process of a container is one that nothing in there can stop.
    if std::process::id() == 1 || session::leads_its_session() {
        return Err("no shell to go back to: this terminal started frostline itself".to_owned());
    }
    if let Some(entered) = lock().as_ref() {
        switch_off(entered);
    }
    // SIGSTOP, because SIGTSTP has a handler of ours; the whole group, so that `make run` stops too.
    let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
    stopped.map_err(|e| {
        resume();
        format!("the process cannot be stopped: {e}")
    })
}

/// Enters again after a stop. The shell may have changed the modes in between, whatever crossterm remembers.
pub fn resume() {
    if let Some(entered) = lock().as_ref() {
        let _ = disable_raw_mode();
        let _ = switch_on(&entered.tty);
    }
}

/// Has the terminal tell again that there is something to read, for a reader that was told and did not read: setting its modes,
/// the same ones, wakes all who wait for it.
pub fn nudge() {
    // Under the lock nobody gives the terminal back in between.
    let slot = lock();
    if slot.is_some()
        && let Ok(modes) = rustix::termios::tcgetattr(io::stdin())
    {
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &modes);
    }
}

/// A panic of the drawing thread restores the terminal before its message is printed. Panics of other threads (a
/// trainer's is caught and told by the session) go to the log and leave the screen alone.
fn install_hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let own = ENTERED
                .try_lock()
                .ok()
                .is_some_and(|slot| slot.as_ref().is_some_and(|entered| entered.owner == std::thread::current().id()));
            if own {
                restore();
            }
            previous(info);
        }));
    });
}

#[cfg(test)]
mod tests;
