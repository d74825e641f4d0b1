//! A theme file as data, before it is reduced to the terminal's colours.

use ratatui::style::{Color, Modifier, Style};

use super::Scope;
use super::depth::Depth;

/// What a theme file says.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// The theme whose scopes fill what this one leaves out.
    pub inherits: Option<String>,
    /// Colours by name; what is inherited uses them too, so that a theme can be another one in other colours.
    palette: toml::Table,
    /// What was written for each scope, and in which file.
    scopes: Vec<Option<(toml::Value, String)>>,
}

impl Sheet {
    /// Parses a theme; what is wrong is added to the warnings and left out.
    pub fn parse(file: &str, text: &str, warnings: &mut Vec<String>) -> Self {
        let mut sheet = Self { scopes: vec![None; Scope::NAMES.len()], ..Self::default() };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(e) => {
                warnings.push(format!("{file}: {}", e.message()));
                return sheet;
            }
        };
        sheet.inherits = table.get("inherits").and_then(toml::Value::as_str).map(str::to_owned);
        let empty = toml::Table::new();
        sheet.palette = table.get("palette").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for (name, value) in table.get("scopes").and_then(toml::Value::as_table).unwrap_or(&empty) {
            let Some(index) = Scope::NAMES.iter().position(|n| n == name) else {
                warnings.push(format!("{file}: `{name}` is no scope{}", near(name)));
                continue;
            };
            sheet.scopes[index] = Some((value.clone(), file.to_owned()));
        }
        sheet
    }

    /// Takes from `below` what this one leaves out.
    pub fn fill_from(&mut self, below: Self) {
        for (own, other) in self.scopes.iter_mut().zip(below.scopes) {
            *own = own.take().or(other);
        }
        for (name, color) in below.palette {
            self.palette.entry(name).or_insert(color);
        }
    }

    /// Scopes without a style.
    #[cfg(test)]
    pub fn missing(&self) -> Vec<&'static str> {
        let all = Scope::NAMES.iter().zip(&self.scopes);
        all.filter(|(_, style)| style.is_none()).map(|(name, _)| *name).collect()
    }

    /// The styles in the scopes' order, reduced to a colour depth. What is wrong is added to the warnings.
    pub fn styles(&self, depth: Depth, warnings: &mut Vec<String>) -> Vec<Style> {
        let mut read = |(name, scope): (&&str, &Option<(toml::Value, String)>)| {
            let (value, file) = scope.as_ref()?;
            style(value, &self.palette).map_err(|e| warnings.push(format!("{file}: {name}: {e}"))).ok()
        };
        Scope::NAMES.iter().zip(&self.scopes).map(|pair| depth.reduce(read(pair).unwrap_or_default())).collect()
    }
}

fn near(name: &str) -> String {
    let scored = Scope::NAMES.iter().map(|n| (strsim::jaro_winkler(name, n), n));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75);
    best.map_or_else(String::new, |(_, n)| format!("; did you mean `{n}`?"))
}

fn style(value: &toml::Value, palette: &toml::Table) -> Result<Style, String> {
    let table = match value {
        toml::Value::String(text) => return Ok(foreground(color(text, palette)?)),
        toml::Value::Table(table) => table,
        _ => return Err("a colour or a table is wanted".to_owned()),
    };
    let mut style = Style::new();
    for (key, value) in table {
        let modifier = match key.as_str() {
            "fg" | "bg" => {
                let color = color(value.as_str().ok_or("a colour is a string")?, palette)?;
                style = if key == "fg" { style.fg(color) } else { style.bg(color) };
                continue;
            }
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underline" => Modifier::UNDERLINED,
            "reverse" => Modifier::REVERSED,
            other => return Err(format!("`{other}` is not known; fg, bg, bold, dim, italic, underline, reverse are")),
        };
        if value.as_bool().ok_or_else(|| format!("{key} is true or false"))? {
            style = style.add_modifier(modifier);
        }
    }
    Ok(style)
}

fn foreground(color: Color) -> Style {
    if color == Color::Reset { Style::new() } else { Style::new().fg(color) }
}

fn color(text: &str, palette: &toml::Table) -> Result<Color, String> {
    let named = palette.get(text).and_then(toml::Value::as_str).unwrap_or(text);
    if named == "default" {
        return Ok(Color::Reset);
    }
    if let Some(index) = named.strip_prefix("ansi:") {
        return index.parse().map(Color::Indexed).map_err(|_| format!("`{named}`: 0 to 255 is wanted"));
    }
    let hex = named.strip_prefix('#').filter(|h| h.len() == 6).and_then(|h| u32::from_str_radix(h, 16).ok());
    let value = hex.ok_or_else(|| format!("`{text}` is no colour; write #rrggbb, ansi:0..255 or a palette name"))?;
    Ok(Color::Rgb((value >> 16) as u8, (value >> 8) as u8, value as u8))
}
