//! One file a source. A source reads its files and hands over a [`Source`]; it knows nothing of splits, transforms or
//! batches.

mod cifar10;
mod digits;
mod files;
mod idx;
mod image_folder;
mod mnist;
mod npz;
mod safe;
mod tensors;

use std::path::{Path, PathBuf};

pub(super) use files::images_below;
pub(super) use tensors::{Array, Values, is_tensor_file, read_arrays};

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
        SourceKind::ImageFolder => image_folder::read(path(spec, "image-folder")?, &spec.classes),
        SourceKind::Cifar10 => cifar10::read(path(spec, "cifar10")?),
        SourceKind::Mnist => mnist::read(path(spec, "mnist")?),
        SourceKind::Tensors => tensors::read(path(spec, "tensors")?),
    }
}

fn path<'a>(spec: &'a DataSpec, source: &str) -> Result<&'a Path, DataError> {
    spec.path.as_deref().ok_or_else(|| {
        DataError::Refused(format!("data.path is missing: source \"{source}\" needs the file or folder to read"))
    })
}
