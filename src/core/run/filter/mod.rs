//! The run list's filter language.
//!
//! ```text
//! flowers                      id, name, a tag or the note contains the word, whatever its case
//! name:flowers tag:a status:running id:2026 note:good    the same in one place
//! best<0.3 step>=100 cfg.optimizer.lr>=1e-3 cfg.model.arch=resnet18 epochs!=3
//! -tag:old                     not
//! a b | c                      (a and b) or c
//! "two words"                  quotes hold blanks and signs together
//! ```

mod value;

pub(super) use value::{Lookup, Value, lookup};

use super::RunSummary;
use crate::core::recipe::Recipe;

/// A parsed filter. The empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Any of these; in each, all of the terms.
    any: Vec<Vec<Term>>,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Somewhere in id, name, tags or note; lower case.
    Word(String),
    /// `field:text`; lower case.
    Contains(String, String),
    /// `field<value`.
    Compare(String, Op, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Longest first, so that `<=` is not read as `<`.
const OPS: [(&str, Op); 7] =
    [("==", Op::Eq), ("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("=", Op::Eq), ("<", Op::Lt), (">", Op::Gt)];

/// Fields besides `cfg.*`.
const FIELDS: [&str; 16] = [
    "id", "name", "tag", "tags", "note", "status", "host", "model", "step", "steps", "epoch", "epochs", "best",
    "created", "updated", "message",
];

/// What is wrong with a filter or a sort key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No such field.
    #[error("unknown field `{field}`; {hint}")]
    Field {
        /// What was written.
        field: String,
        /// Close ones, or all.
        hint: String,
    },
    /// A quote without an end.
    #[error("the quote in `{0}` has no end")]
    Quote(String),
    /// A field or sign with nothing after it.
    #[error("`{0}` says nothing after its sign")]
    Empty(String),
}

pub(super) fn check_field(field: &str) -> Result<(), FilterError> {
    if FIELDS.contains(&field) || field.strip_prefix("cfg.").is_some_and(|rest| !rest.is_empty()) {
        return Ok(());
    }
    let close = FIELDS.iter().max_by(|a, b| strsim::jaro_winkler(field, a).total_cmp(&strsim::jaro_winkler(field, b)));
    let hint = match close {
        Some(c) if strsim::jaro_winkler(field, c) > 0.8 => format!("did you mean `{c}`?"),
        _ => format!("known are {} and cfg.<recipe key>", FIELDS.join(", ")),
    };
    Err(FilterError::Field { field: field.to_owned(), hint })
}

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut any = vec![Vec::new()];
        for token in tokens(text)? {
            match token {
                Token::Or => any.push(Vec::new()),
                Token::Term(chars) => {
                    if let (Some(all), Some(term)) = (any.last_mut(), Term::parse(&chars)?) {
                        all.push(term);
                    }
                }
            }
        }
        // `a |` is on its way to being typed: an empty side does not let everything through.
        if any.iter().any(|all| !all.is_empty()) {
            any.retain(|all| !all.is_empty());
        }
        Ok(Self { any, text: text.trim().to_owned() })
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.any.iter().all(Vec::is_empty)
    }

    /// Whether it asks for anything of the recipe. If not, [`Filter::matches`] takes any: reading thousands of them is
    /// what a listing should not do without need.
    pub fn needs_recipe(&self) -> bool {
        let of_recipe = |test: &Test| match test {
            Test::Word(_) => false,
            Test::Contains(field, _) | Test::Compare(field, ..) => field.starts_with("cfg."),
        };
        self.any.iter().flatten().any(|t| of_recipe(&t.test))
    }

    /// Whether a run is let through.
    pub fn matches(&self, run: &RunSummary, recipe: &Recipe) -> bool {
        let lookup = Lookup::new(recipe);
        self.is_empty() || self.any.iter().any(|all| all.iter().all(|t| t.test.holds(run, &lookup) != t.negated))
    }
}

/// A character, and whether it was quoted, so that quoted signs are plain text.
type Chars = Vec<(char, bool)>;

enum Token {
    Or,
    Term(Chars),
}

fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut term: Chars = Vec::new();
    let mut quote = None;
    let mut was_quoted = false;
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => term.push((c, true)),
            // In the middle of a word an apostrophe is a letter.
            None if c == '"'
                || (c == '\'' && (term.is_empty() || term.last().is_some_and(|(l, _)| ":=<>-".contains(*l)))) =>
            {
                (quote, was_quoted) = (Some(c), true);
            }
            None if c.is_whitespace() || c == '|' => {
                if !term.is_empty() || was_quoted {
                    tokens.push(Token::Term(std::mem::take(&mut term)));
                }
                was_quoted = false;
                if c == '|' {
                    tokens.push(Token::Or);
                }
            }
            None => term.push((c, false)),
        }
    }
    if quote.is_some() {
        return Err(FilterError::Quote(text.to_owned()));
    }
    if !term.is_empty() {
        tokens.push(Token::Term(term));
    }
    Ok(tokens)
}

fn plain(chars: &[(char, bool)]) -> String {
    chars.iter().map(|(c, _)| c).collect()
}

impl Term {
    fn parse(mut chars: &[(char, bool)]) -> Result<Option<Self>, FilterError> {
        let negated = chars.len() > 1 && chars[0] == ('-', false);
        if negated {
            chars = &chars[1..];
        }
        let term = |test| Ok(Some(Self { negated, test }));
        for at in 1..chars.len() {
            let rest = &chars[at..];
            if rest[0].1 {
                break;
            }
            let field = plain(&chars[..at]);
            let value = |skip: usize| {
                let value = plain(&rest[skip..]);
                if value.is_empty() { Err(FilterError::Empty(plain(chars))) } else { Ok(value) }
            };
            if rest[0].0 == ':' {
                check_field(&field)?;
                return term(Test::Contains(field, value(1)?.to_lowercase()));
            }
            let starts = |op: &str| op.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&(c, false)));
            if let Some((sign, op)) = OPS.iter().find(|(sign, _)| starts(sign)) {
                check_field(&field)?;
                return term(Test::Compare(field, *op, value(sign.len())?));
            }
        }
        match plain(chars).to_lowercase() {
            word if word.is_empty() => Ok(None),
            word => term(Test::Word(word)),
        }
    }
}

impl Test {
    fn holds(&self, run: &RunSummary, recipe: &Lookup<'_>) -> bool {
        let has = |text: &str, word: &str| text.to_lowercase().contains(word);
        match self {
            Self::Word(word) => {
                [run.id.as_str(), &run.name, &run.note].iter().any(|t| has(t, word))
                    || run.tags.iter().any(|t| has(t, word))
            }
            Self::Contains(field, word) if is_tag(field) => run.tags.iter().any(|t| has(t, word)),
            Self::Contains(field, word) => lookup(field, run, recipe).is_some_and(|v| has(&v.text(), word)),
            Self::Compare(field, op, value) if is_tag(field) => {
                let is = run.tags.iter().any(|t| t.eq_ignore_ascii_case(value));
                if *op == Op::Ne { !is } else { is }
            }
            Self::Compare(field, op, value) => match lookup(field, run, recipe) {
                Some(found) => found.compare(*op, value),
                None => *op == Op::Ne,
            },
        }
    }
}

fn is_tag(field: &str) -> bool {
    field == "tag" || field == "tags"
}

#[cfg(test)]
mod tests;
