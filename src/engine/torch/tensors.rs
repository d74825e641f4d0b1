//! Between tch's tensors and bytes on the host.

use tch::{Device, Kind, Tensor};

use crate::core::tensor::{DType, HostTensor};
use crate::engine::api::EngineError;
use crate::engine::ffi::transfer::{self, Layout};

/// The host type of a tensor's kind; kinds that no checkpoint holds are errors.
pub fn dtype(kind: Kind) -> Result<DType, EngineError> {
    Ok(match kind {
        Kind::Bool => DType::Bool,
        Kind::Uint8 => DType::Uint8,
        Kind::Int8 => DType::Int8,
        Kind::Int16 => DType::Int16,
        Kind::Int => DType::Int32,
        Kind::Int64 => DType::Int64,
        Kind::Half => DType::Float16,
        Kind::BFloat16 => DType::Bfloat16,
        Kind::Float => DType::Float32,
        Kind::Double => DType::Float64,
        other => return Err(EngineError::Failed(format!("tensors of type {other:?} cannot be saved"))),
    })
}

/// The kind of a host type.
pub fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::Bool => Kind::Bool,
        DType::Uint8 => Kind::Uint8,
        DType::Int8 => Kind::Int8,
        DType::Int16 => Kind::Int16,
        DType::Int32 => Kind::Int,
        DType::Int64 => Kind::Int64,
        DType::Float16 => Kind::Half,
        DType::Bfloat16 => Kind::BFloat16,
        DType::Float32 => Kind::Float,
        DType::Float64 => Kind::Double,
    }
}

/// Copies a tensor to the host.
pub fn to_host(name: &str, tensor: &Tensor) -> Result<HostTensor, EngineError> {
    let mut host = HostTensor { name: name.to_owned(), dtype: DType::Float32, shape: Vec::new(), data: Vec::new() };
    copy_to_host(&mut host, tensor)?;
    Ok(host)
}

/// A tensor's values in the buffer of another host tensor, which keeps its name.
fn copy_to_host(host: &mut HostTensor, tensor: &Tensor) -> Result<(), EngineError> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    host.dtype = dtype(tensor.kind())?;
    host.shape = tensor.size().into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
    let numel = tensor.numel();
    let bytes = numel * host.dtype.size();
    if host.data.len() != bytes {
        // Not `resize`, which would copy what is overwritten anyway; fresh zeros cost nothing until they are touched.
        host.data = vec![0u8; bytes];
    }
    if numel > 0 {
        tensor.f_copy_data_u8(&mut host.data, numel)?;
    }
    Ok(())
}

/// A host tensor with room for a tensor's values.
pub fn room_for(name: &str, tensor: &Tensor) -> Result<HostTensor, EngineError> {
    let dtype = dtype(tensor.kind())?;
    let shape: Vec<usize> = tensor.size().into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
    Ok(HostTensor { name: name.to_owned(), dtype, shape, data: vec![0u8; tensor.numel() * dtype.size()] })
}

/// Fills a list of host tensors with named tensors, in their order, into the buffers that are there.
pub fn fill<'a>(
    list: &mut Vec<HostTensor>,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), EngineError> {
    let mut count = 0;
    for (name, tensor) in tensors {
        match list.get_mut(count) {
            Some(host) => {
                if host.name != name {
                    name.clone_into(&mut host.name);
                }
                copy_to_host(host, tensor)?;
            }
            None => list.push(to_host(name, tensor)?),
        }
        count += 1;
    }
    list.truncate(count);
    Ok(())
}

/// A tensor on a device from host bytes.
pub fn from_host(host: &HostTensor, device: Device) -> Result<Tensor, EngineError> {
    let size: Vec<i64> = host.shape.iter().map(|&n| n as i64).collect();
    if host.shape.iter().product::<usize>() * host.dtype.size() != host.data.len() {
        return Err(EngineError::Failed(format!("tensor `{}`: its bytes do not fit its shape", host.name)));
    }
    Ok(Tensor::f_from_data_size(&host.data, &size, kind(host.dtype))?.f_to_device(device)?)
}

/// Float values on a device, as `[N, …]`; to a GPU they are copied while the CPU goes on.
pub fn from_f32(values: &[f32], shape: &[usize], device: Device, layout: Layout) -> Result<Tensor, EngineError> {
    let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    if shape.iter().product::<usize>() != values.len() {
        return Err(EngineError::Failed(format!("{} values do not fit the shape {shape:?}", values.len())));
    }
    Ok(transfer::upload(values, &size, device, layout)?)
}
