//! The streams that a command speaks through, so that tests can listen.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use super::error::CliError;
use super::interrupt::Interrupt;
use super::output::harmless;
use crate::session::Program;

/// stdout for results, stderr for everything else, and the user's wish to stop.
pub struct Io {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// Whether stdout is a terminal.
    pub out_is_terminal: bool,
    /// Whether stderr is a terminal that can redraw a line.
    pub err_is_terminal: bool,
    /// Whether results may be coloured.
    pub colour: bool,
    /// Ctrl-C and the like.
    pub interrupt: Interrupt,
    /// How this program is started again.
    pub program: Program,
}

impl Io {
    /// The process's own streams.
    pub fn process() -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            out: Box::new(BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            out_is_terminal,
            err_is_terminal: io::stderr().is_terminal() && !dumb,
            colour: out_is_terminal && !dumb && !no_colour,
            interrupt: Interrupt::of_process(),
            program: Program::this(),
        }
    }

    /// Streams that keep what is written, for tests.
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        let io = Self {
            out: Box::new(Shared(captured.out.clone())),
            err: Box::new(Shared(captured.err.clone())),
            out_is_terminal: false,
            err_is_terminal: false,
            colour: false,
            interrupt: captured.interrupt.clone(),
            program: Program::this(),
        };
        (io, captured)
    }

    /// Writes one line (or a block of lines) of results.
    pub fn print(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{text}").map_err(closed)
    }

    /// Where long results are streamed to; map its errors with [`closed`].
    pub fn out(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Hands all results over.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(closed)
    }

    /// Nothing that is said is to be heard any more: the terminal is gone, or was left.
    pub fn hush(&mut self) {
        let _ = self.out.flush();
        (self.out, self.err) = (Box::new(io::sink()), Box::new(io::sink()));
        (self.out_is_terminal, self.err_is_terminal) = (false, false);
    }

    /// Sends a bell or a notification to the terminal, if stderr is one.
    pub fn ring(&mut self, sequence: &str) {
        if self.err_is_terminal {
            let _ = self.err.write_all(sequence.as_bytes()).and_then(|()| self.err.flush());
        }
    }

    /// Says something that is no result, after the results so far. A stderr that is gone is no reason to stop anything, and a stdout
    /// that is gone is noticed at the next result.
    pub fn say(&mut self, text: &str) {
        let _ = self.out.flush();
        // Names of files, tensors and runs come from anywhere.
        let text = text.split('\n').map(harmless).collect::<Vec<_>>().join("\n");
        let _ = writeln!(self.err, "{text}");
    }
}

/// The error of a failed write to stdout.
pub fn closed(error: io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::Failed(format!("cannot write to stdout: {error}")),
    }
}

/// What was written to the streams of [`Io::captured`].
#[derive(Debug, Clone, Default)]
pub struct Captured {
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
    /// Interrupts the command from another thread.
    pub interrupt: Interrupt,
}

impl Captured {
    /// Everything on stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }
    /// Everything on stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    bytes.lock().map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
