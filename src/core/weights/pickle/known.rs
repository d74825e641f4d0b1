//! The names that are understood: element types, storages, and the few functions that PyTorch's own files call.

use crate::core::tensor::DType;

/// An element type of PyTorch, those that cannot be loaded here included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element(u8);

/// `torch.<name>`, `torch.<storage>`, bytes, and the type here.
type Row = (&'static str, &'static str, u8, Option<DType>);

const ELEMENTS: &[Row] = &[
    ("float32", "FloatStorage", 4, Some(DType::Float32)),
    ("float64", "DoubleStorage", 8, Some(DType::Float64)),
    ("float16", "HalfStorage", 2, Some(DType::Float16)),
    ("bfloat16", "BFloat16Storage", 2, Some(DType::Bfloat16)),
    ("int64", "LongStorage", 8, Some(DType::Int64)),
    ("int32", "IntStorage", 4, Some(DType::Int32)),
    ("int16", "ShortStorage", 2, Some(DType::Int16)),
    ("int8", "CharStorage", 1, Some(DType::Int8)),
    ("uint8", "ByteStorage", 1, Some(DType::Uint8)),
    ("bool", "BoolStorage", 1, Some(DType::Bool)),
    // A storage of bytes; the tensor says its type.
    ("uint8", "UntypedStorage", 1, Some(DType::Uint8)),
    ("uint16", "UInt16Storage", 2, None),
    ("uint32", "UInt32Storage", 4, None),
    ("uint64", "UInt64Storage", 8, None),
    ("complex32", "ComplexHalfStorage", 4, None),
    ("complex64", "ComplexFloatStorage", 8, None),
    ("complex128", "ComplexDoubleStorage", 16, None),
    ("float8_e4m3fn", "Float8_e4m3fnStorage", 1, None),
    ("float8_e5m2", "Float8_e5m2Storage", 1, None),
    ("float8_e4m3fnuz", "Float8_e4m3fnuzStorage", 1, None),
    ("float8_e5m2fnuz", "Float8_e5m2fnuzStorage", 1, None),
    ("float8_e8m0fnu", "Float8_e8m0fnuStorage", 1, None),
    ("float4_e2m1fn_x2", "Float4_e2m1fn_x2Storage", 1, None),
    ("quint8", "QUInt8Storage", 1, None),
    ("qint8", "QInt8Storage", 1, None),
    ("qint32", "QInt32Storage", 4, None),
    ("quint4x2", "QUInt4x2Storage", 1, None),
    ("quint2x4", "QUInt2x4Storage", 1, None),
];

/// Other spellings that old files have.
const ALIASES: &[(&str, &str)] = &[
    ("float", "float32"),
    ("double", "float64"),
    ("half", "float16"),
    ("long", "int64"),
    ("int", "int32"),
    ("short", "int16"),
    ("chalf", "complex32"),
    ("cfloat", "complex64"),
    ("cdouble", "complex128"),
];

impl Element {
    fn row(self) -> &'static Row {
        ELEMENTS.get(self.0 as usize).unwrap_or(&ELEMENTS[0])
    }

    fn find(wanted: impl Fn(&Row) -> bool) -> Option<Self> {
        ELEMENTS.iter().position(wanted).map(|i| Self(i as u8))
    }

    /// Of a storage's class: `torch.FloatStorage`, `torch.cuda.FloatStorage`, `torch.storage.UntypedStorage`.
    pub fn of_storage(class: &str) -> Option<Self> {
        let class = class.strip_prefix("torch.")?;
        let name = class.strip_prefix("cuda.").or_else(|| class.strip_prefix("storage.")).unwrap_or(class);
        Self::find(|row| row.1 == name)
    }

    /// Of a dtype: `torch.float32`.
    pub fn of_dtype(global: &str) -> Option<Self> {
        let name = global.strip_prefix("torch.")?;
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        Self::find(|row| row.0 == name)
    }

    /// One byte, for kinds of tensors that have no storage.
    pub fn byte() -> Self {
        Self(10)
    }

    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Bytes of one.
    pub fn size(self) -> u64 {
        u64::from(self.row().2)
    }

    /// The type here; `None` where there is none.
    pub fn dtype(self) -> Option<DType> {
        self.row().3
    }
}

/// What a call of a known function or class means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`: storage, offset, size, stride…
    Tensor,
    /// The same with a dtype as seventh argument.
    TensorV3,
    /// A parameter: the first argument.
    First,
    /// A subclass of Tensor: function, type, arguments.
    FromType,
    /// A tensor of a kind that is not read, and its name.
    OtherTensor(&'static str),
    /// A dict, from pairs or nothing.
    Dict,
    /// A list or set, from a list or nothing.
    List,
    /// `_codecs.encode`: a text that stands for bytes.
    Encode,
    /// `copyreg._reconstructor`: the class is the first argument.
    Reconstructor,
    /// Understood as a value: numbers of NumPy, devices, types.
    Plain,
}

impl Known {
    pub fn of(name: &str) -> Option<Self> {
        use Known::{Dict, Encode, First, FromType, List, OtherTensor, Plain, Reconstructor, Tensor, TensorV3};
        Some(match name {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => Tensor,
            "torch._utils._rebuild_tensor_v3" => TensorV3,
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter"
            | "torch.nn.parameter.Buffer"
            | "torch.Size"
            | "torch.jit._pickle.restore_type_tag"
            | "torch.jit._pickle.build_intlist"
            | "torch.jit._pickle.build_doublelist"
            | "torch.jit._pickle.build_boollist"
            | "torch.jit._pickle.build_tensorlist" => First,
            "torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type" => FromType,
            "torch._utils._rebuild_qtensor" => OtherTensor("is quantized"),
            "torch._utils._rebuild_sparse_tensor" | "torch._utils._rebuild_sparse_csr_tensor" => {
                OtherTensor("is sparse")
            }
            "torch._utils._rebuild_nested_tensor" => OtherTensor("is nested"),
            "torch._utils._rebuild_meta_tensor_no_storage" => OtherTensor("is a meta tensor, without values,"),
            "torch._utils._rebuild_device_tensor_from_numpy"
            | "torch._utils._rebuild_device_tensor_from_cpu_tensor"
            | "torch._utils._rebuild_xla_tensor" => OtherTensor("lies on another device and"),
            "torch._utils._rebuild_wrapper_subclass" => OtherTensor("is of a class that wraps tensors and"),
            "collections.OrderedDict"
            | "collections.defaultdict"
            | "collections.Counter"
            | "builtins.dict"
            | "__builtin__.dict" => Dict,
            "builtins.list"
            | "builtins.set"
            | "builtins.frozenset"
            | "builtins.tuple"
            | "__builtin__.list"
            | "__builtin__.set"
            | "__builtin__.frozenset"
            | "__builtin__.tuple" => List,
            "_codecs.encode" => Encode,
            "copyreg._reconstructor" | "copy_reg._reconstructor" => Reconstructor,
            "numpy.core.multiarray.scalar"
            | "numpy._core.multiarray.scalar"
            | "numpy.dtype"
            | "torch.device"
            | "builtins.object"
            | "__builtin__.object"
            | "builtins.int"
            | "builtins.float"
            | "builtins.str"
            | "builtins.bool"
            | "builtins.bytes"
            | "builtins.complex" => Plain,
            _ => return None,
        })
    }

    /// Whether a name needs no mention.
    pub fn is_plain(name: &str) -> bool {
        Self::of(name).is_some() || Element::of_storage(name).is_some() || Element::of_dtype(name).is_some()
    }
}
