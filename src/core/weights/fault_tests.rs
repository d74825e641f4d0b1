//! Exports onto disks that fail: at any byte, with any of the usual errors, the old file stands, nothing lies beside it, and the message says why.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::io::Errno;

use super::*;
use crate::core::io::fault;
use crate::core::tensor::HostTensor;

type Write = fn(&Path, &[HostTensor], bool) -> Result<(), WeightsError>;

const WRITERS: [(&str, Write); 2] = [
    ("safetensors", |path, tensors, force| write_safetensors(path, tensors, &BTreeMap::new(), force)),
    ("pth", write_pth),
];

fn tensors(value: f32) -> Vec<HostTensor> {
    (0..3).map(|i| HostTensor::from_f32(format!("t{i}"), &[20], &[value + i as f32; 20])).collect()
}

#[test]
fn an_export_to_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else() {
    for (name, write) in WRITERS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write(&path, &tensors(1.0), false).unwrap();
        let (old, size) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().len());
        for room in 0..size {
            let full = fault::disk_full_after(folder.path(), room);
            let error = write(&path, &tensors(2.0), true).unwrap_err();
            assert!(
                matches!(&error, WeightsError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
                "{error}"
            );
            assert!(
                error.to_string().starts_with(path.to_str().unwrap()) && !error.to_string().contains('\n'),
                "{error}"
            );
            drop(full);
            assert!(fs::read(&path).unwrap() == old, "{name} with room for {room}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name} with room for {room}");
        }
        write(&path, &tensors(2.0), true).unwrap();
        assert_eq!(read(&path, None).unwrap().tensors, tensors(2.0));
    }
}

#[test]
fn an_export_that_fails_otherwise_says_how_and_leaves_nothing() {
    for (name, write) in WRITERS {
        for (errno, words) in [
            (Errno::IO, "Input/output error"),
            (Errno::DQUOT, "quota"),
            (Errno::FBIG, "File too large"),
            (Errno::ROFS, "Read-only"),
            (Errno::ACCESS, "Permission denied"),
        ] {
            for room in [0, 1, 300] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(name);
                let broken = fault::failing_after(folder.path(), room, errno);
                let error = write(&path, &tensors(1.0), false).unwrap_err().to_string();
                assert!(error.contains("cannot write") && error.contains(words), "{error}");
                drop(broken);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
                write(&path, &tensors(1.0), false).unwrap();
            }
        }
    }
}

#[test]
fn tensors_that_cannot_be_written_are_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let twice = [tensors(1.0), tensors(2.0)].concat();
    let error = write_safetensors(&path, &twice, &BTreeMap::new(), false).unwrap_err().to_string();
    assert!(error.contains("two tensors `t0`"), "{error}");
    let short = [HostTensor { shape: vec![21], ..tensors(1.0).remove(0) }];
    let error = write_safetensors(&path, &short, &BTreeMap::new(), false).unwrap_err().to_string();
    assert!(error.contains("tensor `t0`: 80 bytes are not its shape [21]"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_safetensors_crate_reads_what_is_written_and_each_tensor_is_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mask =
        HostTensor { name: "a".into(), dtype: crate::core::tensor::DType::Bool, shape: vec![3], data: vec![1, 0, 1] };
    let all = [vec![mask], tensors(1.0)].concat();
    write_safetensors(&path, &all, &BTreeMap::from([("k".into(), "v".into())]), false).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (size, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["k"], "v");
    assert_eq!(size % 8, 0);
    for t in &all {
        let info = metadata.info(&t.name).unwrap();
        assert_eq!(info.data_offsets.0 % t.dtype.size(), 0);
        assert_eq!(bytes[8 + size + info.data_offsets.0..8 + size + info.data_offsets.1], t.data);
    }
}
