//! The screens' state and logic, pure: `update(&mut Model, Message) -> Vec<Effect>`.
//!
//! Imports `core` and `session` only; names neither ratatui, crossterm nor tch. `tui` feeds it messages, carries its
//! effects out and draws the model. No clock and no file is touched here: time comes in as [`Message::Now`].

pub mod action;
pub mod charts;
pub mod checkpoint_list;
pub mod compare;
pub mod compare_view;
pub mod config;
pub mod devices;
pub mod diff_view;
pub mod drafts;
pub mod effect;
pub mod folds;
pub mod form;
pub mod format;
pub mod keys;
pub mod layers;
pub mod lineage;
pub mod memory;
pub mod message;
pub mod model;
pub mod order;
pub mod overlay;
pub mod palette;
pub mod place;
pub mod pointer;
pub mod run_list;
pub mod run_view;
#[cfg(test)]
pub(crate) mod sample;
pub mod sparks;
pub mod toast;
mod update;
pub mod values;

pub use effect::Effect;
pub use message::Message;
pub use model::Model;
pub use update::{open_by_id, other_runs, update};
