//! The order of a list: a key goes through the usual ones, another turns it round.

/// An order, as `-created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Those that a key goes through; the first one is where it begins.
    usual: &'static [&'static str],
    text: String,
}

impl Order {
    /// The first of these.
    pub fn new(usual: &'static [&'static str]) -> Self {
        Self { usual, text: usual.first().map(|o| (*o).to_owned()).unwrap_or_default() }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the one where it began.
    pub fn is_first(&self) -> bool {
        self.usual.first().is_some_and(|o| *o == self.text)
    }

    /// Takes another one, which is known to be one.
    pub fn set(&mut self, order: &str) {
        order.clone_into(&mut self.text);
    }

    /// The next one.
    pub fn next(&mut self) {
        let field = |o: &str| o.trim_start_matches('-').to_owned();
        let at = self.usual.iter().position(|o| field(o) == field(&self.text)).map_or(0, |at| at + 1);
        if let Some(next) = self.usual.get(at % self.usual.len().max(1)) {
            (*next).clone_into(&mut self.text);
        }
    }

    /// Turns it round.
    pub fn reverse(&mut self) {
        self.text = match self.text.strip_prefix('-') {
            Some(field) => field.to_owned(),
            None => format!("-{}", self.text),
        };
    }
}
