//! One rule: an action and a pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FreezeError, Pattern};

/// What a rule does to what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The parameters learn; lifts an earlier `no_grad` on the same module.
    Train,
    /// The parameters keep their bits; gradients flow through.
    Freeze,
    /// The module's forward records no gradients.
    NoGrad,
}

impl Action {
    /// The word in a rule.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Freeze => "freeze",
            Self::NoGrad => "no_grad",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "train" => Ok(Self::Train),
            "freeze" => Ok(Self::Freeze),
            "no_grad" => Ok(Self::NoGrad),
            _ => {
                let meant = match word.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
                    "nograd" => Some("no_grad"),
                    "thaw" | "unfreeze" | "trainable" => Some("train"),
                    "frozen" => Some("freeze"),
                    other => {
                        ["train", "freeze", "no_grad"].into_iter().find(|a| strsim::damerau_levenshtein(a, other) <= 2)
                    }
                };
                let hint = meant.map_or(String::new(), |m| format!("; did you mean `{m}`?"));
                Err(format!("unknown action `{word}` (train, freeze or no_grad){hint}"))
            }
        }
    }
}

/// An action and what it applies to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// To what.
    pub pattern: Pattern,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.pattern)
    }
}

impl FromStr for Rule {
    type Err = FreezeError;

    fn from_str(text: &str) -> Result<Self, FreezeError> {
        let (action, pattern) = split(text)?;
        let pattern = pattern.parse().map_err(|problem| FreezeError::Syntax { rule: one_line(text), problem })?;
        Ok(Self { action, pattern })
    }
}

/// A line of a plan: an ordered rule, or the override of one parameter (`train =fc.bias`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Rule(Rule),
    Override(String, Action),
}

impl FromStr for Line {
    type Err = FreezeError;

    fn from_str(text: &str) -> Result<Self, FreezeError> {
        let (action, pattern) = split(text)?;
        match pattern.strip_prefix('=') {
            None => Ok(Self::Rule(text.parse()?)),
            Some("") => Err(syntax(text, "`=` needs a parameter's full name: `train =fc.bias`")),
            Some(name) => Ok(Self::Override(name.to_owned(), action)),
        }
    }
}

fn split(text: &str) -> Result<(Action, &str), FreezeError> {
    let mut words = text.split_whitespace();
    let (Some(action), pattern, None) = (words.next(), words.next(), words.next()) else {
        let problem = if text.trim().is_empty() { "empty" } else { "more than an action and a pattern" };
        return Err(syntax(text, &format!("{problem}; write `<train|freeze|no_grad> <pattern>`")));
    };
    let parsed = action.parse().map_err(|problem: String| syntax(text, &problem));
    match pattern {
        Some(pattern) => Ok((parsed?, pattern)),
        None if parsed.is_ok() => Err(syntax(text, "the pattern is missing; `freeze **` means everything")),
        None => Err(syntax(text, "the action is missing; write `<train|freeze|no_grad> <pattern>`")),
    }
}

fn syntax(rule: &str, problem: &str) -> FreezeError {
    FreezeError::Syntax { rule: one_line(rule), problem: problem.to_owned() }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
