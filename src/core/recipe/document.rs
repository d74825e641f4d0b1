//! A recipe as written: TOML values that remember the line or the `--set` argument they came from.
//!
//! The checks work on this form, because serde's errors stop at the first and forget the place.

use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// TOML's values, but for dates, which no key takes, and numbers that do not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Number(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// A date, or an integer beyond 64 bits: as it was written.
    Other(String),
}

impl Node {
    /// The value below a dotted key (`optimizer.groups[1].match`).
    pub fn get(&self, key: &str) -> Option<&Node> {
        key.split(['.', '[']).try_fold(self, |node, part| match &node.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k == part).map(|(_, n)| n),
            Value::List(items) => items.get(part.strip_suffix(']')?.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Removes the value below a dotted key if `when` says so.
    pub fn remove_if(&mut self, key: &str, when: impl Fn(&Node) -> bool) {
        let Value::Table(entries) = &mut self.value else { return };
        match key.split_once('.') {
            None => entries.retain(|(k, n)| k != key || !when(n)),
            Some((first, rest)) => {
                if let Some((_, node)) = entries.iter_mut().find(|(k, _)| k == first) {
                    node.remove_if(rest, when);
                }
            }
        }
    }

    /// Puts a value below a dotted key, making tables on the way. The error is the key that is no table.
    pub fn put(&mut self, key: &str, node: Node) -> Result<(), String> {
        let mut here = self;
        let mut done = String::new();
        let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
        for part in path.into_iter().flat_map(|p| p.split('.')) {
            if !done.is_empty() {
                done.push('.');
            }
            done.push_str(part);
            let Value::Table(entries) = &mut here.value else { return Err(done) };
            let at = entries.iter().position(|(k, _)| k == part).unwrap_or_else(|| {
                entries.push((part.to_owned(), Node { place: node.place.clone(), value: Value::Table(Vec::new()) }));
                entries.len() - 1
            });
            here = &mut entries[at].1;
        }
        let Value::Table(entries) = &mut here.value else { return Err(done) };
        match entries.iter_mut().find(|(k, _)| k == last) {
            Some((_, old)) => *old = node,
            None => entries.push((last.to_owned(), node)),
        }
        Ok(())
    }

    /// For serde.
    pub fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::Text(s) | Value::Other(s) => toml::Value::String(s.clone()),
            Value::Whole(i) => toml::Value::Integer(*i),
            Value::Number(x) => toml::Value::Float(*x),
            Value::Bool(b) => toml::Value::Boolean(*b),
            Value::List(items) => toml::Value::Array(items.iter().map(Node::to_toml).collect()),
            Value::Table(entries) => {
                toml::Value::Table(entries.iter().map(|(key, node)| (key.clone(), node.to_toml())).collect())
            }
        }
    }

    /// What was found, in words.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Text(s) if s.is_empty() => "empty text".to_owned(),
            Value::Text(s) if s.chars().count() > 60 => {
                format!("the text {:?}…", s.chars().take(50).collect::<String>())
            }
            Value::Text(s) => format!("the text {s:?}"),
            Value::Whole(i) => i.to_string(),
            Value::Number(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.1}"),
            Value::Number(x) => x.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Table(_) => "a table".to_owned(),
            Value::Other(s) => s.clone(),
        }
    }
}

/// Reads a TOML document. Syntax errors come with their lines, at most one a line.
pub(super) fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            place: Place::Whole,
            value: convert_table(table.get_ref(), &|at| Place::Line(lines.at(at))),
        });
    }
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let place = error.span().map_or(Place::Whole, |span| Place::Line(lines.at(span.start)));
        if problems.iter().all(|p| p.place != place) {
            problems.push(Problem::new(place, "", format!("not valid TOML: {}", one_line(error.message()))));
        }
    }
    Err(problems)
}

/// Reads the value of a `--set` argument: TOML, and a text where it is not.
pub(super) fn read_set_value(text: &str, place: &Place) -> Result<Value, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(convert(value.get_ref(), &|_| place.clone())),
        // Something that begins like a list, table or quoted text was meant as TOML.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(format!("not a valid TOML value: {}", one_line(error.message())))
        }
        Err(_) => Ok(Value::Text(text.to_owned())),
    }
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>().join("; ")
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    let entry = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        let node = Node { place: place(key.span().start), value: convert(value.get_ref(), place) };
        (key.get_ref().to_string(), node)
    };
    Value::Table(table.iter().map(entry).collect())
}

fn convert(value: &DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(s) => Value::Text(s.to_string()),
        DeValue::Integer(i) => {
            i64::from_str_radix(i.as_str(), i.radix()).map_or_else(|_| Value::Other(i.to_string()), Value::Whole)
        }
        DeValue::Float(x) => x.as_str().parse().map_or_else(|_| Value::Other(x.to_string()), Value::Number),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(d) => Value::Other(format!("the date {d}")),
        DeValue::Array(items) => {
            let item = |v: &toml::Spanned<DeValue<'_>>| Node {
                place: place(v.span().start),
                value: convert(v.get_ref(), place),
            };
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(table) => convert_table(table, place),
    }
}

/// Byte offsets of line starts.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(i, _)| i + 1).collect())
    }
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset) + 1
    }
}
