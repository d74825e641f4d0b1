//! What samples are read from. Decoders of other crates may panic where the reader turns that into words, so the hook that would end a fuzz
//! target at once is put aside; a panic that comes through ends it still.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use frostline::core::recipe::{DataSpec, OnBadImage, SourceKind};
use frostline::engine::data::{self, load_inputs};

use super::files::{self, Entry};

fn scratch(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        std::panic::set_hook(Box::new(|_| ()));
        tempfile::tempdir().unwrap()
    });
    folder.path().join(name)
}

/// A `.npz` file: the archive, or its `x.npy` (two bytes of length before it) and `y.npy`.
pub fn npz(data: &[u8]) -> usize {
    let path = scratch("data.npz");
    let archive = match data {
        [b'P', b'K', ..] => data.to_vec(),
        [low, high, rest @ ..] => {
            let (x, y) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
            files::zip(&[Entry::stored("x.npy", x), Entry::stored("y.npy", y)])
        }
        _ => return 0,
    };
    std::fs::write(&path, archive).unwrap();
    let spec = DataSpec { source: SourceKind::Tensors, path: Some(path), ..DataSpec::default() };
    match data::open(&spec, None, 0) {
        Ok(set) => set.info().train_len,
        Err(e) => said(&e),
    }
}

fn said(error: &data::DataError) -> usize {
    let words = error.to_string();
    assert!(!words.contains("this is a bug"), "{words}");
    0
}

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

pub fn npz_seeds() -> Vec<Vec<u8>> {
    let (x, y) = (npy("<f4", "(4, 2)", &[7; 32]), npy("<i8", "(4,)", &[0; 32]));
    let archive = files::zip(&[Entry::deflated("x.npy", &x), Entry::stored("y.npy", &y)]);
    vec![archive, [&(x.len() as u16).to_le_bytes()[..], &x, &y].concat()]
}

/// What a checkpoint says of images.
const IMAGES: &str = r#"{"kind":"image","shape":[3,8,8],"repeat":1,"resize":9,"mean":[0.5],"std":[0.25]}"#;

/// An image as `predict` reads it; or, where it begins as JSON does, the preprocessing for a good one.
pub fn image(data: &[u8]) -> usize {
    let path = scratch("image.png");
    let json: Option<serde_json::Value> =
        data.starts_with(b"{").then(|| serde_json::from_slice(data).unwrap_or_default());
    std::fs::write(&path, if json.is_some() { png() } else { data.to_vec() }).unwrap();
    let prep = json.unwrap_or_else(|| serde_json::from_str(IMAGES).unwrap());
    match load_inputs(&[path], &prep, OnBadImage::Skip) {
        Ok(inputs) => {
            assert_eq!(inputs.shape.iter().product::<usize>(), inputs.x.len());
            1
        }
        Err(e) => said(&e),
    }
}

/// Four by three pixels, RGB.
fn png() -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&[[0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2]; 3].concat()).unwrap();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let head = [0, 0, 0, 4, 0, 0, 0, 3, 8, 2, 0, 0, 0];
    for (name, data) in [(b"IHDR", &head[..]), (b"IDAT", &packer.finish().unwrap()), (b"IEND", &[])] {
        let chunk = [&name[..], data].concat();
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(&chunk);
        out.extend(crc32fast::hash(&chunk).to_be_bytes());
    }
    out
}

pub fn image_seeds() -> Vec<Vec<u8>> {
    let jpeg = include_bytes!("../../../src/engine/data/transform/cmyk.jpg");
    vec![png(), jpeg.to_vec(), IMAGES.as_bytes().to_vec()]
}
