//! CIFAR-10, binary version (<https://www.cs.toronto.edu/~kriz/cifar.html>): records of a label byte and 3 x 32 x 32
//! pixels, planes first, in `data_batch_*.bin` and `test_batch.bin`; names in `batches.meta.txt`.

use std::path::{Path, PathBuf};

use super::files::{entries, fingerprint};
use super::{DataError, Labels, Source, Store};

const SHAPE: [usize; 3] = [3, 32, 32];
const RECORD: usize = 1 + 3 * 32 * 32;
const NAMES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

pub(super) fn read(path: &Path) -> Result<Source, DataError> {
    let inner = path.join("cifar-10-batches-bin"); // where the archive unpacks to
    let folder = if inner.is_dir() { inner } else { path.to_path_buf() };
    let batches: Vec<PathBuf> =
        entries(&folder)?.into_iter().map(|e| folder.join(e.name)).filter(|p| is_batch(p)).collect();
    if batches.is_empty() {
        let what = "no data_batch_*.bin in it; unpack cifar-10-binary.tar.gz here (the Python version is another one)";
        return Err(DataError::format(folder, what));
    }
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    let mut files = batches;
    files.iter().try_for_each(|file| read_batch(file, &mut data, &mut labels))?;
    let test = folder.join("test_batch.bin");
    let own_val = test.is_file().then_some(labels.len());
    if own_val.is_some() {
        read_batch(&test, &mut data, &mut labels)?;
        files.push(test);
    }
    Ok(Source {
        store: Store::Bytes { data, shape: SHAPE },
        labels: Labels::Classes(labels),
        class_names: names(&folder)?,
        own_val,
        fingerprint: fingerprint(&folder, &files),
    })
}

fn is_batch(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("data_batch_") && name.ends_with(".bin")
}

fn read_batch(path: &Path, data: &mut Vec<u8>, labels: &mut Vec<i64>) -> Result<(), DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let what = format!("{} bytes are no whole number of {RECORD}-byte records; fetch the file again", bytes.len());
        return Err(DataError::format(path, what));
    }
    for (number, record) in bytes.chunks_exact(RECORD).enumerate() {
        if usize::from(record[0]) >= NAMES.len() {
            let what =
                format!("record {number} has label {}, and there are classes 0 to 9; fetch the file again", record[0]);
            return Err(DataError::format(path, what));
        }
        labels.push(i64::from(record[0]));
        data.extend_from_slice(&record[1..]);
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, DataError> {
    let path = folder.join("batches.meta.txt");
    if !path.is_file() {
        return Ok(NAMES.map(String::from).to_vec());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| DataError::io(&path, e))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    if names.len() != NAMES.len() {
        let what = format!("{} class names instead of 10; fetch the file again, or remove it", names.len());
        return Err(DataError::format(path, what));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; RECORD];
        bytes[0] = label;
        bytes
    }

    #[test]
    fn batches_come_in_order_and_the_test_batch_is_for_validation() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("data_batch_2.bin"), record(9, 2)).unwrap();
        std::fs::write(inner.join("data_batch_1.bin"), [record(3, 0), record(4, 1)].concat()).unwrap();
        std::fs::write(inner.join("test_batch.bin"), record(5, 7)).unwrap();
        let source = read(folder.path()).unwrap();
        let Labels::Classes(labels) = source.labels else { panic!("not classes") };
        assert_eq!((labels, source.own_val), (vec![3, 4, 9, 5], Some(3)));
        let Store::Bytes { data, .. } = source.store else { panic!("not bytes") };
        assert_eq!((data[0], data[3072], data[2 * 3072], data[3 * 3072]), (0, 1, 2, 7));
        assert_eq!(source.class_names[9], "truck");
    }

    #[test]
    fn damage_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let words = |path: &Path| read(path).err().unwrap().to_string();
        assert!(words(folder.path()).contains("no data_batch_*.bin"));
        assert!(words(&folder.path().join("gone")).contains("data.path"));
        let batch = folder.path().join("data_batch_1.bin");
        std::fs::write(&batch, &record(1, 0)[..RECORD - 1]).unwrap();
        assert!(words(folder.path()).contains("3072 bytes are no whole number of 3073-byte records"));
        std::fs::write(&batch, record(10, 0)).unwrap();
        assert!(words(folder.path()).contains("record 0 has label 10"));
        std::fs::write(&batch, record(1, 0)).unwrap();
        std::fs::write(folder.path().join("batches.meta.txt"), "cat\ndog\n").unwrap();
        assert!(words(folder.path()).contains("2 class names instead of 10"));
    }
}
