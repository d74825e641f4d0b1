//! TorchScript models that Python's PyTorch made are the same here, and those that are written here are the same there.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/python.rs"]
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use frostline::core::freeze::Plan;
use frostline::core::recipe::{OnNan, OptimizerKind, Recipe};
use frostline::core::tensor::{DType, HostTensor};
use frostline::core::weights;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, EngineError, InputSpec, Learner, StepInput, Targets};

type Tensors = BTreeMap<String, HostTensor>;

/// A model that Python made.
struct Made {
    name: String,
    file: PathBuf,
    facts: serde_json::Value,
    twin: Tensors,
}

fn tensors(file: &Path) -> Tensors {
    let all = weights::read(file, None).unwrap().into_tensors().unwrap();
    all.into_iter().map(|t| (t.name.clone(), t)).collect()
}

fn made(python: &Path, folder: &Path) -> Vec<Made> {
    let said = python::run_script(python, "script_reference.py", &["make", folder.to_str().unwrap()]);
    let one = |line: &str| {
        let facts: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = facts["name"].as_str().unwrap().to_owned();
        let at = |ending: &str| folder.join(format!("{name}.{ending}"));
        Made { file: at("pt"), twin: tensors(&at("safetensors")), name, facts }
    };
    said.lines().map(one).collect()
}

impl Made {
    fn values(&self, name: &str) -> Vec<f32> {
        self.twin[name].to_f32().unwrap()
    }

    fn input(&self) -> InputSpec {
        let outputs = self.twin["logits"].shape[1];
        InputSpec { sample_shape: self.twin["x"].shape[1..].to_vec(), outputs }
    }

    fn recipe(&self) -> Recipe {
        let mut r = Recipe::default();
        r.model.arch = format!("torchscript:{}", self.file.display());
        r.optimizer.kind = OptimizerKind::Sgd;
        r.optimizer.lr = self.facts["lr"].as_f64().unwrap();
        r.train.threads = 1;
        r
    }

    fn learner(&self) -> Box<dyn Learner> {
        TorchEngine.learner(&self.recipe(), &self.input(), "cpu").unwrap()
    }

    fn batch(&self) -> Batch {
        let y = &self.twin["y"];
        assert_eq!(y.dtype, DType::Int64);
        let y = y.data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
        let x_shape = self.twin["x"].shape.clone();
        Batch { x: self.values("x"), indices: (0..x_shape[0] as u64).collect(), x_shape, y: Targets::Classes(y) }
    }

    fn logits(&self, l: &mut dyn Learner) -> Vec<f32> {
        l.predict(&self.values("x"), &self.twin["x"].shape).unwrap().to_f32().unwrap()
    }
}

fn step(l: &mut dyn Learner, step: u64, batch: Batch) -> f64 {
    let micro = [batch];
    let how = StepInput { step, seed: 7, micro: &micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop };
    l.step(&how).unwrap();
    l.drain(true).unwrap().pop().unwrap().loss
}

/// The largest distance over the largest value.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    far / expected.iter().map(|b| b.abs()).fold(1e-12, f32::max)
}

fn named(list: &serde_json::Value) -> Vec<(String, Vec<usize>)> {
    serde_json::from_value(list.clone()).unwrap()
}

#[test]
fn what_python_scripts_and_traces_is_the_same_model_here() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut seen = BTreeSet::new();
    for m in made(&python, folder.path()) {
        let mut l = m.learner();
        // The whole tree: names, kinds and shapes in Python's order.
        let tree = l.tree();
        let modules: Vec<(String, String)> = serde_json::from_value(m.facts["modules"].clone()).unwrap();
        assert_eq!(
            tree.modules.iter().map(|i| (i.path.clone(), i.kind.clone())).collect::<Vec<_>>(),
            modules,
            "{}",
            m.name
        );
        for (here, there) in [(&tree.parameters, "parameters"), (&tree.buffers, "buffers")] {
            let here: Vec<(String, Vec<usize>)> = here.iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
            assert_eq!(here, named(&m.facts[there]), "{}: {there}", m.name);
        }
        for (name, tensor) in l.snapshot().unwrap().weights.into_iter().map(|t| (t.name.clone(), t)) {
            assert!(tensor.data == m.twin[&format!("before.{name}")].data, "{}: {name} has other bytes", m.name);
        }
        let warnings = l.warnings();
        let far = distance(&m.logits(&mut *l), &m.values("logits"));
        match m.name.as_str() {
            "traced_train" => {
                assert!(warnings.iter().any(|w| w.contains("`1`: train mode was baked in")), "{warnings:?}");
                assert!(warnings.iter().any(|w| w.contains("`2`: train mode was baked in")), "{warnings:?}");
            }
            "traced_eval" => {
                assert!(far <= 1e-5, "{}: {far}", m.name);
                assert!(warnings.iter().any(|w| w.contains("`1`: eval mode was baked in")), "{warnings:?}");
                assert!(warnings.iter().any(|w| w.contains("`2`: eval mode was baked in")), "{warnings:?}");
            }
            _ => {
                assert!(far <= 1e-5, "{}: {far}", m.name);
                assert_eq!(warnings, Vec::<String>::new(), "{}", m.name);
            }
        }
        eprintln!("{}: logits {far} away", m.name);
        seen.insert(m.name);
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn a_step_in_train_mode_changes_a_script_as_it_does_in_python() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for m in made(&python, folder.path()) {
        if !["own", "resnet", "traced"].contains(&m.name.as_str()) {
            continue;
        }
        let mut l = m.learner();
        let loss = step(&mut *l, 0, m.batch());
        let expected = m.facts["loss"].as_f64().unwrap();
        assert!((loss - expected).abs() <= 1e-5 * expected, "{}: loss {loss} and {expected}", m.name);
        let mut farthest = 0.0f32;
        for tensor in l.snapshot().unwrap().weights {
            let there = &m.twin[&format!("after.{}", tensor.name)];
            match tensor.to_f32() {
                Some(values) => {
                    let far = distance(&values, &there.to_f32().unwrap());
                    assert!(far <= 1e-4, "{}: {} is {far} away", m.name, tensor.name);
                    farthest = farthest.max(far);
                }
                None => assert!(tensor.data == there.data, "{}: {}", m.name, tensor.name),
            }
        }
        eprintln!("{}: {farthest} away after a step", m.name);
    }
}

#[test]
fn buffers_that_a_trace_changes_in_every_forward_change_in_training_alone_and_not_where_they_are_frozen() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = made(&python, folder.path());
    let m = all.iter().find(|m| m.name == "traced_train").unwrap();
    let mut l = m.learner();
    let buffers = |l: &mut dyn Learner| -> Vec<Vec<u8>> {
        let weights = l.snapshot().unwrap().weights;
        weights.into_iter().filter(|t| t.name.starts_with("1.")).map(|t| t.data).collect()
    };
    let at_first = buffers(&mut *l);
    m.logits(&mut *l);
    l.evaluate(&m.batch()).unwrap();
    l.probe(&m.batch()).unwrap();
    assert!(buffers(&mut *l) == at_first);
    let plan = Plan::parse(&["freeze 1".to_owned()]).unwrap().resolve(l.tree()).unwrap();
    l.apply_freeze(&plan).unwrap();
    step(&mut *l, 0, m.batch());
    assert!(buffers(&mut *l) == at_first, "frozen");
    let plan = Plan::parse(&["train **".to_owned()]).unwrap().resolve(l.tree()).unwrap();
    l.apply_freeze(&plan).unwrap();
    step(&mut *l, 1, m.batch());
    assert!(buffers(&mut *l).iter().zip(&at_first).all(|(now, then)| now != then), "training");
}

/// Exports a learner's model, and lets Python judge it: names, values, logits, train and eval mode.
fn python_takes(
    python: &Path,
    folder: &Path,
    r: &Recipe,
    input: &InputSpec,
    l: &mut dyn Learner,
    batch: &Batch,
) -> serde_json::Value {
    let state = l.snapshot().unwrap().weights;
    let (file, twin) = (folder.join("written.pt"), folder.join("written.safetensors"));
    TorchEngine.export_script(r, input, &state, &mut std::fs::File::create(&file).unwrap()).unwrap();
    let mut expected = vec![HostTensor::from_f32("x", &batch.x_shape, &batch.x)];
    expected.push(HostTensor { name: "logits".to_owned(), ..l.predict(&batch.x, &batch.x_shape).unwrap() });
    expected.extend(state.into_iter().map(|t| HostTensor { name: format!("state.{}", t.name), ..t }));
    weights::write_safetensors(&twin, &expected, &BTreeMap::new(), true).unwrap();
    let said =
        python::run_script(python, "script_reference.py", &["check", file.to_str().unwrap(), twin.to_str().unwrap()]);
    eprintln!("{}: {}", r.model.arch, said.trim());
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_script_that_was_trained_here_goes_back_to_python() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for m in made(&python, folder.path()) {
        // A trace whose mode is baked in obeys nobody.
        if m.name.starts_with("traced_") {
            continue;
        }
        let mut l = m.learner();
        (0..3).for_each(|k| {
            step(&mut *l, k, m.batch());
        });
        let said = python_takes(&python, folder.path(), &m.recipe(), &m.input(), &mut *l, &m.batch());
        assert_eq!(said["dropout"], m.name == "own_dropout", "{}", m.name);
    }
}

fn zoo_recipe(arch: &str) -> Recipe {
    let mut r = Recipe::default();
    r.model.arch = arch.to_owned();
    r.model.hidden = vec![16];
    r.model.width = 4;
    r.model.dropout = if arch == "mlp" { Some(0.2) } else { None };
    r.optimizer.kind = OptimizerKind::Sgd;
    r.optimizer.lr = 0.02;
    r.train.threads = 1;
    r
}

fn zoo_batch(input: &InputSpec) -> Batch {
    let each: usize = input.sample_shape.iter().product();
    let x = (0..4 * each).map(|i| ((i as f32) * 0.37).sin()).collect();
    let x_shape = [4].into_iter().chain(input.sample_shape.iter().copied()).collect();
    Batch { x, x_shape, y: Targets::Classes(vec![0, 1, 2, 3]), indices: (0..4).collect() }
}

#[test]
fn models_of_the_zoo_go_to_python_as_scripts() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = std::env::var("FROSTLINE_ZOO").is_ok_and(|v| v == "all");
    for arch in TorchEngine.architectures() {
        if !all && !["mlp", "resnet8", "resnet18"].contains(&arch.as_str()) {
            continue;
        }
        let sample_shape = TorchEngine.input_channels(&arch).map_or_else(|| vec![1, 8, 8], |c| vec![c, 64, 64]);
        let (r, input) = (zoo_recipe(&arch), InputSpec { sample_shape, outputs: 5 });
        let mut l = TorchEngine.learner(&r, &input, "cpu").unwrap();
        let batch = zoo_batch(&input);
        step(&mut *l, 0, batch.clone());
        let said = python_takes(&python, folder.path(), &r, &input, &mut *l, &batch);
        assert!(all || said["dropout"] == (arch == "mlp"), "{arch}");
    }
}

#[test]
fn state_dicts_load_strictly_into_torchvision_and_give_the_same_logits() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (r, input) = (zoo_recipe("resnet18"), InputSpec { sample_shape: vec![3, 64, 64], outputs: 5 });
    let mut l = TorchEngine.learner(&r, &input, "cpu").unwrap();
    let batch = zoo_batch(&input);
    (0..2).for_each(|k| {
        step(&mut *l, k, batch.clone());
    });
    let state = l.snapshot().unwrap().weights;
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    weights::write_pth(Path::new(&at("r.pth")), &state, false).unwrap();
    weights::write_safetensors(Path::new(&at("r.safetensors")), &state, &BTreeMap::new(), false).unwrap();
    let logits = HostTensor { name: "logits".to_owned(), ..l.predict(&batch.x, &batch.x_shape).unwrap() };
    let twin = [HostTensor::from_f32("x", &batch.x_shape, &batch.x), logits];
    weights::write_safetensors(Path::new(&at("twin.safetensors")), &twin, &BTreeMap::new(), false).unwrap();
    for file in ["r.pth", "r.safetensors"] {
        let args = ["strict", "resnet18", &at(file), &at("twin.safetensors")];
        let said = python::run_script(&python, "script_reference.py", &args);
        eprintln!("{file}: {}", said.trim());
    }
}

#[test]
fn what_a_script_does_not_offer_is_refused_in_words() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    python::run_script(&python, "script_reference.py", &["odd", folder.path().to_str().unwrap()]);
    let arch = |name: &str| format!("torchscript:{}", folder.path().join(name).display());
    let input = InputSpec { sample_shape: vec![3, 8, 8], outputs: 10 };
    let load = |name: &str| {
        let mut r = Recipe::default();
        r.model.arch = arch(name);
        TorchEngine.learner(&r, &input, "cpu")
    };
    for (name, words) in [
        ("pair.pt", "gives Tuple[Tensor, Tensor], not one tensor"),
        ("half.pt", "its parameter `conv.weight` is float16 and the data is float32: call model.float()"),
        ("optimized.pt", "optimize_for_inference"),
        ("quantized.pt", "save the model before it is quantized"),
        ("state.pt", "weights without code"),
    ] {
        match load(name).map(|_| ()) {
            Err(EngineError::Refused(said)) => assert!(said.contains(words) && !said.contains('\n'), "{name}: {said}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // A one-channel image can be repeated for it.
    assert_eq!(TorchEngine.input_channels(&arch("taking.pt")), Some(3));
    assert_eq!(TorchEngine.input_channels(&arch("gone.pt")), None);
    // A layer that is not called cannot stop gradients; the plan before stays.
    let mut l = load("taking.pt").unwrap();
    let plan = |rule: &str, l: &dyn Learner| Plan::parse(&[rule.to_owned()]).unwrap().resolve(l.tree()).unwrap();
    let no_grad = plan("no_grad fc", &*l);
    let said = l.apply_freeze(&no_grad).unwrap_err().to_string();
    assert!(said.contains("no_grad `fc`") && said.contains("use `freeze fc`"), "{said}");
    for rule in ["no_grad inner", "freeze fc"] {
        let plan = plan(rule, &*l);
        l.apply_freeze(&plan).unwrap();
    }
}
