//! Where a run comes from.

use serde::{Deserialize, Serialize};

/// Where a run comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// `RUN@step` that it last went on from.
    #[serde(default)]
    pub resumed_from: Option<String>,
    /// `RUN@step` whose weights it started with.
    #[serde(default)]
    pub forked_from: Option<String>,
}
