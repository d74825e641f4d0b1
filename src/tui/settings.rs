//! The user's files: `config.toml`, `keys.toml`, `themes/`. What is wrong in them is a warning; the rest is in force.

use std::path::{Path, PathBuf};

use super::glyphs::Glyphs;
use super::hits::Hits;
use super::look::Look;
use super::theme::{self, Depth, Theme};
use crate::app::config::Config;
use crate::app::keys::Keymap;
use crate::core::alerts::Alerts;
use crate::core::io as core_io;

/// Everything that the user can choose.
pub struct Settings {
    /// The keys.
    pub keymap: Keymap,
    /// Theme and signs.
    pub look: Look,
    /// What is told when something happens to a run.
    pub alerts: Alerts,
    /// Themes that can be chosen.
    pub themes: Themes,
    /// The mouse is left to the terminal.
    pub no_mouse: bool,
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
        let look = Look { theme, glyphs, hits: Hits::default() };
        let current = config.theme.unwrap_or_else(|| theme::default_name(depth).to_owned());
        let themes = Themes { folder: folder.map(Path::to_owned), depth, current };
        Self { keymap, look, alerts: config.alerts, themes, no_mouse: config.no_mouse, log, warnings }
    }
}

/// The themes, and which one is chosen.
#[derive(Debug, Clone)]
pub struct Themes {
    /// The folder of configuration.
    folder: Option<PathBuf>,
    depth: Depth,
    /// The name of the one in `config.toml`, or of the default.
    current: String,
}

impl Themes {
    /// The folder of configuration.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        theme::names(self.folder.as_deref())
    }

    /// The one that was chosen.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// One to draw with; what is wrong in its file beside it.
    pub fn load(&self, name: &str) -> (Theme, Vec<String>) {
        Theme::load(Some(name), self.folder.as_deref(), self.depth)
    }

    /// Writes the choice into `config.toml`, whose other lines stay as they are; the file's name.
    ///
    /// # Errors
    /// In words, where the file cannot be read or written.
    pub fn keep(&mut self, name: &str) -> Result<String, String> {
        let folder = self.folder.as_deref().ok_or("there is no folder for the configuration on this system")?;
        let path = folder.join("config.toml");
        let failed =
            |e: &dyn std::fmt::Display| format!("{}: {e}; the theme is in force until you leave", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(failed(&e)),
        };
        let mut document: toml_edit::DocumentMut = text.parse().map_err(|e| failed(&e))?;
        document["theme"] = toml_edit::value(name);
        core_io::create_dirs(folder)
            .and_then(|()| core_io::write_atomic(&path, document.to_string().as_bytes()))
            .map_err(|e| failed(&e))?;
        name.clone_into(&mut self.current);
        Ok(path.display().to_string())
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
    fn a_chosen_theme_is_written_and_the_users_own_lines_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let mut settings = Settings::with(Some(&folder), |_| None);
        assert_eq!(settings.themes.current(), "frost-16", "no word of more colours");
        settings.themes.keep("pine-dark").unwrap();
        let file = folder.join("config.toml");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theme = \"pine-dark\"\n");
        std::fs::write(&file, "# mine\ntheme = \"pine-dark\" # green\nchart = \"block\"\n").unwrap();
        settings.themes.keep("frost-light").unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# mine\ntheme = \"frost-light\"") && text.contains("chart = \"block\""), "{text}");
        std::fs::write(&file, "chart = = 1").unwrap();
        assert!(settings.themes.keep("frost-dark").unwrap_err().contains("config.toml"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "chart = = 1");
    }

    #[test]
    fn without_a_folder_the_defaults_are_in_force_without_a_word() {
        let settings = Settings::with(None, |_| None);
        assert_eq!(settings.keymap, Keymap::default());
        assert_eq!(settings.warnings, Vec::<String>::new());
    }
}
