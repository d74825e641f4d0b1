//! What a rule applies to, as text: names, globs, `kind:`, `before:`, `after:`, `preset:`.
//!
//! The words before the colon cannot clash with PyTorch's names in practice (nobody registers a module called `kind:…`), so that a
//! module that is really called `head` or `norms` stays reachable by its plain name.

use std::fmt;
use std::str::FromStr;

use crate::core::tree::is_glob;

/// The selecting half of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// A parameter's or module's dotted name, or a glob over them; a module means everything below it.
    Name(String),
    /// All modules of a class (`BatchNorm2d`, `*Norm*`), with everything below them.
    Kind(String),
    /// Everything that was registered before a module.
    Before(String),
    /// Everything that was registered after a module and does not lie below it.
    After(String),
    /// A ready-made choice.
    Preset(Preset),
}

/// Ready-made choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Everything.
    All,
    /// Nothing; a rule with it does nothing and is no error.
    None,
    /// The last module that owns parameters.
    Head,
    /// The last so many blocks.
    Last(usize),
    /// Parameters called `bias` (`*_bias`, `bias_*`).
    Biases,
    /// Parameters of normalisation layers.
    Norms,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Kind(kind) => write!(f, "kind:{kind}"),
            Self::Before(path) => write!(f, "before:{path}"),
            Self::After(path) => write!(f, "after:{path}"),
            Self::Preset(preset) => write!(f, "preset:{preset}"),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Head => f.write_str("head"),
            Self::Last(n) => write!(f, "last:{n}"),
            Self::Biases => f.write_str("biases"),
            Self::Norms => f.write_str("norms"),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((word, rest)) = text.split_once(':') else {
            check_name(text)?;
            return Ok(Self::Name(text.to_owned()));
        };
        let module = |what: &str| match rest {
            "" => Err(format!("`{what}:` needs a module's name (`{what}:layer4`)")),
            glob if is_glob(glob) => Err(format!("`{what}:` takes one module's name, not a glob")),
            path => check_name(path).map(|()| path.to_owned()),
        };
        match word {
            "kind" if rest.is_empty() => Err("`kind:` needs a class name (`kind:BatchNorm2d`)".into()),
            "kind" => Ok(Self::Kind(rest.to_owned())),
            "before" => module("before").map(Self::Before),
            "after" => module("after").map(Self::After),
            "preset" => rest.parse().map(Self::Preset),
            _ => Err(format!("unknown word `{word}:` in the pattern (kind:, before:, after: or preset:)")),
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            "head" => Ok(Self::Head),
            "biases" => Ok(Self::Biases),
            "norms" => Ok(Self::Norms),
            _ => match text.strip_prefix("last:").map(str::parse) {
                Some(Ok(n)) if n > 0 => Ok(Self::Last(n)),
                Some(_) => Err("`preset:last:N` needs a number of blocks from 1 (`preset:last:2`)".into()),
                None => Err(format!("unknown preset `{text}` (all, none, head, last:N, biases or norms)")),
            },
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.starts_with('=') {
        return Err("a name cannot begin with `=`".into());
    }
    if name.split('.').any(str::is_empty) {
        return Err("the pattern has an empty segment; dots separate names (`layer1.0.conv1`)".into());
    }
    Ok(())
}
