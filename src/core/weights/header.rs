//! The header of a safetensors file (<https://huggingface.co/docs/safetensors>): eight bytes of length, then JSON.
//!
//! Read alone, so that a listing of a large file touches none of its data. The length is checked against the file before memory is taken;
//! duplicate names, over-long shapes, overlaps and gaps are refused.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(super) use crate::core::shown::{shown, shown_path};

use super::WeightsError;
use super::listing::TensorListing;
use super::source::{Budget, Exhausted, Source};

/// Longest header: the format's own limit.
const MAX_HEADER: u64 = 100_000_000;
/// PyTorch's limit of dimensions.
const MAX_DIMS: usize = 64;

/// A checked header.
pub(super) struct Header {
    /// By place in the file; together they cover the data exactly.
    pub tensors: Vec<(String, TensorInfo)>,
    pub metadata: BTreeMap<String, String>,
    /// Where the data begins.
    pub data: u64,
}

impl Header {
    pub fn list(&self) -> Vec<TensorListing> {
        let tensors = self.tensors.iter().map(|(name, info)| TensorListing {
            name: name.clone(),
            bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
            dtype: torch_name(info.dtype),
            shape: info.shape.clone(),
        });
        tensors.collect()
    }
}

/// Reads a file's header.
pub(super) fn read(source: &Source, budget: &Budget) -> Result<Header, WeightsError> {
    let path = source.path();
    let io = |e| WeightsError::Io { path: path.to_owned(), what: "read", source: e };
    let size = source.size();
    let mut length = [0; 8];
    source.read_exact_at(&mut length, 0).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > size - 8 {
        let problem =
            format!("its header claims {length} bytes, but the file has {size}; it may be cut off or another format");
        return Err(WeightsError::damaged(path, problem));
    }
    if length > MAX_HEADER {
        return Err(WeightsError::damaged(
            path,
            format!("its header of {length} bytes is longer than the format allows"),
        ));
    }
    let too_large = |_: Exhausted| WeightsError::damaged(path, TOO_MANY);
    budget.take(length).map_err(too_large)?;
    let mut bytes = vec![0; length as usize];
    source.read_exact_at(&mut bytes, 8).map_err(io)?;
    let text = text_memory(&bytes);
    budget.take(text).map_err(too_large)?;
    let raw = parse(&bytes, budget)
        .map_err(|e| WeightsError::damaged(path, format!("its header does not parse: {}", shown(&e.to_string()))))?;
    drop(bytes);
    budget.give_back(length + text);
    let mut tensors = check(raw.tensors, size - 8 - length).map_err(|problem| WeightsError::damaged(path, problem))?;
    tensors.shrink_to_fit();
    budget.give_back((2 * size_of_val(tensors.as_slice())) as u64);
    Ok(Header { tensors, metadata: raw.metadata, data: 8 + length })
}

const TOO_MANY: &str = "it describes more than a file of its size can hold";

fn parse(bytes: &[u8], budget: &Budget) -> serde_json::Result<RawHeader> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let raw = HeaderSeed(budget).deserialize(&mut json)?;
    json.end()?;
    Ok(raw)
}

/// What the parser may take beside the values that are counted: a text with escapes is collected before it is looked at, and a message about it
/// holds it again.
pub(super) fn text_memory(json: &[u8]) -> u64 {
    let (mut longest, mut start, mut at) = (0, None, 0);
    while let Some(byte) = json.get(at) {
        match (byte, start) {
            (b'"', None) => start = Some(at),
            (b'"', Some(from)) => {
                longest = longest.max(at - from);
                start = None;
            }
            (b'\\', Some(_)) => at += 1,
            _ => {}
        }
        at += 1;
    }
    longest = longest.max(start.map_or(0, |from| json.len() - from));
    6 * longest as u64
}

/// The tensors by place, if together they cover `data` bytes, each once.
fn check(mut tensors: Vec<(String, TensorInfo)>, data: u64) -> Result<Vec<(String, TensorInfo)>, String> {
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut names = HashSet::with_capacity(tensors.len());
    if let Some((twice, _)) = tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(format!("tensor `{}` is listed twice", shown(twice)));
    }
    drop(names);
    let mut end = 0;
    for (name, info) in &tensors {
        let (from, to) = info.data_offsets;
        if from != end || to < from {
            return Err(format!("tensor `{}` overlaps another one or leaves a gap", shown(name)));
        }
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |n, size| n.checked_mul(*size));
        match bits {
            None => return Err("a tensor's shape is larger than any memory".into()),
            Some(bits) if !bits.is_multiple_of(8) => return Err("a tensor does not end on a whole byte".into()),
            Some(bits) if bits / 8 != to - from => {
                return Err("a tensor's shape and type do not agree with its size".into());
            }
            Some(_) => end = to,
        }
    }
    let covered = end as u64;
    if covered == data {
        return Ok(tensors);
    }
    let what = if covered > data { "the file is cut off" } else { "there are bytes that no tensor owns" };
    Err(format!("its header describes {covered} bytes of data, but {data} follow; {what}"))
}

/// PyTorch's name of an element type.
pub(super) fn torch_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BOOL => "bool",
        Dtype::F4 => "float4_e2m1fn_x2",
        Dtype::F6_E2M3 => "float6_e2m3fn",
        Dtype::F6_E3M2 => "float6_e3m2fn",
        Dtype::U8 => "uint8",
        Dtype::I8 => "int8",
        Dtype::F8_E5M2 => "float8_e5m2",
        Dtype::F8_E4M3 => "float8_e4m3fn",
        Dtype::F8_E8M0 => "float8_e8m0fnu",
        Dtype::I16 => "int16",
        Dtype::U16 => "uint16",
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        Dtype::I32 => "int32",
        Dtype::U32 => "uint32",
        Dtype::F32 => "float32",
        Dtype::C64 => "complex64",
        Dtype::F64 => "float64",
        Dtype::I64 => "int64",
        Dtype::U64 => "uint64",
        _ => "unknown",
    }
}

/// The JSON as it stands, in order, duplicates and all.
#[derive(Default)]
struct RawHeader {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

/// Reads it, within the budget.
struct HeaderSeed<'a>(&'a Budget);

/// Memory that a tensor's name and place take until they are listed, beside its text, in bytes; while they are read and sorted three times what is kept.
const ENTRY: usize = 3 * size_of::<(String, TensorInfo)>() + size_of::<TensorListing>() + 64;
/// The same of a remark.
const REMARK: usize = 128;

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_> {
    type Value = RawHeader;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawHeader, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_> {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut raw = RawHeader::default();
        let mut seen_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut seen_metadata, true) {
                    return Err(A::Error::custom("`__metadata__` is there twice"));
                }
                raw.metadata = map.next_value_seed(Remarks(self.0))?;
            } else {
                let entry: RawEntry = map.next_value()?;
                let RawEntry { dtype, shape: Shape(shape), data_offsets } = entry;
                let memory = ENTRY + 2 * (name.len() + size_of_val(shape.as_slice()));
                self.0.take(memory as u64).map_err(|_| A::Error::custom(TOO_MANY))?;
                raw.tensors.push((name, TensorInfo { dtype, shape, data_offsets }));
            }
        }
        Ok(raw)
    }
}

/// `__metadata__`, within the budget.
struct Remarks<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Remarks<'_> {
    type Value = BTreeMap<String, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Remarks<'_> {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut remarks = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            let memory = REMARK + 2 * (key.len() + value.len());
            self.0.take(memory as u64).map_err(|_| A::Error::custom(TOO_MANY))?;
            remarks.insert(key, value);
        }
        Ok(remarks)
    }
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

/// Sizes, no more of them than PyTorch takes: a list of millions would cost more memory than the file.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    if sizes.len() == MAX_DIMS {
                        return Err(A::Error::custom(format!("a tensor has more than {MAX_DIMS} dimensions")));
                    }
                    sizes.push(size);
                }
                sizes.shrink_to_fit();
                Ok(Shape(sizes))
            }
        }
        deserializer.deserialize_seq(V)
    }
}
