//! Forms: several fields, checked while one types.

mod edit;
mod export;
mod fork;
mod recipe;

pub use edit::EditForm;
pub use export::{ExportForm, Tensor};
pub use fork::ForkForm;

use super::overlay::Input;

/// How a field's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No key of a recipe: the form knows what to make of it.
    Plain,
    /// Text.
    Word,
    /// A number; what is none is said by the recipe's rules.
    Number,
    /// A list, set apart by commas.
    List,
    /// The name of a preset of the freeze plan.
    Preset,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name on the form.
    pub label: &'static str,
    /// The recipe's key; empty where it is none.
    pub key: &'static str,
    /// What stands where nothing is filled in.
    pub hint: &'static str,
    /// What is filled in.
    pub input: Input,
    /// Values that left and right go through.
    pub choices: &'static [&'static str],
    /// Only those can be chosen.
    pub closed: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
    shape: Shape,
}

impl Field {
    fn new(label: &'static str, key: &'static str, shape: Shape, text: &str, hint: &'static str) -> Self {
        let input = Input::with(text);
        Self { label, key, hint, input, choices: &[], closed: false, problem: None, shape }
    }

    /// With values to choose from.
    fn choice(self, choices: &'static [&'static str], closed: bool) -> Self {
        Self { choices, closed, ..self }
    }

    fn text(&self) -> &str {
        self.input.text.trim()
    }
}

/// What a form is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// A new recipe; its text as it stands.
    Recipe(String),
    /// Other values in a recipe that exists.
    Edit(Box<EditForm>),
    /// An export.
    Export(Box<ExportForm>),
    /// A fork with changes.
    Fork(Box<ForkForm>),
}

/// The form.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Its heading.
    pub title: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// The field that has the keyboard.
    pub cursor: usize,
    /// What is wrong and belongs to no field.
    pub problems: Vec<String>,
    /// What would be done, in words.
    pub notes: Vec<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// It was accepted, and the answer is to come: it stands as it was sent until then.
    pub sent: bool,
}

impl Form {
    /// What it waits for, once it was sent.
    pub fn waits(&self) -> Option<&'static str> {
        self.sent.then_some(match self.purpose {
            Purpose::Recipe(_) | Purpose::Edit(_) => "writing the recipe…",
            Purpose::Export(_) => "looking at the file to write…",
            Purpose::Fork(_) => "the run is being started…",
        })
    }

    /// The field that has the keyboard.
    pub fn field_mut(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.cursor)
    }

    fn field(&self, label: &str) -> &str {
        self.fields.iter().find(|f| f.label == label).map_or("", Field::text)
    }

    fn set_problem(&mut self, label: &str, problem: Option<String>) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.label == label) {
            field.problem = problem;
        }
    }

    /// Goes `by` fields further, round the end.
    pub fn go(&mut self, by: isize) {
        let n = self.fields.len().max(1).cast_signed();
        self.cursor = (self.cursor.cast_signed() + by).rem_euclid(n).unsigned_abs();
    }

    /// The next choice of the field, or one character on in a text.
    pub fn turn(&mut self, by: isize) {
        let Some(field) = self.field_mut() else { return };
        if field.choices.is_empty() {
            field.input.go(by);
            return;
        }
        let n = field.choices.len().cast_signed();
        let at = field.choices.iter().position(|c| *c == field.text());
        let to = at.map_or(0, |at| (at.cast_signed() + by).rem_euclid(n)).unsigned_abs();
        field.input = Input::with(field.choices.get(to).copied().unwrap_or_default());
        self.changed();
    }

    /// The field with the keyboard has another text.
    pub fn changed(&mut self) {
        if let Purpose::Export(_) = self.purpose {
            export::follow(self);
        }
        self.check();
    }

    /// Whether it can be accepted as it stands.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.fields.iter().all(|f| f.problem.is_none())
    }

    /// The first field with a problem.
    pub fn first_problem(&self) -> Option<(usize, &str)> {
        self.fields.iter().enumerate().find_map(|(i, f)| Some((i, f.problem.as_deref()?)))
    }

    /// Sets down what is wrong with each field, and what would be done.
    pub fn check(&mut self) {
        match self.purpose {
            Purpose::Recipe(_) => recipe::check(self),
            Purpose::Edit(_) => edit::check(self),
            Purpose::Export(_) => export::check(self),
            Purpose::Fork(_) => fork::check(self),
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A number as it was typed; anything else as text, which the recipe's rules refuse with their own words.
fn number(text: &str) -> String {
    let is_number =
        text.replace('_', "").parse::<f64>().is_ok() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number { text.to_owned() } else { quoted(text) }
}
