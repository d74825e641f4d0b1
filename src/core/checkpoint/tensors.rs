//! Tensors to and from safetensors files, in one pass, with the checksum taken on the way.
//!
//! The `safetensors` crate makes and checks the header. Nothing is allocated beyond the file's real size.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::{CheckpointError, Damage, FileSum};
use crate::core::io::SafeFile;
use crate::core::shown::json_words;
use crate::core::tensor::{DType, HostTensor};
use crate::core::weights::Progress;

/// Bytes of the header's length field, and what headers are aligned to.
const ALIGN: usize = 8;

/// Hashes what is written.
struct Hashing<W> {
    inner: W,
    hash: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hash.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The header, and the tensors in the order of their data: larger elements first, so that each is aligned, else as given.
fn header(tensors: &[HostTensor]) -> Result<(Vec<u8>, Vec<&HostTensor>), CheckpointError> {
    let bad = |name: &str, message: String| CheckpointError::Tensor { name: name.to_owned(), message };
    let mut order: Vec<&HostTensor> = tensors.iter().collect();
    order.sort_by_key(|t| std::cmp::Reverse(t.dtype.size()));
    let mut infos = Vec::with_capacity(order.len());
    let mut names = std::collections::HashSet::with_capacity(order.len());
    let mut offset = 0;
    for t in &order {
        if !names.insert(t.name.as_str()) {
            return Err(bad(&t.name, "there are two of this name".to_owned()));
        }
        let end = offset + t.data.len();
        let info = TensorInfo { dtype: t.dtype.into(), shape: t.shape.clone(), data_offsets: (offset, end) };
        infos.push((t.name.clone(), info));
        offset = end;
    }
    // PyTorch's own tools look for this entry. Nothing else is put here: the file must not differ between two equal runs.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(about), infos).map_err(|e| {
        let wrong = |t: &&&HostTensor| t.shape.iter().product::<usize>() * t.dtype.size() != t.data.len();
        bad(order.iter().find(wrong).map_or("", |t| t.name.as_str()), e.to_string())
    })?;
    let mut json = serde_json::to_vec(&metadata).map_err(|e| bad("", e.to_string()))?;
    json.resize(json.len().next_multiple_of(ALIGN), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend(json);
    Ok((header, order))
}

/// Writes a new file, flushed to the disk.
pub(super) fn write(path: &Path, tensors: &[HostTensor]) -> Result<FileSum, CheckpointError> {
    let (header, order) = header(tensors)?;
    let written = (|| {
        let mut file = SafeFile::create_new(path)?;
        let out = io::BufWriter::with_capacity(1 << 20, &mut file);
        let mut out = Hashing { inner: out, hash: blake3::Hasher::new(), bytes: 0 };
        out.write_all(&header)?;
        for tensor in order {
            out.write_all(&tensor.data)?;
        }
        out.flush()?;
        let sum = FileSum { bytes: out.bytes, blake3: out.hash.finalize().to_hex().to_string() };
        drop(out);
        file.sync()?;
        Ok(sum)
    })();
    written.map_err(CheckpointError::io("write", path))
}

/// Reads a file whose size and checksum are known, checking both; `progress` is told of bytes that were read. `Err` names the
/// damage.
pub(super) fn read(path: &Path, sum: &FileSum, progress: Progress<'_>) -> Result<Vec<HostTensor>, Damage> {
    let damage = |what: String| Damage::new(path, what);
    let mut file = File::open(path).map_err(|e| damage(super::verify::cannot_open(&e)))?;
    let len = file.metadata().map_err(|e| damage(e.to_string()))?.len();
    if len != sum.bytes {
        return Err(damage(super::verify::wrong_size(len, sum.bytes)));
    }
    let mut hash = blake3::Hasher::new();
    let parsed = parse(&mut file, len, &mut hash, progress);
    // A parse that gave up leaves bytes unread; the checksum of the whole decides what the message says.
    io::copy(&mut file, &mut hash).map_err(|e| damage(e.to_string()))?;
    if hash.finalize().to_hex().as_str() != sum.blake3 {
        return Err(damage(super::verify::WRONG_SUM.to_owned()));
    }
    parsed.map_err(damage)
}

/// A large tensor is read, hashed and told piece by piece.
const PIECE: usize = 8 << 20;

fn parse(
    file: &mut File,
    len: u64,
    hash: &mut blake3::Hasher,
    progress: Progress<'_>,
) -> Result<Vec<HostTensor>, String> {
    let mut take = |n: usize| -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; n];
        for piece in bytes.chunks_mut(PIECE) {
            file.read_exact(piece).map_err(|e| e.to_string())?;
            hash.update(piece);
            progress(piece.len() as u64);
        }
        Ok(bytes)
    };
    let size = take(ALIGN)?;
    let size = size.try_into().map(u64::from_le_bytes).map_err(|_| "no header".to_owned())?;
    let rest = len.checked_sub(ALIGN as u64).and_then(|l| l.checked_sub(size));
    let rest = rest.ok_or("the header is longer than the file")?;
    let json = take(usize::try_from(size).map_err(|e| e.to_string())?)?;
    // Deserialising checks that offsets are contiguous and fit shape and type.
    let metadata: Metadata = serde_json::from_slice(&json).map_err(|e| json_words(&e))?;
    if metadata.data_len() as u64 != rest {
        return Err("the header does not describe all of the file".to_owned());
    }
    // In the order of the data; empty tensors lie in one place and go by their names.
    let mut infos: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    infos.sort_unstable_by(|(a, i), (b, j)| i.data_offsets.cmp(&j.data_offsets).then_with(|| a.cmp(b)));
    let mut tensors = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let dtype =
            DType::from_safetensors(info.dtype).ok_or_else(|| format!("tensor `{name}` has type {:?}", info.dtype))?;
        let data = take(info.data_offsets.1 - info.data_offsets.0)?;
        tensors.push(HostTensor { name, dtype, shape: info.shape.clone(), data });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(path: &Path) -> FileSum {
        let bytes = std::fs::read(path).unwrap();
        FileSum { bytes: bytes.len() as u64, blake3: blake3::hash(&bytes).to_hex().to_string() }
    }

    #[test]
    fn the_safetensors_crate_reads_the_file_and_each_tensor_is_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let count =
            HostTensor { name: "n".into(), dtype: DType::Int64, shape: vec![], data: vec![7, 0, 0, 0, 0, 0, 0, 0] };
        let mask = HostTensor { name: "m".into(), dtype: DType::Bool, shape: vec![3], data: vec![1, 0, 1] };
        let tensors = [mask, HostTensor::from_f32("w", &[3], &[1.0, 2.0, 3.0]), count];
        let sum = write(&path, &tensors).unwrap();
        assert_eq!(sum, sum_of(&path));
        let bytes = std::fs::read(&path).unwrap();
        let (size, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        for t in &tensors {
            let start = metadata.info(&t.name).unwrap().data_offsets.0 + size + ALIGN;
            assert_eq!(start % t.dtype.size(), 0, "{}", t.name);
            assert_eq!(bytes[start..start + t.data.len()], t.data);
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_memory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let header = br#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
        let mut lies =
            vec![u64::MAX.to_le_bytes().to_vec(), (1u64 << 40).to_le_bytes().to_vec(), vec![1, 2, 3], vec![]];
        lies.push([(header.len() as u64).to_le_bytes().as_slice(), header].concat());
        for lie in lies {
            std::fs::write(&path, &lie).unwrap();
            let damage = read(&path, &sum_of(&path), &mut |_| {}).unwrap_err();
            assert_eq!(damage.file, "w.safetensors");
        }
    }

    #[test]
    fn two_tensors_of_one_name_or_a_wrong_length_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let one = HostTensor::from_f32("w", &[1], &[1.0]);
        let error = write(&dir.path().join("a"), &[one.clone(), one.clone()]).unwrap_err();
        assert!(error.to_string().contains("`w`"), "{error}");
        let error = write(&dir.path().join("b"), &[HostTensor { shape: vec![2], ..one }]).unwrap_err();
        assert!(error.to_string().contains("`w`"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn tensors_come_back_as_they_were(values in prop::collection::vec(prop::collection::vec(any::<f32>(), 0..20), 0..6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("w.safetensors");
            let tensors: Vec<HostTensor> =
                values.iter().enumerate().map(|(i, v)| HostTensor::from_f32(format!("t{i}"), &[v.len()], v)).collect();
            let sum = write(&path, &tensors).unwrap();
            let mut told = 0;
            prop_assert_eq!(read(&path, &sum, &mut |bytes| told += bytes).unwrap(), tensors);
            prop_assert_eq!(told, sum.bytes);
        }
    }
}
