//! The header of a safetensors file (<https://huggingface.co/docs/safetensors>): eight bytes of length, then JSON.
//!
//! Read alone, so that a listing of a large file touches none of its data. The length is checked against the file before memory is taken;
//! duplicate names and over-long shapes, which the safetensors crate lets pass, are refused here, overlaps and gaps by the crate.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::WeightsError;

/// What a weights file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileListing {
    /// In the order of their place in the file.
    pub tensors: Vec<TensorListing>,
    /// The file's own remarks.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorListing {
    /// Its name.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// PyTorch's name of the element type (`float32`).
    pub dtype: &'static str,
    /// Size in bytes.
    pub bytes: u64,
}

/// Longest header: the format's own limit.
const MAX_HEADER: u64 = 100_000_000;
/// PyTorch's limit of dimensions.
const MAX_DIMS: usize = 64;

/// Lists a file: names, shapes, types, metadata. Reads the header alone.
pub fn inspect(path: &Path) -> Result<FileListing, WeightsError> {
    let (_, header) = open(path)?;
    let tensors = header.tensors.into_iter().map(|(name, info)| TensorListing {
        name,
        bytes: (info.data_offsets.1 - info.data_offsets.0) as u64,
        dtype: torch_name(info.dtype),
        shape: info.shape,
    });
    Ok(FileListing { tensors: tensors.collect(), metadata: header.metadata })
}

/// A checked header; the file stands at the first byte of data.
pub(super) struct Header {
    /// By place in the file; together they cover the data exactly.
    pub tensors: Vec<(String, TensorInfo)>,
    pub metadata: BTreeMap<String, String>,
}

/// Opens a file and reads its header.
pub(super) fn open(path: &Path) -> Result<(File, Header), WeightsError> {
    let size = check_is_file(path)?;
    let mut file = File::open(path).map_err(WeightsError::io(path, "open"))?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(WeightsError::io(path, "read"))?;
    let length = u64::from_le_bytes(length);
    if let Some(problem) = other_format(&length.to_le_bytes()) {
        return Err(WeightsError::NotWeights { path: path.to_owned(), problem: problem.to_owned() });
    }
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
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes).map_err(WeightsError::io(path, "read"))?;
    let header = parse(path, &bytes, size - 8 - length)?;
    Ok((file, header))
}

/// The file's size, or in words what is there instead. Asked before opening: opening a pipe would wait for its other end.
fn check_is_file(path: &Path) -> Result<u64, WeightsError> {
    let meta = std::fs::metadata(path).map_err(WeightsError::io(path, "read"))?;
    let not = |problem: &str| Err(WeightsError::NotWeights { path: path.to_owned(), problem: problem.to_owned() });
    if meta.is_dir() {
        return not("is a folder, not a weights file");
    }
    if !meta.is_file() {
        return not("is a pipe or device, not a weights file");
    }
    match meta.len() {
        0 => not("is empty (0 bytes); the download or copy may have failed"),
        1..8 => not("is too short to be a safetensors file"),
        size => Ok(size),
    }
}

fn other_format(start: &[u8; 8]) -> Option<&'static str> {
    match start {
        [b'P', b'K', 3, 4, ..] => {
            Some("is a zip archive (torch.save?), not safetensors; save it with safetensors.torch.save_file")
        }
        [0x80, 2..=5, ..] => {
            Some("is a pickle (an old torch.save?), not safetensors; save it with safetensors.torch.save_file")
        }
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' '] => {
            Some("is a Git LFS pointer, not the file itself; run `git lfs pull`")
        }
        _ => None,
    }
}

fn parse(path: &Path, bytes: &[u8], data: u64) -> Result<Header, WeightsError> {
    let raw: RawHeader = serde_json::from_slice(bytes)
        .map_err(|e| WeightsError::damaged(path, format!("its header does not parse: {}", shown(&e.to_string()))))?;
    let mut tensors = raw.tensors;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut names = HashSet::with_capacity(tensors.len());
    if let Some((twice, _)) = tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(WeightsError::damaged(path, format!("tensor `{}` is listed twice", shown(twice))));
    }
    drop(names);
    // The crate checks that offsets follow each other without gap or overlap and agree with shape and type.
    let checked = Metadata::new(None, tensors).map_err(|e| WeightsError::damaged(path, words(&e)))?;
    let covered = checked.data_len() as u64;
    if covered != data {
        let what = if covered > data { "the file is cut off" } else { "there are bytes that no tensor owns" };
        let problem = format!("its header describes {covered} bytes of data, but {data} follow; {what}");
        return Err(WeightsError::damaged(path, problem));
    }
    Ok(Header { tensors: in_order(checked), metadata: raw.metadata })
}

fn in_order(checked: Metadata) -> Vec<(String, TensorInfo)> {
    checked.offset_keys().into_iter().filter_map(|name| checked.info(&name).cloned().map(|info| (name, info))).collect()
}

fn words(error: &safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    match error {
        E::InvalidOffset(name) => format!("tensor `{}` overlaps another one or leaves a gap", shown(name)),
        E::TensorInvalidInfo => "a tensor's shape and type do not agree with its size".into(),
        E::ValidationOverflow => "a tensor's shape is larger than any memory".into(),
        E::MisalignedSlice => "a tensor does not end on a whole byte".into(),
        other => other.to_string(),
    }
}

/// Characters of foreign text shown in a message.
const SHOWN: usize = 160;

/// Text from a file in a message: on one line, not endless.
pub(super) fn shown(text: &str) -> String {
    let clean: String = text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{clean}…") } else { clean }
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

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
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
                        raw.metadata = map.next_value()?;
                    } else {
                        let entry: RawEntry = map.next_value()?;
                        let (dtype, shape, data_offsets) = (entry.dtype, entry.shape.0, entry.data_offsets);
                        raw.tensors.push((name, TensorInfo { dtype, shape, data_offsets }));
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(V)
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
