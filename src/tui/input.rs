//! The thread that reads the keyboard, and the one that takes signals. Both end with the process or when told to.
//!
//! crossterm's reader spins at 100 % when the terminal disappears, so the descriptor is watched for that first. Where it
//! is in the middle of an escape sequence at that moment, [`super::terminal::abandon`] gives it something to wait on.
//!
//! crossterm watches the terminal edge-triggered, and SIGWINCH beside it. Where one look finds both, it tells of the new size
//! and forgets that there is something to read: a key would lie there until the next one comes. So it looks as soon as the
//! signal does, before a key can be typed; and where keys lie there all the same, the terminal is made to tell of them again.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::app::keys::{Code, Key};
use crate::app::pointer::Pointer;

/// What comes in from outside.
#[derive(Debug)]
pub enum Input {
    /// A key.
    Key(Key),
    /// The mouse, at a column and row.
    Pointer(Pointer, u16, u16),
    /// Pasted text.
    Paste(String),
    /// The window's size may have changed.
    Resized,
    /// The process is asked to end.
    Terminate(&'static str),
    /// The terminal is gone.
    HungUp,
    /// Another process asks this one to stop for a while.
    Stop,
    /// The process goes on after a stop.
    Continued,
}

/// Stops the keyboard thread when dropped.
pub struct Keyboard {
    /// Its closing wakes the thread.
    _alive: OwnedFd,
}

/// Starts reading the keyboard. `send` returns false when nobody listens any more.
pub fn keyboard(send: impl Fn(Input) -> bool + Send + 'static) -> io::Result<Keyboard> {
    let (wake, alive) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (resized, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // crossterm's own handler first: the signal runs them in this order, and it is to know of the size when it is asked.
    let _ = crossterm::event::poll(Duration::ZERO);
    signal_hook::low_level::pipe::register(SIGWINCH, tell)?;
    let work = move || {
        while let Some(has_bytes) = wait(&wake, &resized) {
            let mut came = false;
            loop {
                match crossterm::event::poll(Duration::ZERO) {
                    Ok(true) => came = true,
                    Ok(false) => break,
                    Err(_) => {
                        send(Input::HungUp);
                        return;
                    }
                }
                let Ok(event) = crossterm::event::read() else { break };
                if let Some(input) = translate(event)
                    && !send(input)
                {
                    return;
                }
            }
            // It read nothing of what is there.
            if has_bytes && !came && is_readable() {
                super::terminal::nudge();
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Either the screen is closed, and nobody listens, or the terminal is gone.
        send(Input::HungUp);
    };
    std::thread::Builder::new().name("frostline-keys".to_owned()).spawn(work)?;
    Ok(Keyboard { _alive: alive })
}

/// Waits for something to read, which is true, or for another size; `None` when the terminal is gone or the screen is closed.
fn wait(wake: &OwnedFd, resized: &OwnedFd) -> Option<bool> {
    loop {
        let stdin = io::stdin();
        let mut fds = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(wake, PollFlags::empty()),
            PollFd::new(resized, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if fds[0].revents().intersects(gone) || !fds[1].revents().is_empty() {
            return None;
        }
        let (has_bytes, is_resized) = (fds[0].revents().contains(PollFlags::IN), !fds[2].revents().is_empty());
        if is_resized {
            // Signals that came together are one.
            while rustix::io::read(resized, &mut [0; 64]).is_ok_and(|n| n > 0) {}
        }
        if has_bytes || is_resized {
            return Some(has_bytes);
        }
    }
}

/// Whether the terminal holds something to read at this moment.
fn is_readable() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0) && fds[0].revents() == PollFlags::IN
}

/// Starts taking signals.
pub fn signals(send: impl Fn(Input) -> bool + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT])?;
    let work = move || {
        for signal in signals.forever() {
            let input = match signal {
                SIGTERM => Input::Terminate("SIGTERM"),
                SIGINT => Input::Terminate("SIGINT"),
                SIGUSR1 => Input::Terminate("SIGUSR1"),
                SIGHUP => Input::HungUp,
                SIGTSTP => Input::Stop,
                SIGCONT => Input::Continued,
                _ => Input::Resized,
            };
            if !send(input) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("frostline-signals".to_owned()).spawn(work)?;
    Ok(())
}

fn translate(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
            let code = match key.code {
                // Enter that was typed before the terminal was in raw mode comes as a line feed.
                KeyCode::Char('j') if ctrl => {
                    return Some(Input::Key(Key { code: Code::Enter, ctrl: false, alt: false }));
                }
                // Control and a letter is one key, however shift and caps lock stand.
                KeyCode::Char(c) if ctrl => Code::Char(c.to_ascii_lowercase()),
                KeyCode::Char(c) => Code::Char(c),
                KeyCode::Enter => Code::Enter,
                KeyCode::Esc => Code::Esc,
                KeyCode::Tab => Code::Tab,
                KeyCode::BackTab => Code::BackTab,
                KeyCode::Backspace => Code::Backspace,
                KeyCode::Delete => Code::Delete,
                KeyCode::Insert => Code::Insert,
                KeyCode::Up => Code::Up,
                KeyCode::Down => Code::Down,
                KeyCode::Left => Code::Left,
                KeyCode::Right => Code::Right,
                KeyCode::Home => Code::Home,
                KeyCode::End => Code::End,
                KeyCode::PageUp => Code::PageUp,
                KeyCode::PageDown => Code::PageDown,
                KeyCode::F(n) => Code::F(n),
                _ => return None,
            };
            Some(Input::Key(Key { code, ctrl, alt: key.modifiers.contains(KeyModifiers::ALT) }))
        }
        Event::Mouse(mouse) => {
            let what = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Pointer::Click,
                MouseEventKind::Drag(MouseButton::Left) => Pointer::Drag,
                MouseEventKind::Up(MouseButton::Left) => Pointer::Release,
                MouseEventKind::ScrollDown => Pointer::Wheel(1),
                MouseEventKind::ScrollUp => Pointer::Wheel(-1),
                _ => return None,
            };
            Some(Input::Pointer(what, mouse.column, mouse.row))
        }
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn keys_are_taken_as_the_table_writes_them() {
        let of = |code, modifiers| match translate(Event::Key(KeyEvent::new(code, modifiers))) {
            Some(Input::Key(key)) => key.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(of(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(of(KeyCode::Char('C'), KeyModifiers::CONTROL), "ctrl-c");
        assert_eq!(of(KeyCode::Char('j'), KeyModifiers::CONTROL), "enter", "typed before the screen stood");
        assert_eq!(of(KeyCode::Char(' '), KeyModifiers::NONE), "space");
        assert_eq!(of(KeyCode::BackTab, KeyModifiers::SHIFT), "backtab");
        assert_eq!(of(KeyCode::Char('x'), KeyModifiers::ALT), "alt-x");
    }
}
