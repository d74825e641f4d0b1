//! The control socket: `control.sock` in a live run's folder, by which other processes watch and command the run.
//!
//! `socket` binds and connects, `server` is the host's side (one thread, tasks for each viewer), `client` the other one.
//! What is said lies in `core::control`.

mod client;
mod server;
mod socket;
mod viewer;

pub use client::AttachError;
pub(super) use client::{Client, GONE, PATIENCE, Wish};
pub(super) use server::{Served, Server};
