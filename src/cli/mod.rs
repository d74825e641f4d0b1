//! The command line: clap lives here and nowhere else. One file a command in `commands/`, what they share beside it.
//!
//! Imports everything below; called by `main.rs` with the process's own streams and libtorch, and by tests with captured streams and
//! the fake engine. A command prints results to stdout and everything else to stderr, and returns its exit code by [`error::CliError`].

mod args;
mod bell;
mod commands;
mod context;
mod detach;
pub mod error;
mod follow;
mod guard;
pub mod interrupt;
pub mod io;
mod model;
mod output;
mod predictions;
mod pretrained;
mod progress;
mod ranks;
mod settings;
mod supervise;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::engine::{Engine, EngineError};
use args::Cli;
use context::Context;
use error::{CliError, Done};
use io::Io;

/// Makes the engine when a command asks for it: most commands need none, and loading libtorch takes a while.
pub type EngineSource = Box<dyn FnOnce() -> Result<Arc<dyn Engine>, EngineError> + Send>;

/// Parses the process's command line and runs it.
pub fn main() -> ExitCode {
    install_panic_hook();
    let run = || run(std::env::args_os(), Io::process(), Box::new(crate::engine::default_engine));
    // The hook has said what there is to say.
    ExitCode::from(std::panic::catch_unwind(run).unwrap_or(1))
}

/// Runs one command line, the program's name first, and returns its exit code.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString>>, mut io: Io, engine: EngineSource) -> u8 {
    let args: Vec<OsString> = args::keep_negated_filters(args.into_iter().map(Into::into).collect());
    let rest = args.iter().skip(1).cloned().collect();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return say_parse_error(&mut io, &error),
    };
    let mut context = Context::new(&mut io, cli.home, engine, rest);
    let result = commands::run(cli.command, &mut context).and_then(|done| io.flush().map(|()| done));
    match result {
        Ok(done) => done.code(),
        Err(CliError::OutputClosed) => 0,
        Err(CliError::Said(code)) => code,
        Err(error) => {
            // What was written before the failure is still a result.
            let _ = io.flush();
            io.say(&format!("error: {error}"));
            error.code()
        }
    }
}

/// Help and version are results; everything else clap says is about wrong usage.
fn say_parse_error(io: &mut Io, error: &clap::Error) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        io.say(text.to_string().trim_end());
        Done::USAGE
    } else {
        let _ = io.print(text.to_string().trim_end()).and_then(|()| io.flush());
        0
    }
}

/// A panic is a bug: one line says so. `RUST_BACKTRACE=1` shows where from as well.
fn install_panic_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        use std::io::Write;
        let what = info.payload().downcast_ref::<&str>().copied();
        let what = what.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str)).unwrap_or("panic");
        let what = what.lines().next().unwrap_or_default();
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        // Not eprintln!: where stderr is gone it would panic again.
        let _ = writeln!(std::io::stderr(), "error: internal error{place}: {what}; please report it with this line");
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            default(info);
        }
    }));
}
