//! The user's settings file, laid over the defaults.

/// What `config.toml` may say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The theme's name.
    pub theme: Option<String>,
    /// How charts are drawn.
    pub chart: Option<ChartMarks>,
}

/// What charts are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartMarks {
    /// Eight dots a cell; needs a font that has them.
    Braille,
    /// Two halves a cell.
    Block,
    /// Letters and signs.
    Ascii,
}

impl Config {
    /// Parses the file; what is wrong in it is said and left out.
    pub fn parse(file: &str, text: &str) -> (Self, Vec<String>) {
        let mut config = Self::default();
        let mut warnings = Vec::new();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(e) => return (config, vec![format!("{file}: {}", e.message())]),
        };
        for (key, value) in &table {
            match (key.as_str(), value.as_str()) {
                ("theme", Some(name)) => config.theme = Some(name.to_owned()),
                ("chart", Some("braille")) => config.chart = Some(ChartMarks::Braille),
                ("chart", Some("block")) => config.chart = Some(ChartMarks::Block),
                ("chart", Some("ascii")) => config.chart = Some(ChartMarks::Ascii),
                ("theme", _) => warnings.push(format!("{file}: theme: a theme's name is wanted")),
                ("chart", _) => warnings.push(format!("{file}: chart: \"braille\", \"block\" or \"ascii\" is wanted")),
                _ => warnings.push(format!("{file}: `{key}` is not known; theme and chart are")),
            }
        }
        (config, warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_said_and_the_rest_is_in_force() {
        let (config, warnings) = Config::parse("config.toml", "theme = \"frost-light\"\nchart = \"dots\"\nfont = 3\n");
        assert_eq!(config, Config { theme: Some("frost-light".to_owned()), chart: None });
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(Config::parse("c", "x = = 1").1.len(), 1);
    }
}
