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

use std::cell::OnceCell;
use std::cmp::Ordering;

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
    #[error("filter: unknown field `{field}`; {hint}")]
    Field {
        /// What was written.
        field: String,
        /// Close ones, or all.
        hint: String,
    },
    /// A quote without an end.
    #[error("filter: the quote in `{0}` has no end")]
    Quote(String),
    /// A field or sign with nothing after it.
    #[error("filter: `{0}` says nothing after its sign")]
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

/// The recipe as a JSON value, made when the first `cfg.` field asks for it.
pub(super) struct Lookup<'a> {
    recipe: &'a Recipe,
    json: OnceCell<serde_json::Value>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(recipe: &'a Recipe) -> Self {
        Self { recipe, json: OnceCell::new() }
    }
    fn get(&self, dotted: &str) -> Option<&serde_json::Value> {
        let json = self.json.get_or_init(|| serde_json::to_value(self.recipe).unwrap_or_default());
        dotted.split('.').try_fold(json, |v, key| match v {
            serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        })
    }
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Text(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }

    fn compare(&self, op: Op, asked: &str) -> bool {
        let order = match (self, asked.parse::<f64>()) {
            (Self::Number(a), Ok(b)) => a.partial_cmp(&b),
            (Self::Number(_), Err(_)) => None,
            (Self::Text(a), _) => Some(a.to_lowercase().cmp(&asked.to_lowercase())),
        };
        match (op, order) {
            (Op::Ne, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Op::Eq, Some(o)) => o.is_eq(),
            (Op::Lt, Some(o)) => o.is_lt(),
            (Op::Le, Some(o)) => o.is_le(),
            (Op::Gt, Some(o)) => o.is_gt(),
            (Op::Ge, Some(o)) => o.is_ge(),
        }
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Text(a), Self::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        }
    }
}

pub(super) fn lookup(field: &str, run: &RunSummary, recipe: &Lookup<'_>) -> Option<Value> {
    let text = |s: &str| Some(Value::Text(s.to_owned()));
    let number = |n: u64| Some(Value::Number(n as f64));
    match field {
        "id" => text(run.id.as_str()),
        "name" => text(&run.name),
        "tag" | "tags" => text(&run.tags.join(" ")),
        "note" => text(&run.note),
        "status" => text(run.status.as_str()),
        "host" => text(&run.host),
        "model" => text(&run.model),
        "message" => run.message.as_deref().and_then(text),
        "created" => text(&run.created.to_string()),
        "updated" => text(&run.updated.to_string()),
        "step" => number(run.step),
        "steps" => number(run.steps),
        "epoch" => number(run.epoch),
        "epochs" => number(run.epochs),
        "best" => run.best.map(Value::Number),
        _ => match recipe.get(field.strip_prefix("cfg.")?)? {
            serde_json::Value::Null => None,
            serde_json::Value::Number(n) => n.as_f64().map(Value::Number),
            serde_json::Value::String(s) => text(s),
            other => text(&other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Lineage, RunId, RunStatus, SortKey};
    use super::*;

    fn run(name: &str, best: Option<f64>, tags: &[&str]) -> RunSummary {
        let created: jiff::Timestamp = "2026-11-25T01:45:03Z".parse().unwrap();
        RunSummary {
            id: "20261125-014503-0000".parse::<RunId>().unwrap(),
            name: name.into(),
            status: RunStatus::Finished,
            step: 120,
            steps: 200,
            epoch: 3,
            epochs: 5,
            best,
            monitor: "val/loss".into(),
            created,
            updated: created,
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            note: "a good one".into(),
            host: "box".into(),
            model: "resnet18".into(),
            message: None,
            pid: None,
            lineage: Lineage::default(),
            problem: None,
        }
    }

    fn passes(filter: &str) -> bool {
        let mut recipe = Recipe::default();
        recipe.optimizer.lr = 1e-3;
        recipe.model.arch = "resnet18".into();
        let filter = Filter::parse(filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
        filter.matches(&run("Flowers head", Some(0.25), &["baseline", "v10"]), &recipe)
    }

    #[test]
    fn the_language_does_what_it_says() {
        let yes = [
            "",
            "  ",
            "flow",
            "FLOWERS",
            "head flowers",
            "good",
            "base",
            "20261125",
            "name:flowers",
            "tag:v1",
            "tag=v10",
            "id:2026",
            "status:fin",
            "status=finished",
            "cfg.optimizer.lr>=1e-3",
            "cfg.optimizer.lr=0.001",
            "best<0.3",
            "best>=0.25",
            "best!=1",
            "-birds",
            "-tag:old",
            "birds | flowers",
            "birds|flowers",
            "nothing at all | v10 head",
            "\"flowers head\"",
            "name:\"flowers head\"",
            "name=\"flowers head\"",
            "cfg.model.arch=resnet18",
            "model:resnet",
            "flowers | ",
            "created>2026-11-24",
            "cfg.train.batch_size<=32",
            "-best>1",
            "cfg.freeze.rules=[]",
            "cfg.no.such!=1",
            "note:'a good'",
        ];
        for f in yes {
            assert!(passes(f), "should pass: {f}");
        }
        let no = [
            "birds",
            "flowers birds",
            "-flowers",
            "tag=v1",
            "best<0.25",
            "best>0.25",
            "name:good",
            "status:running",
            "cfg.optimizer.lr>1e-3",
            "-\"good one\"",
            "\"head flowers\"",
            "\"birds|flowers\"",
            "cfg.no.such=1",
            "flowers -tag:v10",
            "birds | name:x",
            "best<small",
        ];
        for f in no {
            assert!(!passes(f), "should not pass: {f}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let words = |f: &str| Filter::parse(f).unwrap_err().to_string();
        assert_eq!(words("stauts:running"), "filter: unknown field `stauts`; did you mean `status`?");
        assert!(words("xyz>3").contains("cfg.<recipe key>"));
        assert!(words("\"open").contains("no end"));
        assert!(words("best<").contains("nothing after"));
        assert!(SortKey::parse("-bset").unwrap_err().to_string().contains("`best`"));
    }

    #[test]
    fn runs_without_a_value_sort_last_either_way() {
        let runs = [run("a", Some(0.5), &[]), run("b", None, &[]), run("c", Some(0.1), &[])];
        let recipe = Recipe::default();
        for (key, order) in [("best", "cab"), ("-best", "acb"), ("-name", "cba"), ("cfg.optimizer.lr", "abc")] {
            let mut list: Vec<&RunSummary> = runs.iter().collect();
            SortKey::parse(key).unwrap().sort(&mut list, |r| (*r, &recipe));
            assert_eq!(list.iter().map(|r| r.name.as_str()).collect::<String>(), order, "{key}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_not_turns_the_answer(text in "[-a-z0-9:|<>=!\"' .]{0,20}") {
            let _ = Filter::parse(&text);
            let word: String = text.chars().filter(char::is_ascii_lowercase).collect();
            if !word.is_empty() {
                prop_assert_ne!(passes(&word), passes(&format!("-{word}")));
            }
        }
    }
}
