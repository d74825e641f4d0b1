//! `freeze.schedule`: how the freeze plan changes by itself while a run goes on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::FreezeSpec;

/// Phases as written, or made from the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FreezeSchedule {
    /// `"gradual"`.
    Named(NamedSchedule),
    /// In order; none by default.
    Phases(Vec<PhaseSpec>),
}

impl Default for FreezeSchedule {
    fn default() -> Self {
        Self::Phases(Vec::new())
    }
}

/// Schedules that need no phases to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedSchedule {
    /// The head alone, then one block deeper whenever the monitored metric stands still.
    Gradual,
}

/// One change of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// When it comes.
    pub at: When,
    /// Rules that are appended to the plan.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Factor on all rates from then on.
    #[serde(default = "one")]
    pub lr_scale: f64,
}

fn one() -> f64 {
    1.0
}

/// When a phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum When {
    /// After so many epochs.
    Epoch(u64),
    /// After so many optimizer steps.
    Step(u64),
    /// When the monitored metric has stood still for `freeze.patience` validations.
    Plateau,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(n) => write!(f, "epoch {n}"),
            Self::Step(n) => write!(f, "step {n}"),
            Self::Plateau => f.write_str("plateau"),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (word, number, rest) = (words.next(), words.next().and_then(|n| n.parse().ok()), words.next());
        match (word, number, rest) {
            (Some("epoch"), Some(n @ 1..), None) => Ok(Self::Epoch(n)),
            (Some("step"), Some(n @ 1..), None) => Ok(Self::Step(n)),
            (Some("plateau"), None, None) if text.trim() == "plateau" => Ok(Self::Plateau),
            _ => {
                Err(format!("{text:?} is no time; write \"epoch 3\" (after three epochs), \"step 500\" or \"plateau\""))
            }
        }
    }
}

impl TryFrom<String> for When {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<When> for String {
    fn from(when: When) -> Self {
        when.to_string()
    }
}

impl FreezeSpec {
    /// The rules of the plan that a run begins with: the recipe's, which under `"gradual"` come after those of its first
    /// phase and have the last word.
    pub fn starting_rules(&self) -> Vec<String> {
        let first: &[&str] = match self.schedule {
            FreezeSchedule::Named(NamedSchedule::Gradual) => &["freeze preset:all", "train preset:head"],
            FreezeSchedule::Phases(_) => &[],
        };
        first.iter().map(|r| (*r).to_owned()).chain(self.rules.iter().cloned()).collect()
    }
}
