//! The user's settings file, laid over the defaults.

use crate::core::alerts::{Alerts, Kind};

/// What `config.toml` may say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The theme's name.
    pub theme: Option<String>,
    /// How charts are drawn.
    pub chart: Option<ChartMarks>,
    /// The mouse is left to the terminal.
    pub no_mouse: bool,
    /// What is told when something happens to a run.
    pub alerts: Alerts,
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
            match (key.as_str(), value) {
                ("theme", toml::Value::String(name)) => config.theme = Some(name.clone()),
                ("chart", toml::Value::String(name)) => match name.as_str() {
                    "braille" => config.chart = Some(ChartMarks::Braille),
                    "block" => config.chart = Some(ChartMarks::Block),
                    "ascii" => config.chart = Some(ChartMarks::Ascii),
                    _ => warnings.push(format!("{file}: chart: \"braille\", \"block\" or \"ascii\" is wanted")),
                },
                ("mouse", toml::Value::Boolean(mouse)) => config.no_mouse = !mouse,
                ("mouse", _) => warnings.push(format!("{file}: mouse: true or false is wanted")),
                ("alerts", toml::Value::Table(table)) => {
                    for (key, value) in table {
                        if let Err(wanted) = alert(&mut config.alerts, key, value) {
                            warnings.push(format!("{file}: alerts.{key}: {wanted}"));
                        }
                    }
                }
                ("theme", _) => warnings.push(format!("{file}: theme: a theme's name is wanted")),
                ("chart", _) => warnings.push(format!("{file}: chart: \"braille\", \"block\" or \"ascii\" is wanted")),
                ("alerts", _) => warnings.push(format!("{file}: alerts: a table is wanted")),
                _ => warnings.push(format!("{file}: `{key}` is not known; theme, chart, mouse and alerts are")),
            }
        }
        (config, warnings)
    }
}

/// One key of `[alerts]`; the error says what is wanted.
fn alert(alerts: &mut Alerts, key: &str, value: &toml::Value) -> Result<(), String> {
    let boolean = || value.as_bool().ok_or("true or false is wanted");
    match key {
        "on_event" => alerts.command = split(value.as_str().ok_or("a command is wanted")?)?,
        "events" => alerts.kinds = kinds(value)?,
        "bell" => alerts.bell = boolean()?,
        "notify" => alerts.notify = boolean()?,
        "plateau" => {
            let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
            alerts.plateau = number.ok_or("a number of validations is wanted, 0 for never")?;
        }
        _ => return Err("it is not known; on_event, events, bell, notify and plateau are".to_owned()),
    }
    Ok(())
}

/// A command's words, quoted as in a shell; no shell runs it.
pub fn split(command: &str) -> Result<Vec<String>, String> {
    shlex::split(command).ok_or_else(|| format!("`{command}`: a quote is not closed"))
}

fn kinds(value: &toml::Value) -> Result<Vec<Kind>, String> {
    let all = || Kind::ALL.map(Kind::name).join(", ");
    let one = |v: &toml::Value| Kind::ALL.into_iter().find(|k| v.as_str() == Some(k.name()));
    let listed: Option<Vec<Kind>> = value.as_array().and_then(|list| list.iter().map(one).collect());
    listed.ok_or_else(|| format!("a list of some of {} is wanted", all()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_said_and_the_rest_is_in_force() {
        let (config, warnings) = Config::parse("config.toml", "theme = \"frost-light\"\nchart = \"dots\"\nfont = 3\n");
        assert_eq!(config, Config { theme: Some("frost-light".to_owned()), ..Config::default() });
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(Config::parse("c", "x = = 1").1.len(), 1);
    }

    #[test]
    fn alerts_are_set_key_by_key() {
        let text = "[alerts]\non_event = \"mail -s 'a run' me\"\nevents = [\"finished\", \"nan\"]\nbell = false\nplateau = 3\n";
        let (config, warnings) = Config::parse("config.toml", text);
        assert_eq!(warnings, Vec::<String>::new());
        let Alerts { command, kinds, plateau, bell, notify } = config.alerts;
        assert_eq!(command, ["mail", "-s", "a run", "me"]);
        assert_eq!((kinds, plateau, bell, notify), (vec![Kind::Finished, Kind::Nan], 3, false, true));
        let text = "[alerts]\non_event = \"mail 'me\"\nevents = [\"rain\"]\nbell = 3\nplateau = -1\nsound = true\n";
        let (config, warnings) = Config::parse("config.toml", text);
        assert_eq!((config.alerts, warnings.len()), (Alerts::default(), 5), "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("plateau") && w.contains("finished")), "{warnings:?}");
    }
}
