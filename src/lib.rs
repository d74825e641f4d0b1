//! Frostline: a terminal workbench for fine-tuning PyTorch models.
//!
//! The folders are the architecture, and imports point downwards only (`tests/layers.rs` enforces it):
//!
//! ```text
//! cli, tui          what a person touches: clap lives in `cli`, ratatui and crossterm in `tui`
//!   app             the screens' state and logic, pure
//!     session       the handle to a run
//!       engine      models, data, optimizer, trainer; tch lives in `engine::torch` alone
//!         core      plain data and files
//! ```

// So that the helpers in `tests/support` serve the library's own tests too.
#[cfg(test)]
extern crate self as frostline;

pub mod app;
pub mod cli;
pub mod core;
pub mod engine;
pub mod session;
pub mod tui;
