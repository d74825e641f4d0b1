//! A program in a pseudo-terminal, with the picture that a terminal would show.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Nothing takes so long, not on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the reader of the terminal does.
const READING: u8 = 0;
const STALLED: u8 = 1;
const CLOSED: u8 = 2;

pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    shared: Arc<Shared>,
    cooked: String,
}

struct Shared {
    parser: Mutex<vt100::Parser>,
    raw: Mutex<Vec<u8>>,
    state: AtomicU8,
}

/// Arguments that make the test binary the program in the terminal.
pub const CHILD: [&str; 3] = ["--exact", "child", "--nocapture"];

/// Names of all complete checkpoints below a run home.
pub fn checkpoints(home: &Path) -> Vec<String> {
    let runs = std::fs::read_dir(home.join("runs")).into_iter().flatten().flatten();
    let folders = runs.flat_map(|r| std::fs::read_dir(r.path().join("checkpoints")).into_iter().flatten().flatten());
    folders.filter(|c| c.path().join("state.json").is_file()).map(|c| c.file_name().into_string().unwrap()).collect()
}

impl Screen {
    pub fn start(folder: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(CHILD);
        Self::spawn(command, folder, env)
    }

    /// A command of the program, where the test binary is that (see `program.rs`).
    pub fn program(folder: &Path, args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(CHILD);
        command.args(["--test-threads=1", "--"]);
        command.args(args);
        command.env("FROSTLINE_HOME", folder.join("home"));
        Self::spawn(command, folder, &[])
    }

    /// The program as a job of an interactive shell.
    pub fn start_in_a_shell(folder: &Path) -> Self {
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.env("PS1", "$ ");
        let mut screen = Self::spawn(command, folder, &[]);
        screen.wait_for("$ ");
        screen.keys(&format!("{} {}\r", std::env::current_exe().unwrap().display(), CHILD.join(" ")));
        screen
    }

    fn spawn(mut command: CommandBuilder, folder: &Path, env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 30, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        command.env("SCREEN_HOME", "home");
        command.cwd(folder);
        for name in ["NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("FROSTLINE_CONFIG", folder.join("config"));
        env.iter().for_each(|(name, value)| command.env(name, value));
        let cooked = format!("{:?}", pair.master.get_termios().unwrap().local_flags);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let shared = Arc::new(Shared {
            parser: Mutex::new(vt100::Parser::new(30, 100, 0)),
            raw: Mutex::default(),
            state: AtomicU8::new(READING),
        });
        let mut reader = pair.master.try_clone_reader().unwrap();
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match theirs.state.load(Ordering::Acquire) {
                    READING => {
                        let Ok(n @ 1..) = reader.read(&mut buffer) else { return };
                        theirs.raw.lock().unwrap().extend_from_slice(&buffer[..n]);
                        let mut parser = theirs.parser.lock().unwrap();
                        // The emulator does not bear every size that it shrinks to; the program draws afresh at the next one.
                        let fed = catch_unwind(AssertUnwindSafe(|| parser.process(&buffer[..n])));
                        if fed.is_err() {
                            let (rows, cols) = parser.screen().size();
                            *parser = vt100::Parser::new(rows, cols, 0);
                        }
                    }
                    // Kept open and unread, as a stopped emulator does.
                    STALLED => std::thread::sleep(Duration::from_millis(10)),
                    _ => return,
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { child, master: Some(pair.master), writer: Some(writer), shared, cooked }
    }

    pub fn keys(&mut self, text: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        writer.flush().unwrap();
        // A lone escape is told from the start of a sequence by what follows at once.
        if text.ends_with('\x1b') {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn text(&self) -> String {
        self.shared.parser.lock().unwrap().screen().contents()
    }

    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shared.raw.lock().unwrap()).into_owned()
    }

    pub fn wait_until(&mut self, what: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < end, "{what}: waited in vain on\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_for(&mut self, words: &str) {
        let shared = Arc::clone(&self.shared);
        self.wait_until(words, move || shared.parser.lock().unwrap().screen().contents().contains(words));
    }

    pub fn wait_gone(&mut self, words: &str) {
        let shared = Arc::clone(&self.shared);
        self.wait_until(words, move || !shared.parser.lock().unwrap().screen().contents().contains(words));
    }

    pub fn resize(&mut self, rows: u16, cols: u16) {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        // First, and at once with the terminal: what the program draws for the new size must not meet the old one. The emulator
        // does not bear a single row or column.
        let mut parser = self.shared.parser.lock().unwrap();
        parser.screen_mut().set_size(rows.max(2), cols.max(2));
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        let status = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(status.success());
    }

    /// The terminal's window is closed: the kernel hangs up when the last end of it is, at the next frame.
    pub fn hang_up(&mut self) {
        self.shared.state.store(CLOSED, Ordering::Release);
        self.writer = None;
        self.master = None;
    }

    /// The terminal takes no more output.
    pub fn stop_reading(&self) {
        self.shared.state.store(STALLED, Ordering::Release);
    }

    /// It takes output again.
    pub fn read_again(&self) {
        self.shared.state.store(READING, Ordering::Release);
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn wait_exit(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the process does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it wrote last is read.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// The alternate screen is left, the cursor is shown, the line discipline is as before.
    pub fn assert_restored(&self) {
        let raw = self.raw();
        let last = |what: &str| raw.rfind(what).unwrap_or_else(|| panic!("{what:?} is missing"));
        assert!(last("\x1b[?1049h") < last("\x1b[?1049l"), "the alternate screen is left");
        assert!(last("\x1b[?25l") < last("\x1b[?25h"), "the cursor is shown");
        assert!(last("\x1b[?2004h") < last("\x1b[?2004l"), "bracketed paste is off");
        assert!(last("\x1b[?1000h") < last("\x1b[?1000l"), "the mouse is the terminal's again");
        let flags = self.master.as_ref().unwrap().get_termios().unwrap().local_flags;
        assert_eq!(format!("{flags:?}"), self.cooked, "raw mode is off");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
