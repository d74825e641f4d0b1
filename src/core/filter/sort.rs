//! Orders: `created`, `-best`…

use std::cmp::Ordering;

use super::{FilterError, Value};

/// By what a list is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    field: String,
    descending: bool,
}

impl SortBy {
    /// A field's name, with `-` before it for the largest first; `check` says which fields there are.
    pub fn parse(text: &str, check: &dyn Fn(&str) -> Result<(), FilterError>) -> Result<Self, FilterError> {
        let (field, descending) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        check(field)?;
        Ok(Self { field: field.to_owned(), descending })
    }

    /// The field.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { descending: !self.descending, ..self }
    }

    /// Sorts; what has no value comes last either way, equal ones keep their order.
    pub fn sort<T>(&self, items: &mut [T], value: impl Fn(&T) -> Option<Value>) {
        items.sort_by_cached_key(|item| Key { value: value(item), descending: self.descending });
    }
}

struct Key {
    value: Option<Value>,
    descending: bool,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Some(a), Some(b)) if self.descending => b.order(a),
            (Some(a), Some(b)) => a.order(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Key {}
