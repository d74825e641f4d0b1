//! Conversion between floating-point types, rounding to nearest even as PyTorch does.

use half::{bf16, f16};

use super::WeightsError;
use crate::core::tensor::{DType, HostTensor};

/// The tensor with another floating-point type. The same type costs nothing; integers convert to nothing else.
pub fn cast(tensor: HostTensor, to: DType) -> Result<HostTensor, WeightsError> {
    use DType::{Bfloat16 as B, Float16 as H, Float32 as S, Float64 as D};
    let from = tensor.dtype;
    if from == to {
        return Ok(tensor);
    }
    let d = &tensor.data;
    let data = match (from, to) {
        (S, H) => map(d, |b| f16::from_f32(f32::from_le_bytes(b)).to_le_bytes()),
        (S, B) => map(d, |b| bf16::from_f32(f32::from_le_bytes(b)).to_le_bytes()),
        (S, D) => map(d, |b| f64::from(f32::from_le_bytes(b)).to_le_bytes()),
        (D, S) => map(d, |b| (f64::from_le_bytes(b) as f32).to_le_bytes()),
        // PyTorch goes by way of float32 here, and so rounds twice.
        (D, H) => map(d, |b| f16::from_f32(f64::from_le_bytes(b) as f32).to_le_bytes()),
        (D, B) => map(d, |b| bf16::from_f32(f64::from_le_bytes(b) as f32).to_le_bytes()),
        (H, S) => map(d, |b| f16::from_le_bytes(b).to_f32().to_le_bytes()),
        (H, D) => map(d, |b| f16::from_le_bytes(b).to_f64().to_le_bytes()),
        (H, B) => map(d, |b| bf16::from_f32(f16::from_le_bytes(b).to_f32()).to_le_bytes()),
        (B, S) => map(d, |b| bf16::from_le_bytes(b).to_f32().to_le_bytes()),
        (B, D) => map(d, |b| bf16::from_le_bytes(b).to_f64().to_le_bytes()),
        (B, H) => map(d, |b| f16::from_f32(bf16::from_le_bytes(b).to_f32()).to_le_bytes()),
        _ => return Err(WeightsError::NoCast { tensor: tensor.name, from, to }),
    };
    Ok(HostTensor { dtype: to, data, ..tensor })
}

/// Whether [`cast`] can do it.
/// Whether elements of one type can become another's: floating-point numbers alone.
pub fn can_cast(from: DType, to: DType) -> bool {
    let float = |t| matches!(t, DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64);
    from == to || float(from) && float(to)
}

fn map<const N: usize, const M: usize>(data: &[u8], convert: impl Fn([u8; N]) -> [u8; M]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / N * M);
    data.as_chunks::<N>().0.iter().for_each(|&element| out.extend_from_slice(&convert(element)));
    out
}
