//! Themes: TOML files that give each scope of the screen a style, reduced to what the terminal can show.
//!
//! Some are embedded; files in `<config>/themes/` override or add. What is wrong in a file is a warning to the user.

mod depth;
mod parse;

use std::path::Path;

use ratatui::style::Style;

pub use depth::Depth;
use parse::Sheet;

/// The places of the screen that have a style; their names in theme files are in [`Scope::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Scope {
    Text,
    TextDim,
    TextFaint,
    Title,
    Tab,
    TabActive,
    BorderActive,
    Selection,
    Heading,
    HintKey,
    HintText,
    StatusRunning,
    StatusPaused,
    StatusFinished,
    StatusStopped,
    StatusFailed,
    StatusCrashed,
    StateTrainable,
    StateFrozen,
    StateNoGrad,
    StateStarved,
    StateMixed,
    Staged,
    FrostLine,
    ChartAxis,
    Chart1,
    Chart2,
    Chart3,
    Chart4,
    Chart5,
    Chart6,
    Chart7,
    Chart8,
    GaugeFull,
    GaugeRest,
    Good,
    Info,
    Warning,
    Error,
}

impl Scope {
    /// Names in theme files, in the enum's order.
    pub const NAMES: [&'static str; 39] = [
        "text",
        "text.dim",
        "text.faint",
        "title",
        "tab",
        "tab.active",
        "border.active",
        "selection",
        "heading",
        "hint.key",
        "hint.text",
        "status.running",
        "status.paused",
        "status.finished",
        "status.stopped",
        "status.failed",
        "status.crashed",
        "state.trainable",
        "state.frozen",
        "state.no_grad",
        "state.starved",
        "state.mixed",
        "staged",
        "frost-line",
        "chart.axis",
        "chart.1",
        "chart.2",
        "chart.3",
        "chart.4",
        "chart.5",
        "chart.6",
        "chart.7",
        "chart.8",
        "gauge.full",
        "gauge.rest",
        "good",
        "info",
        "warning",
        "error",
    ];

    /// Colours of charts, round the end.
    pub fn chart(index: usize) -> Self {
        use Scope::{Chart1, Chart2, Chart3, Chart4, Chart5, Chart6, Chart7, Chart8};
        [Chart1, Chart2, Chart3, Chart4, Chart5, Chart6, Chart7, Chart8][index % 8]
    }
}

const EMBEDDED: [(&str, &str); 7] = [
    ("frost-dark", include_str!("../../../themes/frost-dark.toml")),
    ("frost-light", include_str!("../../../themes/frost-light.toml")),
    ("frost-contrast", include_str!("../../../themes/frost-contrast.toml")),
    ("frost-16", include_str!("../../../themes/frost-16.toml")),
    ("ember-dark", include_str!("../../../themes/ember-dark.toml")),
    ("pine-dark", include_str!("../../../themes/pine-dark.toml")),
    ("paper-light", include_str!("../../../themes/paper-light.toml")),
];

/// A theme ready to draw with.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    styles: Vec<Style>,
}

impl Theme {
    /// The theme of this name (the terminal's fitting default when `None`), from `<config>/themes/` or the embedded
    /// ones, and what the user should know.
    pub fn load(name: Option<&str>, config: Option<&Path>, depth: Depth) -> (Self, Vec<String>) {
        let fallback = default_name(depth);
        let mut warnings = Vec::new();
        let wanted = name.unwrap_or(fallback);
        let sheet = read(wanted, config, &mut warnings, 0).unwrap_or_else(|| {
            let known = names(config).join(", ");
            warnings.push(format!("theme `{wanted}` is not known; {fallback} is in force (known: {known})"));
            read(fallback, None, &mut warnings, 0).unwrap_or_default()
        });
        let styles = sheet.styles(depth, &mut warnings);
        (Self { styles }, warnings)
    }

    /// An embedded theme.
    #[cfg(test)]
    pub fn embedded(name: &str, depth: Depth) -> Self {
        Self::load(Some(name), None, depth).0
    }

    /// The style of a scope.
    pub fn style(&self, scope: Scope) -> Style {
        self.styles.get(scope as usize).copied().unwrap_or_default()
    }
}

/// The theme where none is asked for.
pub fn default_name(depth: Depth) -> &'static str {
    if depth == Depth::Sixteen { "frost-16" } else { "frost-dark" }
}

/// Names of all themes that can be chosen.
pub fn names(config: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = EMBEDDED.iter().map(|(n, _)| (*n).to_owned()).collect();
    let files = config.and_then(|c| std::fs::read_dir(c.join("themes")).ok()).into_iter().flatten().flatten();
    let files = files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
    names.extend(files.filter_map(|f| Some(f.file_stem()?.to_str()?.to_owned())));
    names.sort();
    names.dedup();
    names
}

fn read(name: &str, config: Option<&Path>, warnings: &mut Vec<String>, level: usize) -> Option<Sheet> {
    let file = config.map(|c| c.join("themes").join(format!("{name}.toml")));
    let own = file.as_ref().and_then(|f| std::fs::read_to_string(f).ok());
    let embedded = EMBEDDED.iter().find(|(n, _)| *n == name).map(|(_, text)| (*text).to_owned());
    let is_own = own.is_some();
    let text = own.or(embedded)?;
    let mut sheet = Sheet::parse(&format!("themes/{name}.toml"), &text, warnings);
    // A user's file that names no other one fills up from the default; an embedded one without another is complete.
    if (is_own || sheet.inherits.is_some()) && level < 4 {
        let parent = sheet.inherits.clone().unwrap_or_else(|| "frost-dark".to_owned());
        // A file that overrides an embedded theme inherits the embedded one of that name.
        let below = if parent == name || !is_own {
            read(&parent, None, warnings, level + 1)
        } else {
            read(&parent, config, warnings, level + 1)
        };
        match below {
            Some(below) => sheet.fill_from(below),
            None => warnings.push(format!("themes/{name}.toml: inherits `{parent}`, which is not known")),
        }
    }
    Some(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::{Color, Modifier};

    #[test]
    fn every_embedded_theme_is_complete_and_without_a_warning() {
        for (name, text) in EMBEDDED {
            let mut warnings = Vec::new();
            Sheet::parse(name, text, &mut warnings);
            let sheet = read(name, None, &mut warnings, 0).unwrap();
            sheet.styles(Depth::True, &mut warnings);
            assert_eq!(warnings, Vec::<String>::new());
            assert_eq!(sheet.missing(), Vec::<&str>::new(), "{name}");
        }
        assert_eq!(Scope::NAMES.len(), Scope::Error as usize + 1);
    }

    #[test]
    fn a_users_theme_overlays_what_it_inherits() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("themes")).unwrap();
        let text = "inherits = \"frost-light\"\n[palette]\nrose = \"#ff0080\"\n[scopes]\ntitle = { fg = \"rose\" }\n";
        std::fs::write(dir.path().join("themes/mine.toml"), text).unwrap();
        let (theme, warnings) = Theme::load(Some("mine"), Some(dir.path()), Depth::True);
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(theme.style(Scope::Title).fg, Some(Color::Rgb(255, 0, 128)));
        let light = Theme::embedded("frost-light", Depth::True);
        assert_eq!(theme.style(Scope::Error), light.style(Scope::Error));
    }

    #[test]
    fn an_unknown_theme_and_bad_lines_are_said_and_the_rest_is_in_force() {
        let (theme, warnings) = Theme::load(Some("nope"), None, Depth::True);
        assert!(warnings[0].contains("`nope` is not known") && warnings[0].contains("frost-light"), "{warnings:?}");
        assert_eq!(theme, Theme::embedded("frost-dark", Depth::True));
        let mut warnings = Vec::new();
        let sheet = Sheet::parse("t.toml", "[scopes]\ntitel = \"#fff\"\ntitle = \"nocolour\"\n", &mut warnings);
        sheet.styles(Depth::True, &mut warnings);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("did you mean `title`?")), "{warnings:?}");
    }

    #[test]
    fn a_theme_of_other_colours_changes_what_it_inherits() {
        let (own, dark) = (Theme::embedded("ember-dark", Depth::True), Theme::embedded("frost-dark", Depth::True));
        assert_eq!(own.style(Scope::Error).fg, Some(Color::Rgb(0xe5, 0x48, 0x4d)));
        assert_ne!(own.style(Scope::Error).fg, dark.style(Scope::Error).fg);
        assert_eq!(own.style(Scope::Error).add_modifier, dark.style(Scope::Error).add_modifier);
    }

    #[test]
    fn without_colours_the_selection_is_still_seen() {
        let theme = Theme::embedded("frost-dark", Depth::None);
        let selection = theme.style(Scope::Selection);
        assert_eq!((selection.fg, selection.bg), (None, None));
        assert!(selection.add_modifier.contains(Modifier::REVERSED));
        assert!(Theme::embedded("frost-dark", Depth::Sixteen).style(Scope::Title).fg.is_some());
    }
}
