//! What the user's settings say to the command line.

use super::context::Context;
use super::error::CliError;
use crate::app::config::{Config, split};
use crate::core::alerts::Alerts;
use crate::tui;

/// What is told when something happens to a run: the settings, and the command line's own command. `warn`: what is wrong in
/// the settings is said.
pub fn alerts(on_event: Option<&str>, warn: bool, cx: &mut Context<'_>) -> Result<Alerts, CliError> {
    let mut alerts = Alerts::default();
    let path = tui::config_folder().map(|folder| folder.join("config.toml"));
    if let Some(text) = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) {
        let name = path.map(|p| p.display().to_string()).unwrap_or_default();
        let (config, warnings) = Config::parse(&name, &text);
        warnings.iter().filter(|_| warn).for_each(|w| cx.io.say(&format!("warning: {w}")));
        alerts = config.alerts;
    }
    if let Some(command) = on_event {
        alerts.command = split(command).map_err(|e| CliError::Usage(format!("--on-event {e}")))?;
    }
    Ok(alerts)
}
