//! Files, good and hostile; mapping in `load_state_dict`'s terms; what is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::core::recipe::{Head, LoadSpec};
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::Tree;
use crate::core::tree::samples::small_resnet;

fn tensor(name: &str, shape: &[usize]) -> HostTensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 + name.len() as f32).collect();
    HostTensor::from_f32(name, shape, &values)
}

/// A file with this header and so many bytes of data.
fn raw(folder: &Path, header: &str, data: usize) -> PathBuf {
    raw_bytes(folder, header.len() as u64, header.as_bytes(), data)
}

fn raw_bytes(folder: &Path, length: u64, header: &[u8], data: usize) -> PathBuf {
    let path = folder.join("x.safetensors");
    let bytes = [&length.to_le_bytes(), header, &vec![0; data][..]].concat();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn refused(path: &Path) -> String {
    let listed = inspect(path).unwrap_err().to_string();
    assert_eq!(listed, read(path, None).unwrap_err().to_string());
    assert!(!listed.contains('\n') && listed.starts_with(path.to_str().unwrap()), "{listed}");
    listed
}

#[test]
fn what_is_written_is_listed_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let counter =
        HostTensor { name: "n".into(), dtype: DType::Int64, shape: vec![], data: 7i64.to_le_bytes().to_vec() };
    let tensors = vec![tensor("fc.weight", &[2, 3]), counter, tensor("empty", &[0, 4])];
    write_safetensors(&path, &tensors, &BTreeMap::from([("model".into(), "mlp".into())]), false).unwrap();

    let listing = inspect(&path).unwrap();
    assert_eq!(listing.metadata, BTreeMap::from([("format".into(), "pt".into()), ("model".into(), "mlp".into())]));
    let fc = listing.tensors.iter().find(|t| t.name == "fc.weight").unwrap();
    assert_eq!((fc.shape.as_slice(), fc.dtype, fc.bytes), (&[2, 3][..], "float32", 24));
    let mut back = read_safetensors(&path).unwrap();
    back.sort_by_key(|t| tensors.iter().position(|o| o.name == t.name));
    assert_eq!(back, tensors);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn an_existing_file_is_replaced_with_force_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, "mine").unwrap();
    let tensors = [tensor("a", &[1])];
    let error = write_safetensors(&path, &tensors, &BTreeMap::new(), false).unwrap_err();
    assert!(matches!(error, WeightsError::Exists { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    write_safetensors(&path, &tensors, &BTreeMap::new(), true).unwrap();
    assert_eq!(read_safetensors(&path).unwrap(), tensors);
    let missing = folder.path().join("no/such/folder.safetensors");
    assert!(
        write_safetensors(&missing, &tensors, &BTreeMap::new(), false)
            .unwrap_err()
            .to_string()
            .contains("folder.safetensors")
    );
}

#[test]
fn what_is_no_file_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path()).contains("is a folder"));
    assert!(refused(&folder.path().join("none")).contains("cannot read"));
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    assert!(refused(&pipe).contains("is a pipe"));
    let file = folder.path().join("f");
    for (bytes, words) in [
        (&b""[..], "0 bytes"),
        (b"abc", "too short"),
        (b"PK\x03\x04 and so on", "no zip directory"),
        (b"\x80\x02\x8a\x0al\xfc\x9c\x46 pickle", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        assert!(refused(&file).contains(words), "{}", refused(&file));
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    let one = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    assert!(refused(&raw_bytes(f, 1 << 40, b"{}", 0)).contains("claims 1099511627776 bytes"));
    assert!(refused(&raw_bytes(f, u64::MAX, b"{}", 0)).contains("claims"));
    assert!(refused(&raw(f, "{", 0)).contains("does not parse"));
    assert!(refused(&raw(f, "[1]", 0)).contains("does not parse"));
    assert!(refused(&raw_bytes(f, 3, b"{\xff}", 0)).contains("does not parse"));
    assert!(refused(&raw(f, &one("[2]", 0, 8), 7)).contains("cut off"));
    assert!(refused(&raw(f, &one("[2]", 0, 8), 9)).contains("no tensor owns"));
    assert!(refused(&raw(f, &one("[3]", 0, 8), 8)).contains("do not agree"));
    assert!(refused(&raw(f, &one("[2]", 4, 12), 12)).contains("leaves a gap"));
    assert!(refused(&raw(f, &one("[2]", 8, 0), 8)).contains("damaged"));
    assert!(refused(&raw(f, &one("[4294967296, 4294967296, 4]", 0, 8), 8)).contains("larger than any memory"));
    assert!(refused(&raw(f, &one("[18446744073709551616]", 0, 8), 8)).contains("does not parse"));
    assert!(refused(&raw(f, &one(&format!("[{}1]", "1,".repeat(64)), 0, 4), 4)).contains("more than 64 dimensions"));
    let overlap =
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    assert!(refused(&raw(f, overlap, 6)).contains("tensor `b` overlaps"));
    let twice =
        r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#;
    assert!(refused(&raw(f, twice, 4)).contains("tensor `a` is listed twice"));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    write_safetensors(&path, &[tensor("a.weight", &[3]), tensor("a.bias", &[2])], &BTreeMap::new(), false).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        refused(&path);
    }
}

#[test]
fn foreign_text_stays_on_the_messages_line() {
    let folder = tempfile::tempdir().unwrap();
    let wild = r#"{"a\nb":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    assert!(refused(&raw(folder.path(), wild, 3)).contains("tensor `a?b`"));
    let wild = r#"{"a":{"dtype":"\u001b[2J\nU8","shape":[2],"data_offsets":[0,2]}}"#;
    assert!(!refused(&raw(folder.path(), wild, 2)).contains('\u{1b}'));
}

proptest::proptest! {
    #[test]
    fn a_file_with_any_bytes_changed_is_read_or_refused(
        changes in proptest::collection::vec((0usize..240, proptest::prelude::any::<u8>()), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let header = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"I64","shape":[2,1],"data_offsets":[12,28]}}"#;
        let mut bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 28]].concat();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        std::fs::write(&path, &bytes).unwrap();
        match (inspect(&path), read_safetensors(&path)) {
            (Ok(listing), Ok(tensors)) => {
                let size: usize = tensors.iter().map(|t| t.data.len()).sum();
                proptest::prop_assert!(listing.tensors.len() == tensors.len() && size < bytes.len());
            }
            (_, Err(e)) => proptest::prop_assert!(!e.to_string().contains('\n')),
            (Err(e), Ok(_)) => proptest::prop_assert!(false, "read, but not listed: {}", e),
        }
    }
}

#[test]
fn types_that_models_do_not_use_are_listed_but_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = raw(folder.path(), r#"{"q":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}"#, 4);
    assert_eq!(inspect(&path).unwrap().tensors[0].dtype, "float8_e4m3fn");
    assert!(read_safetensors(&path).unwrap_err().to_string().contains("tensor `q` has type float8_e4m3fn"));
}

/// A whole state dict for the small ResNet, under another prefix.
fn state_dict(tree: &Tree, prefix: &str) -> Vec<HostTensor> {
    tree.parameters.iter().chain(&tree.buffers).map(|p| tensor(&format!("{prefix}{}", p.name), &p.shape)).collect()
}

fn mapped(tensors: Vec<HostTensor>, load: &LoadSpec) -> Result<(Vec<HostTensor>, LoadReport), WeightsError> {
    map_onto(&small_resnet(), tensors, load, "fc")
}

fn problems(tensors: Vec<HostTensor>, load: &LoadSpec) -> String {
    let text = mapped(tensors, load).unwrap_err().to_string();
    assert!(!text.contains('\n'));
    text
}

#[test]
fn a_state_dict_of_the_model_loads_whole_in_its_order() {
    let tree = small_resnet();
    let mut tensors = state_dict(&tree, "");
    tensors.reverse();
    let (loaded, report) = mapped(tensors, &LoadSpec::default()).unwrap();
    assert!(report.is_strict() && report.cast.is_empty());
    let names: Vec<_> = tree.parameters.iter().chain(&tree.buffers).map(|p| &p.name).collect();
    assert_eq!(loaded.iter().map(|t| &t.name).collect::<Vec<_>>(), names);
    assert_eq!(report.summary(), format!("{} tensors loaded", names.len()));
}

#[test]
fn a_foreign_prefix_is_named_and_stripped() {
    let tree = small_resnet();
    let text = problems(state_dict(&tree, "module."), &LoadSpec::default());
    assert!(text.contains("no tensor matches"), "{text}");
    assert!(text.contains("all names begin with `module.`: set model.load.strip_prefix = \"module.\""), "{text}");
    let text = problems(state_dict(&tree, "state_dict.model."), &LoadSpec::default());
    assert!(text.contains("\"state_dict.model.\""), "{text}");
    for prefix in ["module.", "module"] {
        let load = LoadSpec { strip_prefix: Some(prefix.into()), ..LoadSpec::default() };
        assert!(mapped(state_dict(&tree, "module."), &load).unwrap().1.is_strict());
    }
}

#[test]
fn what_is_proposed_to_be_dropped_has_the_files_names_and_nothing_else_goes_with_it() {
    let tree = small_resnet();
    let mut file = state_dict(&tree, "module.");
    file.extend(["module.ema.decay", "module.ema.steps", "module.step", "module.fc.scale"].map(|n| tensor(n, &[1])));
    let mut load = LoadSpec { strip_prefix: Some("module.".into()), ..LoadSpec::default() };
    let text = problems(file.clone(), &load);
    let drop = ["module.ema", "module.fc.scale", "module.step"].map(str::to_owned);
    assert!(text.contains(&format!("model.load.drop = {drop:?}")), "{text}");
    load.drop = drop.into();
    let (tensors, report) = mapped(file, &load).unwrap();
    assert!(report.is_strict());
    assert_eq!(tensors.len(), tree.parameters.len() + tree.buffers.len());
}

#[test]
fn what_is_proposed_loads_the_whole_file() {
    let tree = small_resnet();
    for prefix in ["module.", "model.", "backbone.", "net.", "module.model.", "encoder.base.backbone."] {
        let file = state_dict(&tree, prefix);
        let text = problems(file.clone(), &LoadSpec::default());
        let said = text.split("model.load.strip_prefix = \"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(said, Some(prefix), "{text}");
        let load = LoadSpec { strip_prefix: said.map(str::to_owned), ..LoadSpec::default() };
        assert!(mapped(file, &load).unwrap().1.is_strict(), "{prefix}");
    }
    // A backbone with another head beside it: most names begin with the prefix, and the rest is named.
    let mut file = state_dict(&tree, "backbone.");
    file.retain(|t| !t.name.starts_with("backbone.fc."));
    file.push(tensor("projector.0.weight", &[4, 4]));
    let text = problems(file.clone(), &LoadSpec::default());
    assert!(text.contains("names begin with `backbone.`: set model.load.strip_prefix = \"backbone.\""), "{text}");
    let load = LoadSpec {
        strip_prefix: Some("backbone.".into()),
        drop: vec!["projector".into()],
        head: Head::New,
        ..LoadSpec::default()
    };
    let (_, report) = mapped(file, &load).unwrap();
    assert_eq!((report.dropped.as_slice(), report.is_strict()), (&["projector.0.weight".to_owned()][..], true));
    // Nothing is proposed where no prefix helps.
    let text = problems(vec![tensor("a.b", &[1]), tensor("a.c", &[1])], &LoadSpec::default());
    assert!(!text.contains("strip_prefix ="), "{text}");
}

#[test]
fn counters_of_batch_norms_may_be_missing_and_are_taken_where_they_are() {
    let tree = small_resnet();
    let all = state_dict(&tree, "");
    let counters = |names: &[String]| names.iter().filter(|n| n.ends_with("num_batches_tracked")).count();
    let mut without = all.clone();
    without.retain(|t| !t.name.ends_with("num_batches_tracked"));
    let (_, report) = mapped(without, &LoadSpec::default()).unwrap();
    assert!(report.is_strict() && report.missing.is_empty() && report.hints.is_empty());
    assert_eq!((counters(&report.defaulted), counters(&report.matched)), (17, 0));
    let (loaded, report) = mapped(all.clone(), &LoadSpec::default()).unwrap();
    assert_eq!((report.defaulted.len(), counters(&report.matched)), (0, 17));
    let one =
        |tensors: &[HostTensor]| tensors.iter().find(|t| t.name.ends_with("num_batches_tracked")).unwrap().clone();
    assert_eq!(one(&loaded).data, one(&all).data);
}

#[test]
fn a_prefix_that_the_model_has_is_proposed_and_added() {
    let inner = state_dict(&small_resnet(), "");
    let outer = Tree::from_tensors([("net.conv1.weight", &[2usize, 3][..], DType::Float32)]);
    let file: Vec<_> = inner.into_iter().take(1).collect();
    let text = map_onto(&outer, file.clone(), &LoadSpec::default(), "").unwrap_err().to_string();
    assert!(text.contains("set model.load.rename = [[\"\", \"net\"]]"), "{text}");
    let load = LoadSpec { rename: vec![("".into(), "net".into())], ..LoadSpec::default() };
    assert_eq!(map_onto(&outer, file, &load, "").unwrap().0[0].name, "net.conv1.weight");
}

#[test]
fn a_head_of_another_size_needs_head_new() {
    let tree = small_resnet();
    let mut tensors = state_dict(&tree, "");
    for t in tensors.iter_mut().filter(|t| t.name.starts_with("fc.")) {
        *t = tensor(&t.name, &[5, 3]);
    }
    let text = problems(tensors.clone(), &LoadSpec::default());
    assert!(text.contains("2 mismatched (fc.weight: [5, 3] in the file, [2, 3] in the model"), "{text}");
    assert!(text.contains("set model.load.head = \"new\""), "{text}");

    let load = LoadSpec { head: Head::New, ..LoadSpec::default() };
    let (loaded, report) = mapped(tensors.clone(), &load).unwrap();
    assert_eq!(report.new_head, ["fc.weight", "fc.bias"]);
    assert!(report.is_strict() && !loaded.iter().any(|t| t.name.starts_with("fc.")));
    // A head in the file that the model does not have in this form, or none at all, is fine too.
    tensors.retain(|t| !t.name.starts_with("fc."));
    tensors.push(tensor("fc.0.weight", &[9]));
    assert!(mapped(tensors, &load).unwrap().1.unexpected.is_empty());
    assert!(matches!(map_onto(&tree, state_dict(&tree, ""), &load, ""), Err(WeightsError::NoHead)));
}

#[test]
fn less_than_strict_loads_what_fits_and_says_the_rest() {
    let tree = small_resnet();
    let mut tensors = state_dict(&tree, "");
    tensors.retain(|t| t.name != "conv1.weight" && !t.name.ends_with("num_batches_tracked"));
    tensors.push(tensor("extra.weight", &[1]));
    let bias = tensors.iter_mut().find(|t| t.name == "fc.bias").unwrap();
    *bias = tensor("fc.bias", &[1]);
    let text = problems(tensors.clone(), &LoadSpec::default());
    assert!(text.contains("1 missing (conv1.weight), 1 unexpected (extra.weight)"), "{text}");

    let (loaded, report) = mapped(tensors, &LoadSpec { strict: false, ..LoadSpec::default() }).unwrap();
    assert_eq!(report.missing, ["conv1.weight"]);
    assert_eq!(report.unexpected, ["extra.weight"]);
    assert_eq!(report.mismatched[0].name, "fc.bias");
    assert_eq!(report.defaulted.len(), 17, "num_batches_tracked may be missing");
    assert_eq!(loaded.len(), report.matched.len());
    assert!(report.summary().contains("1 missing (fresh), 1 unexpected (unused), 1 mismatched (fresh)"));

    let foreign = vec![tensor("a", &[1]), tensor("b", &[1])];
    let loose = LoadSpec { strict: false, ..LoadSpec::default() };
    // What is not strict already helps no further.
    let text = problems(foreign, &loose);
    assert!(text.contains("no tensor matches") && text.contains("another model's file"), "{text}");
    assert!(!text.contains("strict"), "{text}");
}

#[test]
fn drops_and_renames_speak_of_the_files_names() {
    let tree = small_resnet();
    let mut tensors = state_dict(&tree, "net.");
    for t in tensors.iter_mut().filter(|t| t.name.contains("bn")) {
        t.name = t.name.replace(".weight", ".gamma");
    }
    tensors.push(tensor("ema.decay", &[1]));
    let load = LoadSpec {
        strip_prefix: Some("net.".into()),
        drop: vec!["ema".into()],
        rename: vec![("**.gamma".into(), "**.weight".into())],
        ..LoadSpec::default()
    };
    let (_, report) = mapped(tensors, &load).unwrap();
    assert_eq!(report.dropped, ["ema.decay"]);

    let load = LoadSpec { rename: vec![("a".into(), "b".into())], ..LoadSpec::default() };
    let text = problems(vec![tensor("a", &[1]), tensor("b", &[1])], &load);
    assert!(text.contains("`b` both become `b`") || text.contains("`a` and `b` both become `b`"), "{text}");
}

#[test]
fn floats_are_cast_to_the_models_type_and_integers_are_not() {
    let tree = small_resnet();
    let mut tensors = state_dict(&tree, "");
    tensors[0] = cast(tensors[0].clone(), DType::Float16).unwrap();
    let (loaded, report) = mapped(tensors.clone(), &LoadSpec::default()).unwrap();
    assert_eq!(report.cast, [tree.parameters[0].name.clone()]);
    assert_eq!(report.summary(), format!("{} tensors loaded, 1 converted from float16", tensors.len()));
    assert_eq!(loaded[0].dtype, DType::Float32);
    tensors[0].dtype = DType::Int16;
    assert!(problems(tensors, &LoadSpec::default()).contains("conv1.weight: int16 in the file, float32 in the model"));
}

#[test]
fn casts_round_as_pytorch_does() {
    let floats = HostTensor::from_f32("x", &[5], &[1.0, 0.1, 65520.0, -1e-8, f32::NAN]);
    let bits = |t: &HostTensor| t.data.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>();
    // torch.tensor([...]).to(torch.float16).view(torch.uint16), the same for bfloat16.
    let half = cast(floats.clone(), DType::Float16).unwrap();
    assert_eq!(bits(&half)[..4], [0x3c00, 0x2e66, 0x7c00, 0x8000]);
    let brain = cast(floats.clone(), DType::Bfloat16).unwrap();
    assert_eq!(bits(&brain)[..4], [0x3f80, 0x3dcd, 0x4780, 0xb22c]);
    for t in [&half, &brain] {
        assert!(cast(t.clone(), DType::Float32).unwrap().to_f32().unwrap()[4].is_nan());
    }
    let wide = cast(floats.clone(), DType::Float64).unwrap();
    let back = cast(wide, DType::Float32).unwrap();
    assert_eq!(back.data, floats.data);
    assert!(cast(HostTensor { dtype: DType::Int32, ..floats }, DType::Float32).is_err());
}

#[test]
fn a_selection_filters_renames_and_converts() {
    let counter = HostTensor { name: "m.n".into(), dtype: DType::Int64, shape: vec![], data: vec![0; 8] };
    let all = vec![tensor("m.conv.weight", &[2]), tensor("m.fc.weight", &[2]), tensor("m.fc.bias", &[2]), counter];
    let names = |s: &Selection| -> Result<Vec<String>, String> {
        select(all.clone(), s).map(|t| t.into_iter().map(|t| t.name).collect()).map_err(|e| e.to_string())
    };
    let strings = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(select(all.clone(), &Selection::default()).unwrap(), all);
    let only =
        |only: &[&str], drop: &[&str]| Selection { only: strings(only), drop: strings(drop), ..Selection::default() };
    assert_eq!(names(&only(&["m.fc"], &["**.bias"])).unwrap(), ["m.fc.weight"]);
    assert!(names(&only(&["m.fcc"], &[])).unwrap_err().contains("--only `m.fcc` matches no tensor"));
    assert!(names(&only(&["m.fc"], &["m"])).unwrap_err().contains("no tensor is left"));
    let renamed = Selection {
        strip_prefix: Some("m.".into()),
        rename: vec![("fc".into(), "head".into())],
        dtype: Some(DType::Float16),
        ..Selection::default()
    };
    assert_eq!(names(&renamed).unwrap(), ["conv.weight", "head.weight", "head.bias", "n"]);
    let types: Vec<_> = select(all.clone(), &renamed).unwrap().iter().map(|t| t.dtype).collect();
    assert_eq!(types, [DType::Float16, DType::Float16, DType::Float16, DType::Int64]);
    let clash = Selection { rename: vec![("m.fc".into(), "m.conv".into())], ..Selection::default() };
    assert!(names(&clash).unwrap_err().contains("`m.conv.weight` and `m.fc.weight` both become `m.conv.weight`"));
}
