//! Key presses as data: how they are written in the keys file, and the map from keys to actions.

use std::fmt;
use std::str::FromStr;

use super::action::{ACTIONS, Action};
use super::place::Place;

/// A key without its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A character, upper case when shifted.
    Char(char),
    /// `enter`.
    Enter,
    /// `esc`.
    Esc,
    /// `tab`.
    Tab,
    /// `backtab`: shift and tab.
    BackTab,
    /// `backspace`.
    Backspace,
    /// `delete`.
    Delete,
    /// `insert`.
    Insert,
    /// `up`.
    Up,
    /// `down`.
    Down,
    /// `left`.
    Left,
    /// `right`.
    Right,
    /// `home`.
    Home,
    /// `end`.
    End,
    /// `pgup`.
    PageUp,
    /// `pgdn`.
    PageDown,
    /// `f1` to `f12`.
    F(u8),
}

/// A key press.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which key.
    pub code: Code,
    /// With control.
    pub ctrl: bool,
    /// With alt.
    pub alt: bool,
}

impl Key {
    /// A key without modifiers.
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }
    /// A character without modifiers.
    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }
    /// A character with control.
    pub const fn ctrl(c: char) -> Self {
        Self { code: Code::Char(c), ctrl: true, alt: false }
    }
}

const NAMED: &[(&str, Code)] = &[
    ("space", Code::Char(' ')),
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("backtab", Code::BackTab),
    ("backspace", Code::Backspace),
    ("delete", Code::Delete),
    ("insert", Code::Insert),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pgdn", Code::PageDown),
];

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no key; write `q`, `G`, `space`, `ctrl-s`, `alt-x`, `f5`, `pgdn`…");
        let (mut rest, mut ctrl, mut alt) = (text, false, false);
        loop {
            if let Some(r) = rest.strip_prefix("ctrl-").filter(|r| !r.is_empty() && !ctrl) {
                (rest, ctrl) = (r, true);
            } else if let Some(r) = rest.strip_prefix("alt-").filter(|r| !r.is_empty() && !alt) {
                (rest, alt) = (r, true);
            } else {
                break;
            }
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Code::Char(c),
            _ => match NAMED.iter().find(|(name, _)| *name == rest) {
                Some((_, code)) => *code,
                None => {
                    let number = rest.strip_prefix('f').and_then(|n| n.parse::<u8>().ok());
                    Code::F(number.filter(|n| (1..=12).contains(n)).ok_or_else(bad)?)
                }
            },
        };
        Ok(Self { code, ctrl, alt })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        if self.alt {
            f.write_str("alt-")?;
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            Code::Char(c) => write!(f, "{c}"),
            Code::F(n) => write!(f, "f{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Which keys each action has.
#[derive(Debug, Clone, PartialEq)]
pub struct Keymap {
    bindings: Vec<(Action, Vec<Key>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = ACTIONS
            .iter()
            .map(|info| (info.action, info.keys.iter().filter_map(|k| k.parse().ok()).collect()))
            .collect();
        Self { bindings }
    }
}

impl Keymap {
    /// Lays the user's file over the defaults. What is wrong in it is said and left out; the rest is in force.
    ///
    /// The file is TOML: `action-name = "key"` or `action-name = ["key", "key"]`; an empty list unbinds.
    pub fn overlay(mut self, file: &str, text: &str) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(e) => {
                let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].lines().count().max(1));
                return (self, vec![format!("{file}:{line}: {}; default keys are in force", e.message())]);
            }
        };
        for (name, value) in &table {
            let Some(info) = ACTIONS.iter().find(|i| i.name == name) else {
                let near = nearest(name, ACTIONS.iter().map(|i| i.name));
                warnings.push(format!("{file}: `{name}` is no action{near}"));
                continue;
            };
            let texts: Option<Vec<&str>> = match value {
                toml::Value::String(s) => Some(vec![s]),
                toml::Value::Array(a) => a.iter().map(toml::Value::as_str).collect(),
                _ => None,
            };
            let Some(texts) = texts else {
                warnings.push(format!("{file}: {name}: a key or a list of keys is wanted"));
                continue;
            };
            let parsed: Result<Vec<Key>, String> = texts.iter().map(|t| t.parse()).collect();
            match parsed {
                Ok(keys) => self.bind(info.action, keys),
                Err(e) => warnings.push(format!("{file}: {name}: {e}")),
            }
        }
        warnings.extend(self.conflicts().into_iter().map(|c| format!("{file}: {c}")));
        (self, warnings)
    }

    fn bind(&mut self, action: Action, keys: Vec<Key>) {
        if let Some(entry) = self.bindings.iter_mut().find(|(a, _)| *a == action) {
            entry.1 = keys;
        }
    }

    /// Keys that two actions of one place share; the first in the table has it.
    pub fn conflicts(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (i, (a, keys)) in self.bindings.iter().enumerate() {
            for (b, others) in &self.bindings[i + 1..] {
                let clash = a.info().place.overlaps(b.info().place);
                for key in keys.iter().filter(|k| clash && others.contains(k)) {
                    out.push(format!("`{key}` means both {} and {}; the first wins", a.info().name, b.info().name));
                }
            }
        }
        out
    }

    /// The action of a key at a place: the place's own first, then that of the place below it.
    pub fn action(&self, key: Key, place: Place) -> Option<Action> {
        let bound = |wanted: Place| {
            self.bindings.iter().find(|(a, keys)| a.info().place == wanted && keys.contains(&key)).map(|(a, _)| *a)
        };
        let below = match place {
            Place::Diff => Some(Place::Popup),
            place if place.is_overlay() => None,
            _ => Some(Place::Global),
        };
        bound(place).or_else(|| bound(below?))
    }

    /// An action's keys.
    pub fn keys(&self, action: Action) -> &[Key] {
        self.bindings.iter().find(|(a, _)| *a == action).map_or(&[], |(_, keys)| keys)
    }

    /// An action's first key in words, for hints and help; empty when it has none.
    pub fn first(&self, action: Action) -> String {
        self.keys(action).first().map(Key::to_string).unwrap_or_default()
    }
}

fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> String {
    let best = all.map(|n| (strsim::jaro_winkler(name, n), n)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score > 0.75).map_or_else(String::new, |(_, n)| format!("; did you mean `{n}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_write() {
        for text in ["q", "G", "?", "space", "ctrl-s", "alt-x", "f5", "pgdn", "ctrl-space", "-", "ctrl--", "backtab"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
        for text in ["", "qq", "ctrl-", "f13", "f0", "hyper-x", "\u{1}"] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_default_key_parses_and_no_two_actions_clash() {
        for info in ACTIONS {
            for key in info.keys {
                assert!(key.parse::<Key>().is_ok(), "{}: {key}", info.name);
            }
        }
        assert_eq!(Keymap::default().conflicts(), Vec::<String>::new());
    }

    #[test]
    fn a_partial_keys_file_changes_only_what_it_names() {
        let (map, warnings) = Keymap::default().overlay("keys.toml", "pause = [\"P\", \"f5\"]\n");
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(map.action(Key::char('P'), Place::Train), Some(Action::Pause));
        assert_eq!(map.action(Key::char('p'), Place::Train), None);
        assert_eq!(map.action(Key::char('q'), Place::Train), Some(Action::Quit));
    }

    #[test]
    fn bad_lines_are_said_and_the_rest_is_in_force() {
        let text = "pause = \"nokey\"\npuase = \"x\"\nstop = 3\nquit = \"Q\"\n";
        let (map, warnings) = Keymap::default().overlay("keys.toml", text);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().any(|w| w.contains("did you mean `pause`?")), "{warnings:?}");
        assert_eq!(map.action(Key::char('Q'), Place::Runs), Some(Action::Quit));
        assert_eq!(map.action(Key::char('p'), Place::Train), Some(Action::Pause));
        let (map, warnings) = Keymap::default().overlay("keys.toml", "quit = = 3");
        assert_eq!(map, Keymap::default());
        assert!(warnings[0].starts_with("keys.toml:1:"), "{warnings:?}");
    }

    #[test]
    fn a_key_given_twice_in_one_place_is_said() {
        let (_, warnings) = Keymap::default().overlay("keys.toml", "pause = \"s\"");
        assert!(warnings[0].contains("pause and stop"), "{warnings:?}");
        let (_, warnings) = Keymap::default().overlay("keys.toml", "pause = \"q\"");
        assert!(warnings[0].contains("quit and pause"), "{warnings:?}");
    }
}
