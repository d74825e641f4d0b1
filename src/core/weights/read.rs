//! Reading all tensors of a safetensors file into host memory.

use std::io::Read;
use std::path::Path;

use super::WeightsError;
use super::header::{self, shown, torch_name};
use crate::core::tensor::{DType, HostTensor};

/// Reads every tensor, in the order of their place in the file.
pub fn read_safetensors(path: &Path) -> Result<Vec<HostTensor>, WeightsError> {
    let (mut file, header) = header::open(path)?;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for (name, info) in header.tensors {
        let Some(dtype) = DType::from_safetensors(info.dtype) else {
            let dtype = torch_name(info.dtype).to_owned();
            return Err(WeightsError::UnsupportedType { path: path.to_owned(), tensor: shown(&name), dtype });
        };
        // The header was checked against the file's size, so this is memory for bytes that exist.
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        let mut data = Vec::with_capacity(bytes);
        let read = (&mut file).take(bytes as u64).read_to_end(&mut data).map_err(WeightsError::io(path, "read"))?;
        if read != bytes {
            return Err(WeightsError::damaged(path, format!("it ends in the middle of tensor `{}`", shown(&name))));
        }
        tensors.push(HostTensor { name, dtype, shape: info.shape, data });
    }
    Ok(tensors)
}
