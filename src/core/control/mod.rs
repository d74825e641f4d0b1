//! The control protocol as data: what a host and those who watch or command its run say to each other, one JSON object a
//! line. `docs/control.md` describes it for programs in any language.
//!
//! Imports events, commands and the tree; touches no socket. Called by `session`, which carries the lines.

mod lines;
mod message;
mod standing;

pub use lines::{LineError, Lines};
pub use message::{Answer, FromHost, Hello, Steps, ToHost, decode, encode};
pub use standing::{Plan, Standing};

/// Version of the protocol. It grows when something that was there changes its meaning; new fields and new kinds of
/// lines come without, and readers skip what they do not know.
pub const PROTOCOL: u32 = 1;

/// Longest line that a host accepts, in bytes.
pub const MAX_ASK: usize = 64 << 10;

/// Longest line that a viewer need accept, in bytes: the layer tree of a very large model.
pub const MAX_SAID: usize = 64 << 20;
