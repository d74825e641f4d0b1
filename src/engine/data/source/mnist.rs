//! MNIST and its kin (Fashion-MNIST, KMNIST, EMNIST's converted files) in four IDX files, gzipped or not, as published
//! or as torchvision leaves them (`MNIST/raw`).

use std::path::{Path, PathBuf};

use super::files::fingerprint;
use super::{DataError, Labels, Source, Store, idx};

/// MNIST's own number of classes; data sets of its kin may have more.
const CLASSES: usize = 10;

pub(super) fn read(path: &Path) -> Result<Source, DataError> {
    let folder = [path.to_path_buf(), path.join("raw"), path.join("MNIST/raw")]
        .into_iter()
        .find(|f| find(f, "train-images", 3).is_some());
    let Some(folder) = folder else {
        return Err(DataError::format(path, "no train-images-idx3-ubyte(.gz) in it; put MNIST's four files here"));
    };
    let train = [wanted(&folder, "train-images", 3)?, wanted(&folder, "train-labels", 1)?];
    let mut part = read_part(&train)?;
    let mut files = train.to_vec();
    let mut own_val = None;
    if find(&folder, "t10k-images", 3).is_some() {
        let test = [wanted(&folder, "t10k-images", 3)?, wanted(&folder, "t10k-labels", 1)?];
        let more = read_part(&test)?;
        if more.shape != part.shape {
            let what =
                format!("images of {:?} where the training images have {:?}", &more.shape[1..], &part.shape[1..]);
            return Err(DataError::format(&test[0], format!("{what}; the files do not belong together")));
        }
        own_val = Some(part.labels.len());
        part.data.extend(more.data);
        part.labels.extend(more.labels);
        files.extend(test);
    }
    let classes = part.labels.iter().map(|l| *l as usize + 1).max().unwrap_or(0).max(CLASSES);
    Ok(Source {
        store: Store::Bytes { data: part.data, shape: part.shape },
        labels: Labels::Classes(part.labels),
        class_names: (0..classes).map(|c| c.to_string()).collect(),
        own_val,
        fingerprint: fingerprint(&folder, &files),
    })
}

struct Part {
    data: Vec<u8>,
    shape: [usize; 3],
    labels: Vec<i64>,
}

fn read_part([images, labels]: &[PathBuf; 2]) -> Result<Part, DataError> {
    let pixels = idx::read(images, 3)?;
    let numbers = idx::read(labels, 1)?;
    let (count, height, width) = (pixels.dims[0], pixels.dims[1], pixels.dims[2]);
    if count != numbers.dims[0] {
        return Err(DataError::format(
            labels,
            format!("{} labels for {count} images of {}; fetch both again", numbers.dims[0], images.display()),
        ));
    }
    if count == 0 || height == 0 || width == 0 {
        return Err(DataError::format(images, "no images in it; fetch the file again"));
    }
    let labels = numbers.data.into_iter().map(i64::from).collect();
    Ok(Part { data: pixels.data, shape: [1, height, width], labels })
}

/// `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, either with `.gz`.
fn find(folder: &Path, stem: &str, dims: usize) -> Option<PathBuf> {
    let names = ["-", "."]
        .into_iter()
        .flat_map(|dot| ["", ".gz"].into_iter().map(move |gz| format!("{stem}{dot}idx{dims}-ubyte{gz}")));
    names.map(|name| folder.join(name)).find(|path| path.is_file())
}

fn wanted(folder: &Path, stem: &str, dims: usize) -> Result<PathBuf, DataError> {
    find(folder, stem, dims).ok_or_else(|| {
        DataError::format(folder, format!("{stem}-idx{dims}-ubyte(.gz) is missing; put it beside the other files"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn words(folder: &tempfile::TempDir) -> String {
        read(folder.path()).err().unwrap().to_string()
    }

    #[test]
    fn plain_and_gzipped_files_are_read_and_t10k_is_for_validation() {
        let folder = folder(&[
            ("train-images-idx3-ubyte", idx(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
            ("train-labels.idx1-ubyte.gz", gz(&idx(&[2], &[7, 0]))),
            ("t10k-images-idx3-ubyte.gz", gz(&idx(&[1, 2, 3], &[0; 6]))),
            ("t10k-labels-idx1-ubyte", idx(&[1], &[12])),
        ]);
        let source = read(folder.path()).unwrap();
        let Labels::Classes(labels) = source.labels else { panic!("not classes") };
        assert_eq!((labels, source.own_val, source.class_names.len()), (vec![7, 0, 12], Some(2), 13));
        let Store::Bytes { data, shape } = source.store else { panic!("not bytes") };
        assert_eq!((data[6], data.len(), shape), (7, 18, [1, 2, 3]));
    }

    #[test]
    fn sizes_that_do_not_fit_are_said_in_words() {
        let labels = ("train-labels-idx1-ubyte", idx(&[2], &[1, 0]));
        let with = |images: Vec<u8>| folder(&[("train-images-idx3-ubyte", images), labels.clone()]);
        assert!(words(&with(idx(&[2, 2, 2], &[0; 7]))).contains("asks for 8 bytes and 7 follow"));
        assert!(words(&with(idx(&[2, 2, 2], &[0; 9]))).contains("asks for 8 bytes and more follow"));
        assert!(words(&with(idx(&[3, 1, 1], &[0; 3]))).contains("2 labels for 3 images"));
        assert!(words(&with(idx(&[8], &[0; 8]))).contains("has 1 dimensions where 3 are expected"));
        assert!(words(&with(vec![0, 0])).contains("not a whole IDX file"));
        assert!(words(&with(b"<html>".to_vec())).contains("no IDX file of bytes"));
        assert!(words(&folder(&[("train-images-idx3-ubyte", Vec::new())])).contains("train-labels-idx1-ubyte"));
        assert!(words(&folder(&[])).contains("MNIST's four files"));
    }

    #[test]
    fn a_header_that_claims_too_much_takes_no_memory() {
        let huge = idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 4]);
        let said = words(&folder(&[("train-images-idx3-ubyte", huge), ("train-labels-idx1-ubyte", idx(&[1], &[0]))]));
        assert!(said.contains("claims sizes"), "{said}");
        let big = idx(&[u32::MAX, 1000, 1000], &[0; 4]);
        let said = words(&folder(&[("train-images-idx3-ubyte", big), ("train-labels-idx1-ubyte", idx(&[1], &[0]))]));
        assert!(said.contains("4 follow"), "{said}");
    }
}
