//! What every command is given: the streams, the run home, the engine on demand.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::EngineSource;
use super::error::CliError;
use super::io::Io;
use crate::core::run::RunHome;
use crate::engine::{Engine, EngineError};

/// The surroundings of one command.
pub struct Context<'a> {
    /// Where to speak.
    pub io: &'a mut Io,
    home: RunHome,
    /// The user said which.
    home_is_given: bool,
    source: Option<EngineSource>,
    engine: Option<Arc<dyn Engine>>,
    led: bool,
    /// The whole command line but for the program's name.
    pub args: Vec<OsString>,
}

impl<'a> Context<'a> {
    /// `home` is the `--home` flag.
    pub fn new(io: &'a mut Io, home: Option<PathBuf>, engine: EngineSource, args: Vec<OsString>) -> Self {
        let home_is_given = home.is_some() || std::env::var_os("FROSTLINE_HOME").is_some_and(|v| !v.is_empty());
        Self {
            io,
            home: RunHome::locate(home.as_deref()),
            home_is_given,
            source: Some(engine),
            engine: None,
            led: false,
            args,
        }
    }

    /// The run home.
    pub fn home(&self) -> &RunHome {
        &self.home
    }

    /// The run home that the user named, where there is no such folder: a slip of the pen, or nothing was trained yet.
    pub fn missing_home(&self) -> Option<PathBuf> {
        (self.home_is_given && !self.home.path().exists()).then(|| self.home.path().to_owned())
    }

    /// The engine, made at the first call.
    pub fn engine(&mut self) -> Result<Arc<dyn Engine>, CliError> {
        if let Some(source) = self.source.take() {
            self.engine = Some(source()?);
        }
        self.engine
            .clone()
            .ok_or_else(|| CliError::Failed("the engine could not be made; see the message above".into()))
    }

    /// Works with another engine from now on.
    pub fn set_engine(&mut self, engine: Arc<dyn Engine>) {
        self.source = None;
        self.engine = Some(engine);
        self.led = true;
    }

    /// Whether other processes take part.
    pub fn is_led(&self) -> bool {
        self.led
    }

    /// Hands over the way to make the engine, for a screen that makes it behind its first frame.
    pub fn take_engine(&mut self) -> EngineSource {
        let made = self.engine.clone();
        let none = || Err(EngineError::Failed("the engine could not be made; see the message above".into()));
        self.source.take().unwrap_or_else(|| Box::new(move || made.map_or_else(none, Ok)))
    }

    /// Prints one JSON document.
    pub fn print_json(&mut self, value: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(CliError::failed)?;
        self.io.print(&text)
    }
}

/// Whether an argument means a recipe: a TOML file, there or not.
pub fn is_recipe(argument: &str) -> bool {
    Path::new(argument).extension().is_some_and(|e| e == "toml")
}
