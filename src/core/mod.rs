//! Plain data and files: recipes, freeze plans, layer trees, events, metric series, run and checkpoint stores.
//!
//! Imports nothing of the other layers; names neither tch nor ratatui. Everything but the stores is pure.

pub mod ago;
pub mod alerts;
pub mod checkpoint;
pub mod command;
pub mod control;
pub mod device;
pub mod event;
pub mod filter;
pub mod fit;
pub mod freeze;
pub mod groups;
pub mod hub;
pub mod io;
pub mod lr;
pub mod recipe;
pub mod run;
pub mod series;
pub(crate) mod shown;
pub mod size;
pub mod tensor;
pub mod tree;
pub mod weights;
