//! `metrics.bin`: the dense records of a run, append-only, binary, with a checksum of each record.
//!
//! `record` is the format, `writer` appends (the owner alone), `reader` reads whole files and follows live ones, `table`
//! is what was read. Other readers: docs of the format are in `record`.

mod reader;
mod record;
mod sample;
mod table;
mod writer;

pub use reader::{MetricsReader, last_step};
pub use record::Item;
pub use sample::Sample;
pub use table::{MetricsTable, RowRef};
pub use writer::{MetricsFlush, MetricsWriter};
