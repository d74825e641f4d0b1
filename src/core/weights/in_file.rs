//! A state dict that is left in its files: names, types and places, all of them checked, and no values. An engine maps the files and takes the
//! values from where they lie; whoever cannot map reads them.

use std::path::{Path, PathBuf};

use super::header::Header;
use super::listing::FileListing;
use super::mapping::{self, Offer, Taken};
use super::read::chosen;
use super::report::LoadReport;
use super::source::{Budget, Source};
use super::state::Wanted;
use super::trouble::Trouble;
use super::{WeightsError, cast};
use crate::core::recipe::LoadSpec;
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::Tree;

/// A state dict in safetensors files.
#[derive(Clone, Default)]
pub struct InFile {
    /// The files, one for each shard.
    pub files: Vec<TensorFile>,
    /// The tensors, in the file's order.
    pub tensors: Vec<FileTensor>,
    /// What the files hold, tensors that were not wanted included.
    pub listing: FileListing,
}

/// A file whose header was checked. It stays open, so that another file which takes its name is never taken for it.
#[derive(Clone)]
pub struct TensorFile(Source);

/// A tensor's place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTensor {
    /// Its name: the file's, after [`InFile::map_onto`] the model's.
    pub name: String,
    /// Element type in the file.
    pub dtype: DType,
    /// Element type of the model; floating-point types may differ from the file's.
    pub wanted: DType,
    /// Sizes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Which of the files.
    pub file: usize,
    /// Where in the file its first byte is. Formats promise no alignment.
    pub at: u64,
}

impl FileTensor {
    /// Size in the file.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

impl TensorFile {
    /// The path that it was opened under.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// In bytes, as it was when the header was checked.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// A path under which this very file can be opened once more and mapped; none where it is better read: on a network a failing server
    /// would end the process by way of a mapped page, where reading is an error.
    pub fn mappable(&self) -> Option<PathBuf> {
        self.0.mappable()
    }
}

impl InFile {
    /// The wanted tensors of one more file.
    pub(super) fn add(
        &mut self,
        source: &Source,
        header: &Header,
        budget: &Budget,
        wanted: &Wanted<'_>,
    ) -> Result<(), WeightsError> {
        let count = header.tensors.iter().filter(|(name, _)| wanted(name)).count();
        let take =
            |bytes: usize| budget.take(bytes as u64).map_err(|e| Trouble::from(e).at(source.path(), "safetensors"));
        take(count * size_of::<FileTensor>())?;
        self.tensors.reserve_exact(count);
        let file = self.files.len();
        for found in chosen(source, header, wanted) {
            let (name, info, dtype) = found?;
            take(name.len() + size_of_val(info.shape.as_slice()))?;
            let (name, shape) = (name.to_owned(), info.shape.clone());
            let at = header.data + info.data_offsets.0 as u64;
            self.tensors.push(FileTensor { name, dtype, wanted: dtype, shape, file, at });
        }
        self.files.push(TensorFile(source.clone()));
        Ok(())
    }

    /// [`mapping::map_onto`], with the values left where they are.
    ///
    /// # Errors
    ///
    /// As of [`mapping::map_onto`].
    pub fn map_onto(
        mut self,
        tree: &Tree,
        load: &LoadSpec,
        head_prefix: &str,
    ) -> Result<(Self, LoadReport), WeightsError> {
        let offers = self.tensors.iter().map(|t| Offer { name: &t.name, dtype: t.dtype, shape: &t.shape });
        let (taken, report) = mapping::plan(tree, offers, load, head_prefix)?;
        let taken = taken.into_iter().filter_map(|Taken { offer, wanted }| {
            let found = self.tensors.get(offer)?.clone();
            Some(FileTensor { name: wanted.name.clone(), wanted: wanted.dtype, ..found })
        });
        self.tensors = taken.collect();
        Ok((self, report))
    }

    /// Reads the values, of the types that are wanted, file by file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or has become shorter.
    pub fn read(&self) -> Result<Vec<HostTensor>, WeightsError> {
        let files: Result<Vec<_>, _> = (0..self.files.len()).map(|file| self.read_file(file)).collect();
        Ok(files?.into_iter().flatten().collect())
    }

    /// [`InFile::read`], of one of the files.
    ///
    /// # Errors
    ///
    /// As of [`InFile::read`].
    pub fn read_file(&self, file: usize) -> Result<Vec<HostTensor>, WeightsError> {
        let Some(TensorFile(source)) = self.files.get(file) else { return Ok(Vec::new()) };
        let here: Vec<&FileTensor> = self.tensors_of(file).collect();
        // The header was checked against the file's size, so this is memory for bytes that exist.
        let room = |t: &&FileTensor| HostTensor {
            name: t.name.clone(),
            dtype: t.dtype,
            shape: t.shape.clone(),
            data: vec![0; t.bytes()],
        };
        let mut tensors: Vec<HostTensor> = here.iter().map(room).collect();
        let parts = tensors.iter_mut().zip(&here).map(|(t, place)| (t.data.as_mut_slice(), place.at)).collect();
        source.read_parts(parts).map_err(|e| Trouble::from(e).at(source.path(), "safetensors"))?;
        tensors.into_iter().zip(here).map(|(t, place)| cast(t, place.wanted)).collect()
    }

    /// The tensors of one of the files.
    pub fn tensors_of(&self, file: usize) -> impl Iterator<Item = &FileTensor> {
        self.tensors.iter().filter(move |t| t.file == file)
    }
}
