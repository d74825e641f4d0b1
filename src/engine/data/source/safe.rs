//! Arrays of a .safetensors file.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::DataError;
use super::tensors::{Array, Values};

/// The asked arrays, `None` where one is missing, and the names of all.
pub(super) fn read(path: &Path, names: &[&str]) -> Result<(Vec<Option<Array>>, Vec<String>), DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| DataError::format(path, format!("not a whole safetensors file ({e}); write it again")))?;
    let mut there: Vec<String> = file.names().into_iter().map(String::from).collect();
    there.sort();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        found.push(match file.tensor(name) {
            Ok(view) => Some(convert(path, name, &view)?),
            Err(_) => None,
        });
    }
    Ok((found, there))
}

fn convert(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Array, DataError> {
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F32 => Values::Floats(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Values::Floats(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Values::Floats(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Values::Floats(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        Dtype::U8 | Dtype::BOOL => Values::Bytes(bytes.to_vec()),
        Dtype::I8 => Values::Ints(each(bytes, |b| i64::from(i8::from_le_bytes(b)))),
        Dtype::I16 => Values::Ints(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        Dtype::U16 => Values::Ints(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        Dtype::I32 => Values::Ints(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        Dtype::U32 => Values::Ints(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        Dtype::I64 => Values::Ints(each(bytes, i64::from_le_bytes)),
        Dtype::U64 => Values::Ints(each(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))),
        other => {
            let what =
                format!("`{name}` has elements of type {other:?}; write floats or whole numbers of 8 to 64 bits");
            return Err(DataError::format(path, what));
        }
    };
    Ok(Array { shape: view.shape().to_vec(), values })
}

fn each<T, const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| convert(*chunk)).collect()
}
