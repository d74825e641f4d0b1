//! Weights where they lie: safetensors files are mapped, and their tensors are views of the mapping, so that nothing is copied but by whoever
//! takes the values.
//!
//! The mapping is private, and it is gone when the last view is. A file that is cut short meanwhile ends the process (SIGBUS), as it does
//! Python's.

use tch::{Device, Kind, Tensor};

use super::tensors::{from_host, kind};
use crate::core::weights::{FileTensor, InFile, TensorFile};
use crate::engine::api::EngineError;

/// Gives each tensor to `take`, by its name, of the file's type. A file that cannot be mapped is read.
pub fn for_each(
    weights: &InFile,
    take: &mut dyn FnMut(&str, &Tensor) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    for (number, file) in weights.files.iter().enumerate() {
        if let Some(bytes) = map(file) {
            for place in weights.tensors_of(number) {
                take(&place.name, &view(&bytes, place)?)?;
            }
        } else {
            for host in weights.read_file(number).map_err(|e| EngineError::Refused(e.to_string()))? {
                take(&host.name, &from_host(&host, Device::Cpu)?)?;
            }
        }
    }
    Ok(())
}

/// A whole file as bytes, as long as it was when its header was checked; none where the system refuses (the file has become shorter, or
/// its file system has no mappings).
fn map(file: &TensorFile) -> Option<Tensor> {
    let size = i64::try_from(file.size()).ok()?;
    Tensor::f_from_file(file.mappable()?.to_str()?, false, size, (Kind::Uint8, Device::Cpu)).ok()
}

/// A tensor of a mapped file. Where it does not begin at a multiple of its element's size it is a copy: libtorch computes on aligned
/// memory only.
fn view(bytes: &Tensor, place: &FileTensor) -> Result<Tensor, EngineError> {
    let (at, length) = (place.at as i64, place.bytes() as i64);
    let part = bytes.f_narrow(0, at, length)?;
    let part = if place.at.is_multiple_of(place.dtype.size() as u64) { part } else { part.f_detach_copy()? };
    let shape: Vec<i64> = place.shape.iter().map(|&n| n as i64).collect();
    Ok(part.f_view_dtype(kind(place.dtype))?.f_view(shape.as_slice())?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::tensor::{DType, HostTensor};
    use crate::core::weights::{self, Found, cast};
    use crate::engine::torch::tensors::to_host;

    const FLOATS: [DType; 4] = [DType::Float16, DType::Bfloat16, DType::Float32, DType::Float64];

    /// Tensors of every type, scalars and empty ones too, with a bool of three in front of some, so that they lie askew.
    fn all_types() -> Vec<HostTensor> {
        let integers = [DType::Uint8, DType::Int8, DType::Int16, DType::Int32, DType::Int64];
        let mut tensors = Vec::new();
        for (i, dtype) in integers.into_iter().chain(FLOATS).enumerate() {
            let host = |name: &str, shape: &[usize]| {
                let values = (0..shape.iter().product::<usize>()).flat_map(|k| number(dtype, k as f64 * 1.37 - 2.5));
                HostTensor { name: format!("{dtype}.{name}"), dtype, shape: shape.to_vec(), data: values.collect() }
            };
            tensors.extend([
                host("matrix", &[3, 5]),
                host("scalar", &[]),
                host("empty", &[2, 0, 3]),
                host("one", &[1, 1]),
            ]);
            let bytes = if i % 2 == 0 { vec![1, 0, 1] } else { vec![1] };
            tensors.push(HostTensor {
                name: format!("flags{i}"),
                dtype: DType::Bool,
                shape: vec![bytes.len()],
                data: bytes,
            });
        }
        tensors
    }

    fn number(dtype: DType, value: f64) -> Vec<u8> {
        match dtype {
            DType::Float32 => (value as f32).to_le_bytes().to_vec(),
            DType::Float64 => value.to_le_bytes().to_vec(),
            DType::Float16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
            DType::Bfloat16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
            integer => (value as i64).to_le_bytes()[..integer.size()].to_vec(),
        }
    }

    /// A file with the tensors in this order and a header of any length, as the format allows and writers avoid.
    fn write(path: &Path, tensors: &[HostTensor], padding: usize) {
        let (mut at, mut entries) = (0, Vec::new());
        for t in tensors {
            let dtype = safetensors::Dtype::from(t.dtype);
            let end = at + t.data.len();
            entries.push(format!(
                r#""{}":{{"dtype":"{dtype}","shape":{:?},"data_offsets":[{at},{end}]}}"#,
                t.name, t.shape
            ));
            at = end;
        }
        let header = format!("{{{}}}{}", entries.join(","), " ".repeat(padding));
        let data = tensors.iter().flat_map(|t| t.data.iter().copied());
        let bytes = (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(data);
        std::fs::write(path, bytes.collect::<Vec<u8>>()).unwrap();
    }

    fn find(path: &Path) -> InFile {
        match weights::find_some(path, None, &|_| true).unwrap() {
            Found::InFile(found) => found,
            Found::InMemory(_) => panic!("it was read"),
        }
    }

    fn mapped(found: &InFile) -> Vec<HostTensor> {
        let mut out = Vec::new();
        for_each(found, &mut |name, tensor| {
            out.push(to_host(name, tensor)?);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn mapped_tensors_have_the_bits_of_those_that_are_read_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors = all_types();
        for padding in 0..8 {
            write(&path, &tensors, padding);
            let found = find(&path);
            assert!(found.tensors.iter().any(|t| t.at % t.dtype.size() as u64 != 0), "some lie askew");
            assert_eq!(mapped(&found), tensors);
            assert_eq!(found.read().unwrap(), tensors);
            assert_eq!(weights::read_safetensors(&path).unwrap().len(), tensors.len());
        }
    }

    #[test]
    fn a_copy_converts_as_the_host_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        for from in FLOATS {
            // Ties, sub-normal numbers, overflow and what is no number.
            let special =
                [0.0, -0.0, 1e-7, -6e-8, 1e-40, 65504.0, 65520.0, 3.4e38, 1e39, f64::INFINITY, f64::NEG_INFINITY];
            let values = special.into_iter().chain((0..5000).map(|i| f64::from(i) * 0.000_731 + 1.0));
            let data: Vec<u8> = values.flat_map(|v| number(from, v)).collect();
            let host = HostTensor { name: "a".into(), dtype: from, shape: vec![data.len() / from.size()], data };
            write(&path, std::slice::from_ref(&host), 0);
            for to in FLOATS {
                let expected = cast(host.clone(), to).unwrap();
                for_each(&find(&path), &mut |_, values| {
                    let mut parameter = Tensor::f_zeros(values.size(), (kind(to), Device::Cpu))?;
                    parameter.f_copy_(values)?;
                    assert!(to_host("a", &parameter)?.data == expected.data, "{from} to {to}");
                    Ok(())
                })
                .unwrap();
            }
        }
    }

    #[test]
    fn views_are_no_copies_and_writing_to_them_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let two = ["a", "b"].map(|name| HostTensor::from_f32(name, &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        weights::write_safetensors(&path, &two, &Default::default(), false).unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut kept = Vec::new();
        for_each(&find(&path), &mut |_, tensor| {
            kept.push(tensor.shallow_clone());
            Ok(())
        })
        .unwrap();
        let [a, b] = &mut kept[..] else { panic!("{kept:?}") };
        assert_eq!((b.data_ptr() as usize).abs_diff(a.data_ptr() as usize), 16);
        let _ = a.f_zero_().unwrap();
        assert_eq!(b.double_value(&[1, 1]), 4.0);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn another_file_under_the_same_name_is_not_mapped_and_a_shorter_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
        let host = HostTensor::from_f32("a", &[2000], &[1.5; 2000]);
        weights::write_safetensors(&path, std::slice::from_ref(&host), &Default::default(), false).unwrap();
        let found = find(&path);
        std::fs::write(&other, b"short").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(mapped(&found), [host]);
        weights::write_safetensors(&other, &mapped(&found), &Default::default(), false).unwrap();
        let found = find(&other);
        std::fs::OpenOptions::new().write(true).open(&other).unwrap().set_len(300).unwrap();
        let refused = for_each(&found, &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(refused.contains("b.safetensors") && refused.contains("ends too early"), "{refused}");
    }
}
