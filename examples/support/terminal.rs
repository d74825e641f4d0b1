//! The built program in a pseudo-terminal, with the picture that a terminal would show.

#![allow(dead_code, reason = "each example uses some of it")]

use std::collections::VecDeque;
use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What ends a frame: the end of a synchronized update.
const FRAME_END: &[u8] = b"\x1b[?2026l";
const PATIENCE: Duration = Duration::from_secs(120);

/// What tells the frame of a key from any other one.
#[derive(Clone, Copy)]
pub enum Shown {
    /// These words are on the screen.
    With(&'static str),
    /// They are not.
    Without(&'static str),
}

impl Shown {
    fn is_on(self, screen: &vt100::Screen) -> bool {
        let there = |words| screen.contents().contains(words);
        match self {
            Self::With(words) => there(words),
            Self::Without(words) => !there(words),
        }
    }
}

/// The program in the terminal.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    parser: vt100::Parser,
    /// When each frame was complete, the newest last.
    frames: VecDeque<Instant>,
    /// The last bytes, as far as they may be the beginning of a frame's end.
    tail: Vec<u8>,
    bytes: u64,
    /// What the next key is to bring, and when a whole frame had it.
    wanted: Option<(Shown, Option<Instant>)>,
    /// Bytes a second that the line takes; 0 stops it.
    speed: Option<u64>,
}

impl Terminal {
    /// Starts a command of the program.
    pub fn start(folder: &Path, args: &[&str], width: u16, height: u16) -> Result<Self> {
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let mut command = CommandBuilder::new(program()?);
        command.args(args);
        command.cwd(folder);
        for (name, value) in environment(folder) {
            command.env(name, value);
        }
        ["NO_COLOR", "LC_ALL", "LC_CTYPE", "TMUX"].iter().for_each(|name| command.env_remove(name));
        for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")] {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let shared = Arc::new(Mutex::new(Shared {
            parser: vt100::Parser::new(height, width, 0),
            frames: VecDeque::new(),
            tail: Vec::new(),
            bytes: 0,
            wanted: None,
            speed: None,
        }));
        let (mut reader, theirs) = (pair.master.try_clone_reader()?, Arc::clone(&shared));
        std::thread::spawn(move || read(&mut *reader, &theirs));
        let writer = pair.master.take_writer()?;
        Ok(Self { child, writer, _master: pair.master, shared })
    }

    /// Types.
    pub fn keys(&mut self, text: &str) -> Result<()> {
        self.writer.write_all(text.as_bytes())?;
        Ok(self.writer.flush()?)
    }

    /// Types a key, and waits for the end of the first frame that shows what it does: a live run draws frames of its own.
    pub fn press(&mut self, key: &str, shown: Shown) -> Result<Instant> {
        {
            let mut shared = self.lock();
            if shown.is_on(shared.parser.screen()) {
                return Err(
                    format!("`{key}` would bring what is there on\n{}", shared.parser.screen().contents()).into()
                );
            }
            shared.wanted = Some((shown, None));
        }
        self.keys(key)?;
        let mut end = None;
        self.wait(&format!("what `{key}` brings"), |shared| {
            end = shared.wanted.and_then(|(_, at)| at);
            end.is_some()
        })?;
        end.ok_or_else(|| "no frame".into())
    }

    /// What a closure makes of the picture.
    pub fn screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.lock().parser.screen())
    }

    /// Waits until these words are on the screen.
    pub fn wait_for(&self, words: &str) -> Result<Instant> {
        self.wait(words, |shared| shared.parser.screen().contents().contains(words))
    }

    /// Waits for the end of a frame that was not there at `since`.
    pub fn frame_after(&self, since: Instant) -> Result<Instant> {
        let mut end = since;
        self.wait("a frame", |shared| {
            let frame = shared.frames.iter().find(|at| **at >= since);
            frame.inspect(|at| end = **at).is_some()
        })?;
        Ok(end)
    }

    /// Frames and bytes so far.
    pub fn counts(&self) -> (usize, u64) {
        let shared = self.lock();
        (shared.frames.len(), shared.bytes)
    }

    /// The line takes so many bytes a second from now on; `None` for all, 0 for none.
    pub fn speed(&self, bytes: Option<u64>) {
        self.lock().speed = bytes;
    }

    /// The program's process.
    pub fn pid(&self) -> Result<u32> {
        self.child.process_id().ok_or_else(|| "the program is gone".into())
    }

    /// Waits for the program's end.
    pub fn wait_exit(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                return Err("the program does not end".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn wait(&self, what: &str, mut done: impl FnMut(&Shared) -> bool) -> Result<Instant> {
        let until = Instant::now() + PATIENCE;
        loop {
            let shared = self.lock();
            if done(&shared) {
                return Ok(Instant::now());
            }
            if Instant::now() > until {
                return Err(format!("waited in vain for {what} on\n{}", shared.parser.screen().contents()).into());
            }
            drop(shared);
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built program: what `FROSTLINE` names, else the one beside this example's folder.
pub fn program() -> Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("frostline"));
    let path = std::env::var_os("FROSTLINE").map(PathBuf::from).or_else(beside).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not there; build it first: make build, or name it with FROSTLINE", path.display()).into())
}

/// Run home and configuration below a folder.
pub fn environment(folder: &Path) -> [(&'static str, PathBuf); 2] {
    [("FROSTLINE_HOME", folder.join("home")), ("FROSTLINE_CONFIG", folder.join("config"))]
}

/// Runs a command of the program without a screen, to its end.
pub fn command(folder: &Path, args: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new(program()?);
    let output = command.args(args).envs(environment(folder)).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("frostline {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)).into())
}

fn read(reader: &mut dyn Read, shared: &Mutex<Shared>) {
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut buffer = [0; 4096];
    loop {
        let speed = lock().speed;
        let most = match speed {
            Some(0) => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            // Slices of 10 ms.
            Some(speed) => usize::try_from(speed / 100).unwrap_or(1).clamp(1, buffer.len()),
            None => buffer.len(),
        };
        let Ok(n @ 1..) = reader.read(&mut buffer[..most]) else { return };
        if let Some(speed) = speed {
            std::thread::sleep(Duration::from_secs_f64(n as f64 / speed as f64));
        }
        let mut shared = lock();
        shared.take(&buffer[..n]);
    }
}

impl Shared {
    fn take(&mut self, new: &[u8]) {
        self.bytes += new.len() as u64;
        let mut bytes = std::mem::take(&mut self.tail);
        let before = bytes.len();
        bytes.extend_from_slice(new);
        // Frame by frame: what follows the end of one is the next one's beginning.
        let starts = bytes.windows(FRAME_END.len()).enumerate().filter(|(_, w)| *w == FRAME_END).map(|(i, _)| i);
        let mut taken = 0;
        for end in starts.map(|i| i + FRAME_END.len() - before) {
            self.parser.process(&new[taken..end]);
            taken = end;
            let now = Instant::now();
            self.frames.push_back(now);
            if let Some((shown, at @ None)) = &mut self.wanted
                && shown.is_on(self.parser.screen())
            {
                *at = Some(now);
            }
        }
        self.parser.process(&new[taken..]);
        self.tail = bytes.split_off(bytes.len().saturating_sub(FRAME_END.len() - 1));
    }
}
