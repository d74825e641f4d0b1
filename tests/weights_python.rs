//! Files that Python's PyTorch writes are read bit for bit, and what is written here Python reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/python.rs"]
mod python;

use std::collections::BTreeMap;
use std::path::Path;

use frostline::core::tensor::HostTensor;
use frostline::core::weights;

fn sorted(mut tensors: Vec<HostTensor>) -> BTreeMap<String, HostTensor> {
    tensors.drain(..).map(|t| (t.name.clone(), t)).collect()
}

fn same(found: &BTreeMap<String, HostTensor>, expected: &BTreeMap<String, HostTensor>, what: &str) {
    let names: Vec<&String> = found.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, tensor) in expected {
        let other = &found[name];
        assert_eq!((other.dtype, &other.shape), (tensor.dtype, &tensor.shape), "{what}: {name}");
        assert!(other.data == tensor.data, "{what}: {name} has other bytes");
    }
}

#[test]
fn what_python_writes_is_read_bit_for_bit() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let said = python::run_script(&python, "weights_reference.py", &["write", folder.path().to_str().unwrap()]);
    let mut files = 0;
    for line in said.lines() {
        let fact: serde_json::Value = serde_json::from_str(line).unwrap();
        let (file, key) = (fact["file"].as_str().unwrap(), fact["key"].as_str());
        let twin = sorted(weights::read(&at(fact["twin"].as_str().unwrap()), None).unwrap().into_tensors().unwrap());
        let state = weights::read(&at(file), key).unwrap_or_else(|e| panic!("{file} {key:?}: {e}"));
        let listing = weights::inspect_key(&at(file), key).unwrap();
        assert_eq!(listing, state.listing, "{file}");
        assert_eq!(listing.tensors.len(), twin.len(), "{file}: {:?}", listing.tensors);
        same(&sorted(state.into_tensors().unwrap()), &twin, file);
        files += 1;
    }
    assert_eq!(files, 45);
    // Foreign classes are named and not run, numbers at the top are shown.
    let timm = weights::inspect(&at("timm.pth")).unwrap();
    assert_eq!(timm.key.as_deref(), Some("state_dict"));
    assert!(timm.placeholders.iter().any(|p| p == "argparse.Namespace"), "{:?}", timm.placeholders);
    assert!(timm.candidates.iter().any(|c| c == "state_dict_ema"), "{:?}", timm.candidates);
    assert_eq!(timm.other["epoch"], 3);
}

#[test]
fn what_is_written_python_reads_weights_only() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    python::run_script(&python, "weights_reference.py", &["write", folder.path().to_str().unwrap()]);
    for source in ["dtypes.pth", "state.pth", "views.pth"] {
        let tensors = weights::read(&at(source), None).unwrap().into_tensors().unwrap();
        let (file, twin) = (at("written.pth"), at("written.safetensors"));
        weights::write_pth(&file, &tensors, true).unwrap();
        weights::write_safetensors(&twin, &tensors, &BTreeMap::new(), true).unwrap();
        let args = ["check", file.to_str().unwrap(), twin.to_str().unwrap()];
        assert_eq!(python::run_script(&python, "weights_reference.py", &args).trim(), format!("ok {}", tensors.len()));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    let tensors: Vec<HostTensor> =
        (0..40).map(|i| HostTensor::from_f32(format!("layer{i}.weight"), &[i, 3], &vec![i as f32; 3 * i])).collect();
    weights::write_pth(&path, &tensors, false).unwrap();
    let read = weights::read(&path, None).unwrap();
    assert_eq!(read.listing.format, "torch.save");
    assert_eq!(read.into_tensors().unwrap(), tensors);
    assert!(weights::write_pth(&path, &tensors, false).unwrap_err().to_string().contains("--force"));
    assert_eq!(weights::write_pth(&path, &tensors[..1], true).map_err(|e| e.to_string()), Ok(()));
    assert_eq!(weights::read(&path, None).unwrap().tensors.len(), 1);
    assert_eq!(std::fs::read_dir(Path::new(folder.path())).unwrap().count(), 1, "nothing stays beside it");
}
