//! The IDX format of MNIST (<https://yann.lecun.com/exdb/mnist/>, mirrored widely): two zero bytes, the element type
//! (8: unsigned byte), the number of dimensions, each as a big-endian u32, then the elements. Gzipped or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::DataError;

/// An array of bytes.
pub(super) struct Idx {
    pub dims: Vec<usize>,
    pub data: Vec<u8>,
}

/// Reads an IDX file of `dims` dimensions. Memory grows with what is read, not with what the header claims.
pub(super) fn read(path: &Path, dims: usize) -> Result<Idx, DataError> {
    let file = BufReader::new(File::open(path).map_err(|e| DataError::io(path, e))?);
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        parse(path, GzDecoder::new(file), dims)
    } else {
        parse(path, file, dims)
    }
}

fn parse(path: &Path, mut reader: impl Read, dims: usize) -> Result<Idx, DataError> {
    let wrong = |what: String| DataError::format(path, format!("{what}; fetch the file again"));
    let mut word = [0u8; 4];
    let mut next =
        || reader.read_exact(&mut word).map(|()| word).map_err(|e| wrong(format!("not a whole IDX file ({e})")));
    let magic = next()?;
    if magic[..3] != [0, 0, 8] {
        return Err(wrong(format!("begins with {magic:02x?}, which is no IDX file of bytes")));
    }
    if usize::from(magic[3]) != dims {
        return Err(wrong(format!("has {} dimensions where {dims} are expected", magic[3])));
    }
    let dims: Vec<usize> =
        (0..dims).map(|_| next().map(|w| u32::from_be_bytes(w) as usize)).collect::<Result<_, _>>()?;
    let expected = dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
    let expected = expected.filter(|n| *n < usize::MAX / 2).ok_or_else(|| wrong(format!("claims sizes {dims:?}")))?;
    let mut data = Vec::new();
    reader
        .take(expected as u64 + 1)
        .read_to_end(&mut data)
        .map_err(|e| wrong(format!("cannot be read to its end ({e})")))?;
    if data.len() != expected {
        let fault = if data.len() < expected { format!("{} follow", data.len()) } else { "more follow".into() };
        return Err(wrong(format!("its header {dims:?} asks for {expected} bytes and {fault}")));
    }
    Ok(Idx { dims, data })
}
