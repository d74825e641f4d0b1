//! Pretrained weights reach the model in the same bits and with the same report whichever way they come: mapped from safetensors, mapped from its
//! shards, read from a `.pth`; into libtorch's model and into the fake one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use frostline::core::recipe::Recipe;
use frostline::core::run::RunHome;
use frostline::core::tensor::{DType, HostTensor};
use frostline::core::weights::{LoadReport, cast, write_pth, write_safetensors};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::engine::train::{TrainError, model, weighted};

fn engines() -> Vec<Box<dyn Engine>> {
    vec![
        Box::new(FakeEngine::new(0)),
        #[cfg(feature = "torch")]
        Box::new(frostline::engine::torch::TorchEngine),
    ]
}

fn recipe(sets: &[String]) -> Recipe {
    let text =
        "[model]\narch = 'resnet8'\nwidth = 4\n[data]\nsource = 'digits'\n[train]\nthreads = 1\ndevices = ['cpu']\n";
    Recipe::parse(text, "r.toml", Path::new("/"), sets).unwrap()
}

/// Values that no initialisation gives, by name.
fn filled(mut tensors: Vec<HostTensor>) -> Vec<HostTensor> {
    for (k, t) in tensors.iter_mut().enumerate() {
        let count = t.data.len() / t.dtype.size();
        if t.dtype == DType::Int64 {
            t.data = (0..count).flat_map(|i| ((1 << 40) + (k + i) as i64).to_le_bytes()).collect();
        } else {
            t.data = (0..count).flat_map(|i| ((k * 31 + i) as f32 * 0.617).sin().to_le_bytes()).collect();
        }
    }
    tensors
}

/// As a model's file is found in the wild: names under a prefix, some under another name, types of all sizes, extra tensors.
fn foreign(tensors: Vec<HostTensor>) -> Vec<HostTensor> {
    let types = [DType::Float32, DType::Float16, DType::Bfloat16, DType::Float64];
    let float = |t: &HostTensor| t.dtype == DType::Float32;
    let convert = |(i, t): (usize, HostTensor)| if float(&t) { cast(t, types[i % 4]).unwrap() } else { t };
    let mut tensors: Vec<HostTensor> = tensors.into_iter().enumerate().map(convert).collect();
    for t in &mut tensors {
        t.name = format!("module.{}", t.name.replace("layer1", "stage1"));
    }
    tensors.push(HostTensor { name: "ema.empty".into(), dtype: DType::Int16, shape: vec![0, 3], data: vec![] });
    tensors.push(HostTensor { name: "ema.odd".into(), dtype: DType::Bool, shape: vec![3], data: vec![1, 0, 1] });
    tensors
}

/// Both halves in files of their own, beside an index.
fn write_shards(folder: &Path, tensors: &[HostTensor]) {
    let mut map = serde_json::Map::new();
    for (i, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let name = format!("m-{i}.safetensors");
        write_safetensors(&folder.join(&name), part, &BTreeMap::new(), true).unwrap();
        map.extend(part.iter().map(|t| (t.name.clone(), name.clone().into())));
    }
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(folder.join("m.safetensors.index.json"), index.to_string()).unwrap();
}

type Loaded = Result<(LoadReport, Vec<HostTensor>), String>;

fn load(engine: &dyn Engine, folder: &Path, file: &str, sets: &[&str]) -> Loaded {
    let home = RunHome::open(folder.join("home"));
    let path = folder.join(file);
    let sets: Vec<String> =
        [format!("model.weights={}", path.display())].into_iter().chain(sets.iter().map(|s| (*s).to_owned())).collect();
    let words = |e: TrainError| e.to_string().replace(path.to_str().unwrap(), "FILE");
    let mut built = weighted(engine, &home, &recipe(&sets)).map_err(words)?;
    Ok((built.loaded.unwrap(), built.learner.snapshot().unwrap().weights))
}

#[test]
fn mapped_and_read_weights_give_the_same_bits_and_the_same_report() {
    for engine in engines() {
        let engine = &*engine;
        let folder = tempfile::tempdir().unwrap();
        let f = folder.path();
        let fresh = model(engine, &recipe(&[])).unwrap().learner.snapshot().unwrap().weights;
        let tensors = foreign(filled(fresh));
        write_safetensors(&f.join("m.safetensors"), &tensors, &BTreeMap::new(), false).unwrap();
        write_pth(&f.join("m.pth"), &tensors, false).unwrap();
        write_shards(f, &tensors);
        let mapping = ["model.load.strip_prefix=module.", "model.load.rename=[['stage1', 'layer1']]"];
        let drop = "model.load.drop=['ema']";
        let cases: [&[&str]; 8] = [
            &[drop],
            &["model.load.head=new", drop],
            &["model.load.strict=false"],
            &["model.load.strict=false", "model.load.drop=['ema', '**.conv2']"],
            &["model.load.strict=false", "data.classes=[0, 1, 2]"],
            &["model.load.head=new", drop, "data.classes=[0, 1, 2]"],
            // Refused: the extra tensors; another head.
            &[],
            &[drop, "data.classes=[0, 1, 2]"],
        ];
        for (i, case) in cases.into_iter().enumerate() {
            let sets = [&mapping[..], case].concat();
            let [read, mapped, shards] =
                ["m.pth", "m.safetensors", "m.safetensors.index.json"].map(|file| load(engine, f, file, &sets));
            assert_eq!(read.is_err(), i >= 6, "{case:?}: {:?}", read.as_ref().err());
            assert_eq!(in_order(mapped), in_order(read.clone()), "{case:?}");
            assert_eq!(in_order(shards), in_order(read), "{case:?}");
        }
        let (report, _) = load(engine, f, "m.safetensors", &[&mapping[..], &[drop]].concat()).unwrap();
        assert!(report.is_strict() && report.cast.len() > 5, "{report:?}");
        assert_eq!(report.dropped.len(), 2);
    }
}

/// What is dropped is told in the order of the file, and the formats order their tensors differently.
fn in_order(loaded: Loaded) -> Loaded {
    loaded.map(|(mut report, weights)| {
        report.dropped.sort_unstable();
        (report, weights)
    })
}

#[test]
fn a_model_loads_what_it_saved_bit_for_bit() {
    for engine in engines() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = model(&*engine, &recipe(&[])).unwrap().learner.snapshot().unwrap().weights;
        let tensors = filled(fresh);
        write_safetensors(&folder.path().join("m.safetensors"), &tensors, &BTreeMap::new(), false).unwrap();
        let (report, weights) = load(&*engine, folder.path(), "m.safetensors", &[]).unwrap();
        assert_eq!((weights, report.cast.len()), (tensors, 0));
    }
}

/// Their features were trained to the head that the same seed drew before.
#[test]
fn a_new_head_follows_from_the_seed_and_from_what_is_loaded() {
    for engine in engines() {
        let engine = &*engine;
        let folder = tempfile::tempdir().unwrap();
        let f = folder.path();
        let parent = model(engine, &recipe(&[])).unwrap().learner.snapshot().unwrap().weights;
        let mut other = parent.clone();
        let changed = other[0].data.len() - 1;
        other[0].data[changed] ^= 1;
        for (name, tensors) in [("parent", &parent), ("copy", &parent), ("other", &other)] {
            write_safetensors(&f.join(format!("{name}.safetensors")), tensors, &BTreeMap::new(), false).unwrap();
        }
        let head = |file: &str, seed: &str| {
            let (report, weights) = load(engine, f, file, &["model.load.head=new", seed]).unwrap();
            let is_head = |t: &HostTensor| report.new_head.contains(&t.name) && t.data.len() > 40;
            let head: Vec<HostTensor> = weights.into_iter().filter(is_head).collect();
            assert!(!head.is_empty());
            head
        };
        let fresh =
            |of: &[HostTensor]| of.iter().map(|t| parent.iter().find(|p| p.name == t.name).unwrap().clone()).collect();
        let new = head("parent.safetensors", "train.seed=0");
        let before: Vec<HostTensor> = fresh(&new);
        for (new, before) in new.iter().zip(&before) {
            let (mut a, mut b) = (new.to_f32().unwrap(), before.to_f32().unwrap());
            let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
            assert!(same * 4 < a.len(), "{}: {same} of {} stayed", new.name, a.len());
            a.sort_by(f32::total_cmp);
            b.sort_by(f32::total_cmp);
            assert_eq!(a, b, "{}: drawn otherwise than a fresh head", new.name);
        }
        assert_eq!(new, head("copy.safetensors", "train.seed=0"));
        assert_ne!(new, head("other.safetensors", "train.seed=0"));
        assert_ne!(new, head("parent.safetensors", "train.seed=1"));
    }
}
