//! Tensors on the host as plain bytes: what checkpoints hold and what crosses the engine's border.

use serde::{Deserialize, Serialize};

/// Element types, under PyTorch's names in text (`float32`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 8-bit boolean.
    Bool,
    /// Unsigned 8-bit integer.
    Uint8,
    /// Signed 8-bit integer.
    Int8,
    /// Signed 16-bit integer.
    Int16,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// IEEE half precision.
    Float16,
    /// Brain float.
    Bfloat16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Int32 | Self::Float32 => 4,
            Self::Int64 | Self::Float64 => 8,
        }
    }

    /// The type with this name, as [`DType::name`] gives it.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [
            Self::Bool,
            Self::Uint8,
            Self::Int8,
            Self::Int16,
            Self::Int32,
            Self::Int64,
            Self::Float16,
            Self::Bfloat16,
            Self::Float32,
            Self::Float64,
        ];
        all.into_iter().find(|t| t.name() == name)
    }

    /// PyTorch's name (`torch.float32` without the prefix).
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl From<DType> for safetensors::Dtype {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::Bool => Self::BOOL,
            DType::Uint8 => Self::U8,
            DType::Int8 => Self::I8,
            DType::Int16 => Self::I16,
            DType::Int32 => Self::I32,
            DType::Int64 => Self::I64,
            DType::Float16 => Self::F16,
            DType::Bfloat16 => Self::BF16,
            DType::Float32 => Self::F32,
            DType::Float64 => Self::F64,
        }
    }
}

impl DType {
    /// The type of a safetensors file's element; `None` for those that PyTorch's models do not use.
    pub fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as File;
        Some(match dtype {
            File::BOOL => Self::Bool,
            File::U8 => Self::Uint8,
            File::I8 => Self::Int8,
            File::I16 => Self::Int16,
            File::I32 => Self::Int32,
            File::I64 => Self::Int64,
            File::F16 => Self::Float16,
            File::BF16 => Self::Bfloat16,
            File::F32 => Self::Float32,
            File::F64 => Self::Float64,
            _ => return None,
        })
    }
}

/// A named tensor in host memory: row-major, little endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTensor {
    /// PyTorch's dotted name, or `<parameter>/<slot>` for optimizer state.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes; empty for a scalar.
    pub shape: Vec<usize>,
    /// `shape.product() * dtype.size()` bytes.
    pub data: Vec<u8>,
}

impl HostTensor {
    /// A float32 tensor from its values.
    pub fn from_f32(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name: name.into(), dtype: DType::Float32, shape: shape.to_vec(), data }
    }

    /// The values of a float32 tensor; `None` for another type.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        if self.dtype != DType::Float32 {
            return None;
        }
        Some(self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}
