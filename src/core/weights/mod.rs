//! Weights files: listing and reading them, mapping a state dict onto a model, choosing and writing what is exported.
//!
//! Imports [`super::tensor`], [`super::tree`], [`super::io`] and the recipe's load section. The session loads pretrained weights through it,
//! the command line inspects and exports. Nothing here runs code from a file or takes memory that a header merely claims.

mod average;
mod cast;
mod error;
mod header;
mod hints;
mod mapping;
mod read;
mod report;
mod select;
mod write;

pub use average::Average;
pub use cast::cast;
pub use error::WeightsError;
pub use header::{FileListing, TensorListing, inspect};
pub use mapping::map_onto;
pub use read::read_safetensors;
pub use report::{LoadReport, Mismatch};
pub use select::{Selection, select};
pub use write::write_safetensors;

#[cfg(test)]
mod tests;
