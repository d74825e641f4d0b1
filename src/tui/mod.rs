//! The terminal's side of the screen: enter and restore, keys and signals in, frames out.
//!
//! The only place of ratatui and crossterm. Imports `app`, `core` and `session`; called by `cli`.

mod canvas;
mod event_loop;
mod glyphs;
mod hits;
mod input;
mod live;
mod look;
mod memory;
mod overlays;
mod painter;
mod post;
mod screens;
mod settings;
#[cfg(test)]
mod snapshots;
mod terminal;
mod theme;
mod watch;
mod widgets;
mod work;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::app::{self, Model};
use crate::core::alerts::Alerts;
use crate::core::run::RunHome;
use crate::session::{Outcome, Program, RunHandle, Start};

pub use canvas::Canvas;
pub use event_loop::EngineSource;
use event_loop::{EventLoop, Setup};
use settings::Settings;
pub use settings::folder as config_folder;
use work::Places;

/// What a screen is opened with.
pub struct Options {
    /// How the engine is built; called once, on a thread, after the first frame, when it is first needed.
    pub engine: EngineSource,
    /// The run home.
    pub home: RunHome,
    /// What to start at once (`train --watch`).
    pub watch: Option<Start>,
    /// The run to open at once, by its id (`show --watch`).
    pub open: Option<String>,
    /// Recipes are looked for and exports written here; the current folder when left out.
    pub cwd: Option<PathBuf>,
    /// What is told when something happens to a run; as the settings say, when left out.
    pub alerts: Option<Alerts>,
    /// How this program is started again, to hand a run over.
    pub program: Program,
    /// Folder of configuration; `FROSTLINE_CONFIG`, else the platform's, when left out.
    pub config: Option<PathBuf>,
}

impl Options {
    /// The screen on a run home.
    pub fn new(engine: EngineSource, home: RunHome) -> Self {
        Self { engine, home, watch: None, open: None, cwd: None, alerts: None, program: Program::this(), config: None }
    }
}

/// What was when the screen was left.
#[derive(Debug)]
pub struct Exit {
    /// The run that was hosted last, if any.
    pub run: Option<String>,
    /// How it ended; `None` where the user left without waiting for it, and then the process must end.
    pub outcome: Option<Outcome>,
    /// The run goes on in another process: its id and that process.
    pub handed_over: Option<(String, u32)>,
    /// The screen was left while another process was about to take the run over.
    pub going_over: bool,
    /// The terminal has gone away: nothing can be said there.
    pub hung_up: bool,
    /// A run that is live in this process still, for the caller to follow.
    pub alone: Option<RunHandle>,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Not a terminal that can show it: exit code 2.
    #[error(
        "no screen here: {0}; `frostline train RECIPE`, `frostline ls` and the other commands need none \
         (`frostline --help`)"
    )]
    NoTerminal(String),
    /// The terminal failed: exit code 1.
    #[error("{what}: {problem}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        problem: String,
    },
    /// A bug in the screen: exit code 1. The terminal is restored, the run was stopped with a checkpoint.
    #[error(
        "the screen broke down ({0}); a run that was live was stopped with a checkpoint. This is a bug: please report it"
    )]
    Broken(String),
}

impl TuiError {
    fn io(what: &'static str, problem: &std::io::Error) -> Self {
        Self::Io { what, problem: problem.to_string() }
    }
}

/// Opens the screen and stays until the user leaves. The terminal is restored on every way out.
///
/// # Errors
/// Where there is no usable terminal, or it fails.
pub fn run(options: Options) -> Result<Exit, TuiError> {
    terminal::check(options.watch.is_some())?;
    let drafts = options.config.clone().or_else(config_folder).map(|folder| folder.join("drafts"));
    let settings = Settings::read(options.config);
    let alerts = options.alerts.unwrap_or(settings.alerts);
    let cwd = options.cwd.or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    let home = options.home.path().display().to_string();
    let (mut model, mut effects) = Model::new(settings.keymap, home.clone(), options.watch.is_some());
    model.alerts = alerts.clone();
    let elsewhere = options.open.is_some() || options.watch.is_some();
    match memory::recall(settings.themes.folder(), &home) {
        Some(mut memory) if elsewhere => memory.restore_folds(&mut model),
        Some(memory) => effects.extend(memory.restore(&mut model)),
        None => {}
    }
    if let Some(id) = options.open {
        effects.extend(app::open_by_id(&mut model, id));
    }
    effects.push(app::Effect::ReadDrafts);
    let setup = Setup {
        model: (model, effects),
        look: settings.look,
        themes: settings.themes,
        places: Places { home: options.home, cwd, program: options.program, drafts, alerts },
        engine: options.engine,
        watch: options.watch,
        warnings: settings.warnings,
    };
    if settings.no_mouse {
        terminal::without_mouse();
    }
    let tty = terminal::enter(&settings.log)?;
    // A panic is told by the hook, after it has restored the terminal; unwinding drops the run's handle, which stops the
    // run with a checkpoint.
    let result = catch_unwind(AssertUnwindSafe(|| EventLoop::start(setup, tty)?.run()));
    terminal::restore_soon();
    result.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(TuiError::Broken(words.unwrap_or_else(|| "panic".to_owned())))
    })
}
