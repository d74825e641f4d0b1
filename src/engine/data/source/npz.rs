//! Arrays of a .npz file (`numpy.savez`, `numpy.savez_compressed`).

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use npyz::npz::{NpzArchive, file_name_from_array_name};
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};

use super::DataError;
use super::tensors::{Array, Values};
use crate::engine::data::error::panic_words;

/// The asked arrays, `None` where one is missing, and the names of all.
pub(super) fn read(path: &Path, names: &[&str]) -> Result<(Vec<Option<Array>>, Vec<String>), DataError> {
    let wrong = |why: String| DataError::format(path, format!("not a whole .npz file ({why}); write it again"));
    let mut archive = NpzArchive::open(path).map_err(|e| wrong(e.to_string()))?;
    let mut there: Vec<String> = archive.array_names().map(String::from).collect();
    there.sort();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        // The header parser asserts; a hostile file must end in words.
        let array = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(start) = archive.zip_archive().by_name(&file_name_from_array_name(name)) {
                check_header(start)?;
            }
            archive.by_name(name).map_err(|e| e.to_string())?.map(convert).transpose()
        }));
        let array = array.unwrap_or_else(|panic| Err(panic_words(&*panic)));
        found.push(array.map_err(|why| wrong(format!("`{name}`: {why}")))?);
    }
    Ok((found, there))
}

/// Longest header that is parsed, in bytes: NumPy's own limit is 10,000.
const LONGEST: usize = 64 << 10;
/// Most opening brackets in it. An array of numbers has two, the dictionary's and the shape's. The parser's time doubles with each bracket within
/// another one, and so many within each other would take its whole stack.
const BRACKETS: usize = 8;

/// Looks at a header before the parser does, which takes the memory that its length claims.
fn check_header(start: impl Read) -> Result<(), String> {
    let mut bytes = Vec::new();
    start.take(LONGEST as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let (begin, length) = match bytes.get(6..12) {
        Some([1, _, low, high, ..]) => (10, usize::from(u16::from_le_bytes([*low, *high]))),
        Some([_, _, a, b, c, d]) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Ok(()),
    };
    if length >= LONGEST {
        return Err(format!("has a header of {length} bytes"));
    }
    let header = bytes.iter().skip(begin).take(length);
    if header.filter(|b| matches!(b, b'[' | b'(' | b'{')).count() > BRACKETS {
        return Err("has records where numbers are expected, or a damaged header".into());
    }
    Ok(())
}

fn convert<R: Read>(file: NpyFile<R>) -> Result<Array, String> {
    let shape: Vec<usize> = file.shape().iter().map(|d| *d as usize).collect();
    let count = shape.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
    let count = count.ok_or_else(|| format!("claims the shape {shape:?}"))?;
    let order = file.order();
    let dtype = file.dtype();
    let DType::Plain(kind) = &dtype else { return Err("has records where numbers are expected".into()) };
    let values = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => Values::Floats(each(file, |v: f32| v)?),
        (TypeChar::Float, 8) => Values::Floats(each(file, |v: f64| v as f32)?),
        (TypeChar::Float, 2) => Values::Floats(each(file, |v: half::f16| v.to_f32())?),
        (TypeChar::Uint, 1) => Values::Bytes(each(file, |v: u8| v)?),
        (TypeChar::Bool, _) => Values::Bytes(each(file, u8::from as fn(bool) -> u8)?),
        (TypeChar::Int, 1) => Values::Ints(each(file, |v: i8| i64::from(v))?),
        (TypeChar::Int, 2) => Values::Ints(each(file, |v: i16| i64::from(v))?),
        (TypeChar::Int, 4) => Values::Ints(each(file, |v: i32| i64::from(v))?),
        (TypeChar::Int, 8) => Values::Ints(each(file, |v: i64| v)?),
        (TypeChar::Uint, 2) => Values::Ints(each(file, |v: u16| i64::from(v))?),
        (TypeChar::Uint, 4) => Values::Ints(each(file, |v: u32| i64::from(v))?),
        (TypeChar::Uint, 8) => Values::Ints(each(file, |v: u64| i64::try_from(v).unwrap_or(i64::MAX))?),
        _ => return Err(format!("elements of type {} are not numbers of 8 to 64 bits", dtype.descr())),
    };
    if values.len() != count {
        return Err(format!("claims the shape {shape:?} and has {} elements", values.len()));
    }
    let values = match order {
        Order::C => values,
        Order::Fortran => match values {
            Values::Floats(v) => Values::Floats(row_major(&v, &shape)),
            Values::Ints(v) => Values::Ints(row_major(&v, &shape)),
            Values::Bytes(v) => Values::Bytes(row_major(&v, &shape)),
        },
    };
    Ok(Array { shape, values })
}

/// Memory grows with what is read: the header's claim is not believed beforehand.
fn each<T: Deserialize, U, R: Read>(file: NpyFile<R>, convert: impl Fn(T) -> U) -> Result<Vec<U>, String> {
    let mut values = Vec::new();
    for value in file.data::<T>().map_err(|e| e.to_string())? {
        values.push(convert(value.map_err(|e: io::Error| e.to_string())?));
    }
    Ok(values)
}

/// Column-major to row-major.
fn row_major<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut step = 1;
    for size in shape {
        strides.push(step);
        step *= size;
    }
    let mut at = vec![0usize; shape.len()];
    let mut place = 0usize;
    let mut out = Vec::with_capacity(values.len());
    while out.len() < values.len() {
        out.push(values[place]);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            place += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
    out
}
