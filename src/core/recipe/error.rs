//! What is wrong with a recipe: one problem a line, each with its place, its key, and what is allowed.

use std::borrow::Cow;
use std::fmt;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere in particular: the recipe as a whole, or a value that was left out.
    Whole,
    /// A line of the recipe's file, from 1.
    Line(usize),
    /// A `--set` argument (`train.epochs=0`).
    Set(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// Dotted key (`optimizer.lr`), empty where the trouble is not about one key.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The recipe can be read in spite of it, and held against the other rules.
    pub(super) lesser: bool,
}

impl Problem {
    pub(super) fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, key: key.into(), message: message.into(), lesser: false }
    }

    pub(super) fn lesser(self) -> Self {
        Self { lesser: true, ..self }
    }
}

/// A recipe that is refused: every problem that was found, in the order of the file, `--set` arguments last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RecipeError {
    file: String,
    problems: Vec<Problem>,
}

impl RecipeError {
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self { file: file.to_owned(), problems }
    }

    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self::new(file, vec![Problem::new(Place::Whole, "", message)])
    }

    /// The file as it was named by the caller.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for RecipeError {
    /// `demo.toml:12: optimizer.lrr: unknown key; did you mean `lr`?`, one line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match &problem.place {
                Place::Whole => write!(f, "{}: ", self.file)?,
                Place::Line(line) => write!(f, "{}:{line}: ", self.file)?,
                Place::Set(argument) => write!(f, "--set {}: ", printable(argument))?,
            }
            if !problem.key.is_empty() {
                write!(f, "{}: ", printable(&problem.key))?;
            }
            f.write_str(&printable(&problem.message))?;
        }
        Ok(())
    }
}

/// What a file says must not break the line, nor reach the terminal as a control sequence.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}
