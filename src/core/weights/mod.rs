//! Weights files: listing and reading them, mapping a state dict onto a model, choosing and writing what is exported.
//!
//! Imports [`super::tensor`], [`super::tree`], [`super::io`] and the recipe's load section. The session loads pretrained weights through it,
//! the command line inspects and exports. Nothing here runs code from a file or takes memory that a header merely claims.

mod average;
mod cast;
mod error;
mod format;
mod header;
mod hints;
mod in_file;
mod index;
mod kind;
mod listing;
mod mapping;
mod open;
mod parallel;
mod pickle;
mod read;
mod report;
mod select;
mod source;
mod state;
mod stats;
mod torch;
mod trouble;
mod write;
mod write_pth;

pub use average::Average;
pub use cast::{can_cast, cast};
pub use error::WeightsError;
pub use format::ExportFormat;
pub use in_file::{FileTensor, InFile, TensorFile};
pub use listing::{FileListing, TORCHSCRIPT, TensorListing};
pub use mapping::map_onto;
pub use open::{Found, find_some, inspect, inspect_key, read, read_bytes, read_some};
pub use read::read_safetensors;
pub use report::{LoadReport, Mismatch};
pub use select::{Selection, select};
pub use state::StateDict;
pub use stats::ValueStats;
pub use write::{Progress, write_safely, write_safetensors, write_safetensors_watched};
pub use write_pth::{write_pth, write_pth_watched};

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
