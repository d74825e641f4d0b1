//! The user's files: `config.toml`, `keys.toml`, `themes/`. What is wrong in them is a warning; the rest is in force.

use std::path::{Path, PathBuf};

use super::glyphs::Glyphs;
use super::look::Look;
use super::theme::{Depth, Theme};
use crate::app::config::Config;
use crate::app::keys::Keymap;
use crate::core::alerts::Alerts;

/// Everything that the user can choose.
pub struct Settings {
    /// The keys.
    pub keymap: Keymap,
    /// Theme and signs.
    pub look: Look,
    /// What is told when something happens to a run.
    pub alerts: Alerts,
    /// Where stray prints go while no run is live.
    pub log: PathBuf,
    /// What is wrong in the files.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the files of the configuration folder; without one, the defaults.
    pub fn read(config: Option<PathBuf>) -> Self {
        let var = |name: &str| std::env::var(name).ok();
        let folder = config.or_else(folder);
        Self::with(folder.as_deref(), var)
    }

    fn with(folder: Option<&Path>, var: impl Fn(&str) -> Option<String>) -> Self {
        let mut warnings = Vec::new();
        let mut file = |name: &str| {
            let path = folder?.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Some((path.display().to_string(), text)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => {
                    warnings.push(format!("{}: {e}; the defaults are in force", path.display()));
                    None
                }
            }
        };
        let (settings, keys) = (file("config.toml"), file("keys.toml"));
        let (config, said) = settings.map_or_else(Default::default, |(name, text)| Config::parse(&name, &text));
        warnings.extend(said);
        let (keymap, said) = match keys {
            Some((name, text)) => Keymap::default().overlay(&name, &text),
            None => (Keymap::default(), Vec::new()),
        };
        warnings.extend(said);
        let depth = Depth::detect(&var);
        let (theme, said) = Theme::load(config.theme.as_deref(), folder, depth);
        warnings.extend(said);
        let mut glyphs = Glyphs::detect(&var);
        if let Some(marks) = config.chart.filter(|_| glyphs.unicode) {
            glyphs.chart = marks;
        }
        let log = folder.filter(|f| f.is_dir()).map_or_else(|| PathBuf::from("/dev/null"), |f| f.join("screen.log"));
        Self { keymap, look: Look { theme, glyphs }, alerts: config.alerts, log, warnings }
    }
}

/// The folder of the user's files: `FROSTLINE_CONFIG`, else the platform's.
pub fn folder() -> Option<PathBuf> {
    let set = std::env::var_os("FROSTLINE_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from);
    let platform = || Some(directories::ProjectDirs::from("", "", "frostline")?.config_dir().to_owned());
    set.or_else(platform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::action::Action;
    use crate::app::config::ChartMarks;

    #[test]
    fn the_users_files_are_laid_over_the_defaults_and_mistakes_are_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), "theme = \"frost-lihgt\"\nchart = \"block\"\n").unwrap();
        std::fs::write(dir.path().join("keys.toml"), "quit = \"Q\"\nsotp = \"S\"\n").unwrap();
        let settings = Settings::with(Some(dir.path()), |n| (n == "LANG").then(|| "C.UTF-8".to_owned()));
        assert_eq!(settings.keymap.first(Action::Quit), "Q");
        assert_eq!(settings.look.glyphs.chart, ChartMarks::Block);
        assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
        assert!(settings.warnings.iter().any(|w| w.contains("did you mean `stop`?")), "{:?}", settings.warnings);
    }

    #[test]
    fn without_a_folder_the_defaults_are_in_force_without_a_word() {
        let settings = Settings::with(None, |_| None);
        assert_eq!(settings.keymap, Keymap::default());
        assert_eq!(settings.warnings, Vec::<String>::new());
    }
}
