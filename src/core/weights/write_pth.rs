//! Writing a state dict as `torch.save` does since PyTorch 1.6: a zip archive of stored entries with a pickle of an OrderedDict,
//! which `torch.load(weights_only=True)` takes (<https://docs.pytorch.org/docs/stable/notes/serialization.html>).

use std::io::{self, BufWriter, Write};
use std::path::Path;

use rawzip::extra_fields::ExtraFieldId;
use rawzip::{Header, ZipArchiveWriter};

use super::WeightsError;
use super::write::{Progress, Watched, write_file};
use crate::core::tensor::{DType, HostTensor};

/// Folder of all entries.
const TOP: &str = "archive";
/// PyTorch begins each storage at a multiple of this, for memory mapping.
const ALIGN: u64 = 64;
/// The extra field that PyTorch pads with ("FB").
const PADDING: ExtraFieldId = ExtraFieldId::new(0x4246);
/// Bytes of a local header without name and extra fields, and of an extra field without data.
const LOCAL_HEADER: u64 = 30;
const FIELD_HEADER: u64 = 4;

/// Writes tensors for `torch.load`. An existing file is replaced with `force` only. When this returns, the file survives a power cut; before, its
/// place is untouched.
pub fn write_pth(path: &Path, tensors: &[HostTensor], force: bool) -> Result<(), WeightsError> {
    write_pth_watched(path, tensors, force, &mut |_| {})
}

/// [`write_pth`], with somebody told how far it is.
pub fn write_pth_watched(
    path: &Path,
    tensors: &[HostTensor],
    force: bool,
    progress: Progress<'_>,
) -> Result<(), WeightsError> {
    write_file(path, force, |file| {
        archive(BufWriter::with_capacity(1 << 20, Watched { out: file, progress }), tensors)?.flush()
    })
}

/// Writes the archive.
pub(super) fn archive<W: Write>(out: W, tensors: &[HostTensor]) -> io::Result<W> {
    let mut zip = ZipArchiveWriter::new(out);
    entry(&mut zip, "data.pkl", &pickle(tensors))?;
    entry(&mut zip, "byteorder", b"little")?;
    for (i, tensor) in tensors.iter().enumerate() {
        entry(&mut zip, &format!("data/{i}"), &tensor.data)?;
    }
    entry(&mut zip, "version", b"3\n")?;
    zip.finish().map_err(disk)
}

/// What the disk said, not what the zip writer makes of it.
fn disk(error: rawzip::Error) -> io::Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => error,
        other => io::Error::other(rawzip::Error::from(other)),
    }
}

fn entry<W: Write>(zip: &mut ZipArchiveWriter<W>, name: &str, data: &[u8]) -> io::Result<()> {
    let name = format!("{TOP}/{name}");
    let begin = zip.stream_offset() + LOCAL_HEADER + name.len() as u64 + FIELD_HEADER;
    let padding = vec![b'Z'; (begin.next_multiple_of(ALIGN) - begin) as usize];
    let file = zip.new_file(name.as_str()).extra_field(PADDING, &padding, Header::LOCAL);
    let (mut entry, config) = file.and_then(rawzip::ZipFileBuilder::start).map_err(disk)?;
    let mut writer = config.wrap(&mut entry);
    writer.write_all(data)?;
    let (_, sums) = writer.finish().map_err(disk)?;
    entry.finish(sums).map_err(disk)?;
    Ok(())
}

/// `OrderedDict([(name, tensor), …])` in protocol 2.
fn pickle(tensors: &[HostTensor]) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    ordered_dict(&mut out);
    out.push(b'(');
    for (i, tensor) in tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        storage(&mut out, i, tensor);
        int(&mut out, 0);
        tuple(&mut out, &tensor.shape);
        tuple(&mut out, &strides(&tensor.shape));
        out.push(0x89); // requires_grad: False
        ordered_dict(&mut out); // backward hooks
        out.extend(b"tR");
    }
    out.extend(b"u.");
    out
}

fn ordered_dict(out: &mut Vec<u8>) {
    out.extend(b"ccollections\nOrderedDict\n)R");
}

/// The persistent id of a storage: `('storage', torch.FloatStorage, '0', 'cpu', elements)`.
fn storage(out: &mut Vec<u8>, number: usize, tensor: &HostTensor) {
    let class = match tensor.dtype {
        DType::Bool => "Bool",
        DType::Uint8 => "Byte",
        DType::Int8 => "Char",
        DType::Int16 => "Short",
        DType::Int32 => "Int",
        DType::Int64 => "Long",
        DType::Float16 => "Half",
        DType::Bfloat16 => "BFloat16",
        DType::Float32 => "Float",
        DType::Float64 => "Double",
    };
    out.push(b'(');
    text(out, "storage");
    out.extend(format!("ctorch\n{class}Storage\n").into_bytes());
    text(out, &number.to_string());
    text(out, "cpu");
    int(out, tensor.data.len() / tensor.dtype.size());
    out.extend(b"tQ");
}

/// Row-major, in elements; what a dimension of size 0 or 1 has makes no difference and is as PyTorch has it.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1);
    }
    strides
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    values.iter().for_each(|v| int(out, *v));
    out.push(b't');
}

fn int(out: &mut Vec<u8>, value: usize) {
    match i32::try_from(value) {
        Ok(value) => {
            out.push(b'J');
            out.extend(value.to_le_bytes());
        }
        Err(_) => {
            // LONG1: the bytes of a signed number, of which the highest bit must be 0.
            out.extend([0x8a, 9]);
            out.extend((value as u64).to_le_bytes());
            out.push(0);
        }
    }
}
