//! Reading the tensors of a safetensors file into host memory.

use std::path::Path;

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

/// Reads the wanted tensors into `out`.
pub(super) fn read_tensors(
    source: &Source,
    header: &Header,
    budget: &Budget,
    wanted: &Wanted<'_>,
    out: &mut Collector,
) -> Result<(), WeightsError> {
    let path = source.path();
    for (name, info) in &header.tensors {
        if !wanted(name) {
            continue;
        }
        let Some(dtype) = DType::from_safetensors(info.dtype) else {
            let dtype = torch_name(info.dtype).to_owned();
            return Err(WeightsError::UnsupportedType { path: path.to_owned(), tensor: shown(name), dtype });
        };
        // The header was checked against the file's size, so this is memory for bytes that exist.
        let (from, to) = info.data_offsets;
        let bytes = to - from;
        let memory =
            (bytes + name.len() + size_of_val(info.shape.as_slice())) as u64 + 2 * size_of::<HostTensor>() as u64;
        budget.take(memory).map_err(|e| Trouble::from(e).at(path, "safetensors"))?;
        let mut data = vec![0; bytes];
        source
            .read_exact_at(&mut data, header.data + from as u64)
            .map_err(|e| Trouble::from(e).at(path, "safetensors"))?;
        out.tensors.push(HostTensor { name: name.clone(), dtype, shape: info.shape.clone(), data });
    }
    Ok(())
}
