//! Reading the tensors of a safetensors file into host memory.

use std::path::Path;

use safetensors::tensor::TensorInfo;

use super::WeightsError;
use super::header::{self, Header, shown, torch_name};
use super::source::{Budget, Source};
use super::state::{Collector, Wanted};
use super::trouble::Trouble;
use crate::core::tensor::{DType, HostTensor};

/// Reads every tensor of a single safetensors file, in the order of their place in it.
pub fn read_safetensors(path: &Path) -> Result<Vec<HostTensor>, WeightsError> {
    let source = Source::open(path)?;
    super::kind::of(&source)?;
    let budget = Budget::for_size(source.size());
    let header = header::read(&source, &budget)?;
    let mut out = Collector::default();
    read_tensors(&source, &header, &budget, &|_| true, &mut out)?;
    Ok(out.tensors)
}

/// The wanted tensors of a file with their types, or an error at one that cannot be loaded.
pub(super) fn chosen<'a>(
    source: &'a Source,
    header: &'a Header,
    wanted: &'a Wanted<'_>,
) -> impl Iterator<Item = Result<(&'a str, &'a TensorInfo, DType), WeightsError>> {
    header.tensors.iter().filter(|(name, _)| wanted(name)).map(|(name, info)| {
        match DType::from_safetensors(info.dtype) {
            Some(dtype) => Ok((name.as_str(), info, dtype)),
            None => {
                let (path, dtype) = (source.path().to_owned(), torch_name(info.dtype).to_owned());
                Err(WeightsError::UnsupportedType { path, tensor: shown(name), dtype })
            }
        }
    })
}

/// A place in the file, and a part of memory with it.
const PLACE: usize = 32;

/// Reads the wanted tensors into `out`.
pub(super) fn read_tensors(
    source: &Source,
    header: &Header,
    budget: &Budget,
    wanted: &Wanted<'_>,
    out: &mut Collector,
) -> Result<(), WeightsError> {
    let path = source.path();
    let first = out.tensors.len();
    let count = header.tensors.iter().filter(|(name, _)| wanted(name)).count();
    let table = count * (size_of::<HostTensor>() + PLACE);
    budget.take(table as u64).map_err(|e| Trouble::from(e).at(path, "safetensors"))?;
    out.tensors.reserve_exact(count);
    let mut places = Vec::with_capacity(count);
    for found in chosen(source, header, wanted) {
        let (name, info, dtype) = found?;
        // The header was checked against the file's size, so this is memory for bytes that exist.
        let (from, to) = info.data_offsets;
        let bytes = to - from;
        let memory = bytes + name.len() + size_of_val(info.shape.as_slice());
        budget.take(memory as u64).map_err(|e| Trouble::from(e).at(path, "safetensors"))?;
        places.push(header.data + from as u64);
        out.tensors.push(HostTensor { name: name.to_owned(), dtype, shape: info.shape.clone(), data: vec![0; bytes] });
    }
    let parts = out.tensors[first..].iter_mut().zip(places).map(|(t, at)| (t.data.as_mut_slice(), at)).collect();
    source.read_parts(parts).map_err(|e| Trouble::from(e).at(path, "safetensors"))
}
