//! Run ids: sortable by time, short enough to type a beginning of.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `20261125-014503-k3f9`: the UTC second, then two characters of milliseconds and two random ones.
///
/// The milliseconds keep runs that a script starts in the same second in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Not a run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id; they look like 20261125-014503-k3f9")]
pub struct InvalidRunId(String);

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl RunId {
    /// A new id for a run that starts at `now`.
    pub fn new(now: jiff::Timestamp) -> Self {
        let millis = usize::try_from(now.as_millisecond().rem_euclid(1000)).unwrap_or(0);
        // The standard library's hash maps are seeded from the system: two characters need no more than that.
        let random = usize::try_from(RandomState::new().build_hasher().finish() % (36 * 36)).unwrap_or(0);
        let tail = [millis / 36, millis % 36, random / 36, random % 36];
        let tail: String = tail.iter().map(|d| char::from(DIGITS[d % 36])).collect();
        Self(format!("{}-{tail}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;
    fn from_str(s: &str) -> Result<Self, InvalidRunId> {
        let shape = |i: usize, b: u8| match i {
            8 | 15 => b == b'-',
            0..15 => b.is_ascii_digit(),
            _ => b.is_ascii_digit() || b.is_ascii_lowercase(),
        };
        if s.len() == 20 && s.bytes().enumerate().all(|(i, b)| shape(i, b)) {
            Ok(Self(s.to_owned()))
        } else {
            Err(InvalidRunId(s.to_owned()))
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;
    fn try_from(s: String) -> Result<Self, InvalidRunId> {
        s.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_down_to_the_millisecond() {
        let start: jiff::Timestamp = "2026-11-25T01:45:03Z".parse().unwrap();
        let ids: Vec<RunId> = (0..2500).map(|ms| RunId::new(start + jiff::SignedDuration::from_millis(ms))).collect();
        assert!(ids.is_sorted());
        assert!(ids[0].as_str().starts_with("20261125-014503-00"));
        assert!(ids.iter().all(|id| id.as_str().parse::<RunId>().as_ref() == Ok(id)));
    }

    #[test]
    fn other_names_are_no_ids() {
        for name in
            ["", "last", "20261125-014503", "20261125-014503-K3F9", "20261125_014503-k3f9", "../../../../etc/pass"]
        {
            assert!(name.parse::<RunId>().is_err(), "{name}");
        }
    }
}
