//! `x` and `y` in a .safetensors or .npz file. Whole-number `y` of one value a sample are classes; anything else is
//! values to be predicted (several whole numbers a sample too: labels of their own, for `bce`).

use std::path::Path;

use super::files::fingerprint;
use super::{DataError, Labels, Source, Store, npz, safe};

/// More classes than any data set has: a whole-number target that is no label.
const MOST_CLASSES: i64 = 1 << 20;

/// An array, row-major.
pub(in crate::engine::data) struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// Elements, converted to the nearest of three types.
pub(in crate::engine::data) enum Values {
    /// Floating point of any width.
    Floats(Vec<f32>),
    /// Whole numbers, booleans as 0 and 1.
    Ints(Vec<i64>),
    /// Unsigned bytes.
    Bytes(Vec<u8>),
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(v) => v.len(),
            Self::Ints(v) => v.len(),
            Self::Bytes(v) => v.len(),
        }
    }

    /// As `f32`, numbers kept as they are.
    pub fn into_floats(self) -> Vec<f32> {
        match self {
            Self::Floats(v) => v,
            Self::Ints(v) => v.into_iter().map(|i| i as f32).collect(),
            Self::Bytes(v) => v.into_iter().map(f32::from).collect(),
        }
    }
}

/// Whether the ending is one of a tensor file.
pub(in crate::engine::data) fn is_tensor_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["safetensors", "npz"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Reads some arrays of a file by name; one that is missing is named together with those that are there.
pub(in crate::engine::data) fn read_arrays<const N: usize>(
    path: &Path,
    names: [&str; N],
) -> Result<[Array; N], DataError> {
    if !is_tensor_file(path) || path.is_dir() {
        return Err(DataError::format(path, "not a .safetensors or .npz file"));
    }
    let npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    let (found, there) = if npz { npz::read(path, &names)? } else { safe::read(path, &names)? };
    let mut arrays = Vec::with_capacity(N);
    for (array, name) in found.into_iter().zip(names) {
        let array = array.ok_or_else(|| {
            DataError::format(
                path,
                format!("no array `{name}` in it, only {}; write it under this name", some_of(&there)),
            )
        })?;
        if array.shape.iter().product::<usize>() != array.values.len() {
            return Err(DataError::format(path, format!("`{name}` is cut off; write the file again")));
        }
        arrays.push(array);
    }
    arrays.try_into().map_err(|_| DataError::format(path, "arrays are missing"))
}

/// Names that a message holds at most.
const NAMED: usize = 4;

fn some_of(names: &[String]) -> String {
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= NAMED => names.join(", "),
        n => format!("{} and {} more", names[..NAMED].join(", "), n - NAMED),
    }
}

pub(super) fn read(path: &Path) -> Result<Source, DataError> {
    std::fs::metadata(path).map_err(|e| DataError::io(path, e))?;
    let [x, y] = read_arrays(path, ["x", "y"])?;
    let rows = |array: &Array, name: &str| {
        let first = array.shape.first().copied().unwrap_or(0);
        if first > 0 && array.values.len() > 0 {
            return Ok(first);
        }
        let what = format!("`{name}` has the shape {:?}, which holds no samples; give [N, …]", array.shape);
        Err(DataError::format(path, what))
    };
    let (samples, targets) = (rows(&x, "x")?, rows(&y, "y")?);
    if samples != targets {
        let what = format!("`x` has {samples} samples and `y` has {targets}; they must be as many");
        return Err(DataError::format(path, what));
    }
    let mut shape = x.shape[1..].to_vec();
    if shape.is_empty() {
        shape.push(1); // one value a sample
    }
    let (labels, class_names) = labels(path, y)?;
    let file = path.to_path_buf();
    let root = path.parent().unwrap_or(Path::new(""));
    Ok(Source {
        store: Store::Floats { data: x.values.into_floats(), shape, image: false },
        labels,
        class_names,
        own_val: None,
        fingerprint: fingerprint(root, &[file]),
    })
}

fn labels(path: &Path, y: Array) -> Result<(Labels, Vec<String>), DataError> {
    let width: usize = y.shape[1..].iter().product();
    let numbers = match y.values {
        Values::Ints(v) if width == 1 => v,
        Values::Bytes(v) if width == 1 => v.into_iter().map(i64::from).collect(),
        other => return Ok((Labels::Values { data: other.into_floats(), width }, Vec::new())),
    };
    if let Some(row) = numbers.iter().position(|l| !(0..MOST_CLASSES).contains(l)) {
        let what = format!(
            "`y` has {} in row {row}, which is no class number; number classes from 0, or write floats for regression",
            numbers[row]
        );
        return Err(DataError::format(path, what));
    }
    let classes = numbers.iter().max().map_or(0, |most| most + 1);
    Ok((Labels::Classes(numbers), (0..classes).map(|c| c.to_string()).collect()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use npyz::WriterBuilder;
    use safetensors::{Dtype, tensor::TensorView};

    fn safetensors(folder: &Path, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> PathBuf {
        let path = folder.join("data.safetensors");
        let views = tensors.iter().map(|(n, t, s, d)| (*n, TensorView::new(*t, s.to_vec(), d).unwrap()));
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    fn le<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(bytes).collect()
    }

    fn x4() -> (&'static str, Dtype, &'static [usize], Vec<u8>) {
        ("x", Dtype::F32, &[2, 2], le(&[1f32, 2.0, f32::NAN, 4.0], |v| v.to_le_bytes()))
    }

    #[test]
    fn whole_numbers_are_classes_and_floats_are_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = safetensors(folder.path(), &[x4(), ("y", Dtype::I64, &[2], le(&[2i64, 0], |v| v.to_le_bytes()))]);
        let source = read(&path).unwrap();
        assert!(matches!(&source.labels, Labels::Classes(l) if l[..] == [2, 0]));
        assert_eq!(source.class_names, ["0", "1", "2"]);
        let Store::Floats { data, shape, .. } = source.store else { panic!("not floats") };
        assert!(data[2].is_nan() && data[3] == 4.0 && shape == [2]); // NaN is let through: the trainer's policy decides
        let path =
            safetensors(folder.path(), &[x4(), ("y", Dtype::F64, &[2, 1], le(&[0.5f64, 3.0], |v| v.to_le_bytes()))]);
        let source = read(&path).unwrap();
        assert!(matches!(source.labels, Labels::Values { data, width: 1 } if data == [0.5, 3.0]));
        let path = safetensors(folder.path(), &[x4(), ("y", Dtype::BOOL, &[2, 2], vec![1, 0, 1, 1])]);
        assert!(
            matches!(read(&path).unwrap().labels, Labels::Values { data, width: 2 } if data == [1.0, 0.0, 1.0, 1.0])
        );
    }

    #[test]
    fn element_types_are_converted() {
        let folder = tempfile::tempdir().unwrap();
        let y = || ("y", Dtype::U8, &[1][..], vec![1u8]);
        let cases: [(Dtype, Vec<u8>); 9] = [
            (Dtype::F16, le(&[half::f16::from_f32(-2.0), half::f16::from_f32(3.0)], |v| v.to_le_bytes())),
            (Dtype::BF16, le(&[half::bf16::from_f32(-2.0), half::bf16::from_f32(3.0)], |v| v.to_le_bytes())),
            (Dtype::F64, le(&[-2f64, 3.0], |v| v.to_le_bytes())),
            (Dtype::I8, vec![254, 3]),
            (Dtype::I16, le(&[-2i16, 3], |v| v.to_le_bytes())),
            (Dtype::I32, le(&[-2i32, 3], |v| v.to_le_bytes())),
            (Dtype::I64, le(&[-2i64, 3], |v| v.to_le_bytes())),
            (Dtype::F32, le(&[-2f32, 3.0], |v| v.to_le_bytes())),
            (Dtype::U16, le(&[65534u16, 3], |v| v.to_le_bytes())),
        ];
        for (dtype, bytes) in cases {
            let path = safetensors(folder.path(), &[("x", dtype, &[1, 2], bytes), y()]);
            let Store::Floats { data, .. } = read(&path).unwrap().store else { panic!("not floats") };
            let first = if dtype == Dtype::U16 { 65534.0 } else { -2.0 };
            assert_eq!(data, [first, 3.0], "{dtype:?}");
        }
    }

    #[test]
    fn npz_files_of_numpy_are_read_in_either_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.npz");
        let mut npz = npyz::npz::NpzWriter::create(&path).unwrap();
        let options = zip_options();
        let mut x = npz
            .array("x", options)
            .unwrap()
            .default_dtype()
            .order(npyz::Order::Fortran)
            .shape(&[2, 3])
            .begin_nd()
            .unwrap();
        x.extend([1.0f64, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap();
        x.finish().unwrap();
        let mut y = npz.array("y", options).unwrap().default_dtype().shape(&[2]).begin_nd().unwrap();
        y.extend([1i32, 0]).unwrap();
        y.finish().unwrap();
        drop(npz);
        let source = read(&path).unwrap();
        let Store::Floats { data, shape, .. } = source.store else { panic!("not floats") };
        assert_eq!((data, shape), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![3]));
        assert!(matches!(source.labels, Labels::Classes(l) if l == [1, 0]));
    }

    #[test]
    fn a_header_of_brackets_or_of_gigabytes_is_refused_before_it_is_parsed() {
        // Found by the fuzz target `npz`: 261 bytes kept the parser busy for ever.
        let words = |version: u8, length: &[u8], header: &[u8]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("data.npz");
            let mut zip = npyz::zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
            zip.start_file("x.npy", zip_options()).unwrap();
            std::io::Write::write_all(&mut zip, &[b"\x93NUMPY", &[version, 0][..], length, header].concat()).unwrap();
            zip.finish().unwrap();
            drop(zip);
            read(&path).err().unwrap().to_string()
        };
        for bracket in [b"{", b"[", b"("] {
            let header = bracket.repeat(60_000);
            assert!(words(1, &60_000u16.to_le_bytes(), &header).contains("damaged header"));
            assert!(words(2, &60_000u32.to_le_bytes(), &header).contains("damaged header"));
        }
        assert!(words(2, &u32::MAX.to_le_bytes(), b"{}").contains("header of 4294967295 bytes"));
        assert!(words(1, &2u16.to_le_bytes(), b"{}").contains("`x`"));
    }

    #[test]
    fn what_does_not_fit_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let words = |tensors: &[_]| read(&safetensors(folder.path(), tensors)).err().unwrap().to_string();
        let y = |labels: &[i64]| le(labels, |v| v.to_le_bytes());
        assert!(words(&[x4(), ("y", Dtype::I64, &[3], y(&[0, 1, 2]))]).contains("`x` has 2 samples and `y` has 3"));
        assert!(words(&[x4(), ("y", Dtype::I64, &[2], y(&[0, -1]))]).contains("`y` has -1 in row 1"));
        assert!(words(&[x4(), ("labels", Dtype::I64, &[1], y(&[0]))]).contains("no array `y` in it, only labels, x"));
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| (name, Dtype::I64, &[1][..], y(&[0]))).into();
        let said = words(&many);
        assert!(said.contains("no array `x` in it, only a, b, c, d and 2 more;"), "{said}");
        assert!(words(&[x4(), ("y", Dtype::I64, &[], y(&[0]))]).contains("shape []"));
        let gone = read(&folder.path().join("gone.npz")).err().unwrap().to_string();
        assert!(gone.contains("data.path"), "{gone}");
        let path = folder.path().join("data.safetensors");
        for junk in [&b"junk"[..], &[0xFF; 64], &[]] {
            std::fs::write(&path, junk).unwrap();
            assert!(read(&path).is_err());
            let npz = folder.path().join("data.npz");
            std::fs::write(&npz, junk).unwrap();
            assert!(read(&npz).is_err());
        }
    }

    fn zip_options() -> npyz::zip::write::FileOptions {
        npyz::zip::write::FileOptions::default().compression_method(npyz::zip::CompressionMethod::Deflated)
    }
}
