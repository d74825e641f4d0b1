//! The language of filters and orders, for whatever has fields: the run list, a run's checkpoints.
//!
//! ```text
//! flowers                      a word, whatever its case, where the thing is called
//! name:flowers status:running  the same in one field
//! best<0.3 step>=100           comparisons
//! -tag:old                     not
//! a b | c                      (a and b) or c
//! "two words"                  quotes hold blanks and signs together
//! ```

mod sort;
mod value;

pub use sort::SortBy;
pub use value::Value;

/// Something with fields.
pub trait Record {
    /// Whether a word without a field is found. The word is lower case.
    fn has(&self, word: &str) -> bool;
    /// The labels of a field that holds several.
    fn labels(&self, field: &str) -> Option<&[String]> {
        let _ = field;
        None
    }
    /// The value of any other field, where there is one.
    fn value(&self, field: &str) -> Option<Value>;
}

/// A parsed filter. The empty one lets everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
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
    /// Lower case.
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

/// What is wrong with a filter or an order.
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
    /// A value that the field never has.
    #[error("`{value}` is no {field}; {hint}")]
    Value {
        /// The field.
        field: String,
        /// What was written.
        value: String,
        /// What it can be.
        hint: String,
    },
}

/// Which fields there are, and what they can be: what a filter asks for beyond that is an error and not a list without lines.
pub trait Fields {
    /// Whether there is such a field.
    fn field(&self, field: &str) -> Result<(), FilterError>;
    /// Whether the field can have this value; `whole` where it is compared, and not looked for in the value.
    fn value(&self, field: &str, value: &str, whole: bool) -> Result<(), FilterError>;
}

impl FilterError {
    /// A value for a field that holds numbers has to be one.
    pub fn unless_number(field: &str, value: &str) -> Result<(), Self> {
        if value.parse::<f64>().is_ok() {
            return Ok(());
        }
        let hint = "it is compared with a number, as 0.3 or 1e-3".to_owned();
        Err(Self::Value { field: format!("value of {field}"), value: value.to_owned(), hint })
    }

    /// No such field; a close one is named, or all of them. `others` says what there is besides.
    pub fn unknown(field: &str, known: &[&str], others: &str) -> Self {
        let score = |name: &str| strsim::jaro_winkler(field, name);
        let close = known.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
        let hint = match close {
            Some(c) if score(c) > 0.8 => format!("did you mean `{c}`?"),
            _ => format!("known are {} and {others}", known.join(", ")),
        };
        Self::Field { field: field.to_owned(), hint }
    }
}

impl Query {
    /// Reads a filter.
    pub fn parse(text: &str, check: &dyn Fields) -> Result<Self, FilterError> {
        let mut any = vec![Vec::new()];
        for token in tokens(text)? {
            match token {
                Token::Or => any.push(Vec::new()),
                Token::Term(chars) => {
                    if let (Some(all), Some(term)) = (any.last_mut(), Term::parse(&chars, check)?) {
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

    /// The fields that it asks for.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.any.iter().flatten().filter_map(|term| match &term.test {
            Test::Word(_) => None,
            Test::Contains(field, _) | Test::Compare(field, ..) => Some(field.as_str()),
        })
    }

    /// Whether something is let through.
    pub fn matches(&self, record: &dyn Record) -> bool {
        self.is_empty() || self.any.iter().any(|all| all.iter().all(|t| t.test.holds(record) != t.negated))
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
    fn parse(mut chars: &[(char, bool)], check: &dyn Fields) -> Result<Option<Self>, FilterError> {
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
                check.field(&field)?;
                let value = value(1)?.to_lowercase();
                check.value(&field, &value, false)?;
                return term(Test::Contains(field, value));
            }
            let starts = |op: &str| op.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&(c, false)));
            if let Some((sign, op)) = OPS.iter().find(|(sign, _)| starts(sign)) {
                check.field(&field)?;
                let value = value(sign.len())?;
                check.value(&field, &value, true)?;
                return term(Test::Compare(field, *op, value));
            }
        }
        match plain(chars).to_lowercase() {
            word if word.is_empty() => Ok(None),
            word => term(Test::Word(word)),
        }
    }
}

impl Test {
    fn holds(&self, record: &dyn Record) -> bool {
        match self {
            Self::Word(word) => record.has(word),
            Self::Contains(field, word) => match record.labels(field) {
                Some(labels) => labels.iter().any(|l| contains(l, word)),
                None => record.value(field).is_some_and(|v| contains(&v.text(), word)),
            },
            Self::Compare(field, op, value) => match record.labels(field) {
                Some(labels) => {
                    let is = labels.iter().any(|l| l.eq_ignore_ascii_case(value));
                    if *op == Op::Ne { !is } else { is }
                }
                None => match record.value(field) {
                    Some(found) => found.compare(*op, value),
                    None => *op == Op::Ne,
                },
            },
        }
    }
}

/// Whether a text contains a lower-case word, whatever its own case.
pub fn contains(text: &str, word: &str) -> bool {
    text.to_lowercase().contains(word)
}
