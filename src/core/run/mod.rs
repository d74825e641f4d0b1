//! The run store: the run home, one run's folder, its lock, event log, metrics file, status and summary; the run list's
//! filter.
//!
//! Imports the rest of `core`. Called by the trainer (writes), the session (owns), the command line and the screens.

mod cache;
pub mod compare;
mod dir;
pub mod edit;
mod error;
pub mod filter;
mod find;
mod fork;
mod home;
mod id;
mod lineage;
mod lock;
mod log;
mod meta;
pub mod metrics;
mod progress;
pub mod sort;
pub mod spark;
mod status;
mod summary;
mod supervision;
#[cfg(test)]
mod tests;

pub use compare::Comparison;
pub use dir::RunDir;
pub use edit::{RunEdit, TagEdit};
pub use error::StoreError;
pub use filter::Filter;
pub use find::CheckpointRef;
pub use fork::forked;
pub use home::RunHome;
pub use id::{InvalidRunId, RunId};
pub use lineage::Lineage;
pub(crate) use lock::owned_elsewhere;
pub use lock::{Owner, RunLock};
pub use log::EventLog;
pub use meta::RunMeta;
pub use metrics::{MetricsFlush, MetricsReader, MetricsTable, MetricsWriter};
pub use progress::Progress;
pub use sort::SortKey;
pub use status::RunStatus;
pub use summary::RunSummary;
pub use supervision::{CalledOff, Supervision};
