//! Values of fields, and how they compare with what was asked for.

use std::cmp::Ordering;

use super::Op;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Value {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(t) => t.clone(),
        }
    }

    pub(super) fn compare(&self, op: Op, asked: &str) -> bool {
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
