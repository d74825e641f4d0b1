//! One file a source. A source reads its files and hands over a [`Source`]; it knows nothing of classes that are kept,
//! splits, transforms or batches.

mod digits;

use std::path::PathBuf;

use super::error::DataError;
use crate::core::recipe::{DataSpec, SourceKind};

/// What a source hands over.
pub(super) struct Source {
    /// The samples, not yet changed in any way.
    pub store: Store,
    /// What is to be learned of each.
    pub labels: Labels,
    /// Names by class number; empty for regression.
    pub class_names: Vec<String>,
    /// The source's own split: samples from this number on are for validation.
    pub own_val: Option<usize>,
    /// BLAKE3 over names and sizes.
    pub fingerprint: String,
}

/// Samples as the source has them.
pub(super) enum Store {
    /// Image bytes, planes first (`[C, H, W]`), all of one size.
    Bytes {
        /// All samples, one after the other.
        data: Vec<u8>,
        /// `[C, H, W]`.
        shape: [usize; 3],
    },
    /// Values, all of one shape.
    Floats {
        /// All samples, one after the other.
        data: Vec<f32>,
        /// Shape of one.
        shape: Vec<usize>,
        /// Whether these are images in 0..1.
        image: bool,
    },
    /// Image files.
    Files(Vec<PathBuf>),
}

/// What is to be learned of each sample.
pub(super) enum Labels {
    /// Class numbers; -1 where the class is not kept.
    Classes(Vec<i64>),
    /// `width` values a sample.
    Values {
        /// All of them, row-major.
        data: Vec<f32>,
        /// Values a sample.
        width: usize,
    },
}

impl Labels {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(c) => c.len(),
            Self::Values { data, width } => data.len() / (*width).max(1),
        }
    }
}

/// Reads the recipe's source.
pub(super) fn read(spec: &DataSpec) -> Result<Source, DataError> {
    match spec.source {
        SourceKind::Digits => digits::read(),
        other => Err(DataError::Refused(format!("data.source: `{other:?}` is not there yet"))),
    }
}
