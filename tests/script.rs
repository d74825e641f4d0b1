//! TorchScript models: written from the zoo's layers, read back, trained beside the zoo's own.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use frostline::core::freeze::Plan;
use frostline::core::recipe::{ModelSpec, OnNan, OptimizerKind, Recipe};
use frostline::core::tensor::HostTensor;
use frostline::engine::torch::TorchEngine;
use frostline::engine::{Batch, Engine, EngineError, InputSpec, Learner, StepInput, Targets};
use support::exact::{Cut, resumes_exactly};
use support::{Place, differing};

const BATCH: usize = 4;

/// A small member of each family. (A VGG's layers are an AlexNet's and a ResNet's, and it takes a second; `FROSTLINE_ZOO=all`
/// has it.)
const SMALL: &[&str] = &[
    "mlp",
    "resnet8",
    "resnet20",
    "resnet18",
    "alexnet",
    "squeezenet1_1",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "convnext_tiny",
    "vit_b_32",
];

fn recipe(arch: &str) -> Recipe {
    let mut r = Recipe::default();
    r.model.arch = arch.to_owned();
    r.model.hidden = vec![16];
    r.model.width = 4;
    r.optimizer.kind = OptimizerKind::Sgd;
    r.optimizer.lr = 0.02;
    r.optimizer.momentum = 0.9;
    r.train.threads = 1;
    r
}

fn digits() -> InputSpec {
    InputSpec { sample_shape: vec![1, 8, 8], outputs: 10 }
}

/// What an architecture takes.
fn input(arch: &str) -> InputSpec {
    match (TorchEngine.input_channels(arch), arch) {
        (None, _) => digits(),
        (Some(channels), _) => InputSpec { sample_shape: vec![channels, 64, 64], outputs: 5 },
    }
}

fn batch(step: u64, input: &InputSpec) -> Batch {
    let each: usize = input.sample_shape.iter().product();
    let x = (0..BATCH * each).map(|i| ((i as f32) * 0.37 + step as f32).sin()).collect();
    let mut x_shape = vec![BATCH];
    x_shape.extend(&input.sample_shape);
    let y = Targets::Classes((0..BATCH).map(|i| (i + step as usize) as i64 % input.outputs as i64).collect());
    Batch { x, x_shape, y, indices: (0..BATCH as u64).collect() }
}

fn loss(l: &mut dyn Learner, step: u64, input: &InputSpec) -> f64 {
    let micro = [batch(step, input)];
    l.step(&StepInput { step, seed: 7, micro: &micro, lr_scale: 1.0, clip_grad_norm: None, on_nan: OnNan::Stop })
        .unwrap();
    l.drain(true).unwrap().pop().unwrap().loss
}

fn logits(l: &mut dyn Learner, input: &InputSpec) -> Vec<f32> {
    let b = batch(100, input);
    l.predict(&b.x, &b.x_shape).unwrap().to_f32().unwrap()
}

fn weights(l: &mut dyn Learner) -> Vec<HostTensor> {
    l.snapshot().unwrap().weights
}

fn export(r: &Recipe, input: &InputSpec, weights: &[HostTensor], to: &Path) -> Result<(), EngineError> {
    TorchEngine.export_script(r, input, weights, &mut std::fs::File::create(to).unwrap())
}

fn freeze(l: &mut dyn Learner, rules: &[&str]) {
    let rules: Vec<String> = rules.iter().map(|r| (*r).to_owned()).collect();
    let plan = Plan::parse(&rules).unwrap().resolve(l.tree()).unwrap();
    l.apply_freeze(&plan).unwrap();
}

/// A model of the zoo and the same one read from TorchScript.
struct Pair {
    _folder: tempfile::TempDir,
    file: PathBuf,
    input: InputSpec,
    own: Box<dyn Learner>,
    script: Box<dyn Learner>,
}

fn try_load(r: &Recipe, file: &Path, input: &InputSpec) -> Result<Box<dyn Learner>, EngineError> {
    let mut r = r.clone();
    let arch = format!("torchscript:{}", file.display());
    r.model = ModelSpec { arch, num_classes: r.model.num_classes, ..ModelSpec::default() };
    TorchEngine.learner(&r, input, "cpu")
}

fn pair(r: &Recipe) -> Pair {
    let input = input(&r.model.arch);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    let mut own = TorchEngine.learner(r, &input, "cpu").unwrap();
    export(r, &input, &weights(&mut *own), &file).unwrap();
    let script = try_load(r, &file, &input).unwrap();
    Pair { _folder: folder, file, input, own, script }
}

fn refusal(result: Result<Box<dyn Learner>, EngineError>) -> String {
    match result {
        Err(EngineError::Refused(words)) => words,
        Err(other) => panic!("not refused but failed: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// The same arithmetic in eval mode, and in train mode over a few steps.
fn agrees(arch: &str) {
    let mut r = recipe(arch);
    r.model.dropout = Some(0.0);
    r.model.stochastic_depth = Some(0.0);
    let mut p = pair(&r);
    let names = |l: &mut dyn Learner| weights(l).into_iter().map(|t| (t.name, t.shape)).collect::<Vec<_>>();
    assert_eq!(names(&mut *p.own), names(&mut *p.script), "{arch}");
    assert_eq!(differing(&weights(&mut *p.own), &weights(&mut *p.script)), Vec::<String>::new(), "{arch}");
    let kinds = |l: &dyn Learner| l.tree().modules.iter().map(|m| (m.path.clone(), m.kind.clone())).collect::<Vec<_>>();
    assert_eq!(kinds(&*p.own), kinds(&*p.script), "{arch}");
    assert_eq!(logits(&mut *p.own, &p.input), logits(&mut *p.script, &p.input), "{arch}: eval mode");
    for step in 0..3 {
        let (own, script) = (loss(&mut *p.own, step, &p.input), loss(&mut *p.script, step, &p.input));
        assert!((own - script).abs() <= 1e-5 * own.abs().max(1.0), "{arch}, step {step}: {own} and {script}");
    }
    assert_eq!(p.script.warnings(), Vec::<String>::new(), "{arch}");
}

#[test]
fn every_architecture_computes_the_same_as_a_script() {
    let all = std::env::var("FROSTLINE_ZOO").is_ok_and(|v| v == "all");
    for arch in TorchEngine.architectures() {
        if all || SMALL.contains(&arch.as_str()) {
            agrees(&arch);
        }
    }
}

#[test]
fn a_script_is_described_as_the_model_that_it_was() {
    let p = pair(&recipe("resnet8"));
    for (own, script) in p.own.tree().modules.iter().zip(&p.script.tree().modules) {
        assert_eq!((&own.path, &own.detail), (&script.path, &script.detail));
        assert_eq!(own.output_shape, script.output_shape, "{}", own.path);
    }
    let first = p.own.tree().modules.iter().zip(&p.script.tree().modules).find(|(a, _)| a.path == "conv1").unwrap();
    assert_eq!(first.0.flops, first.1.flops);
}

#[test]
fn frozen_parts_of_a_script_keep_their_bits_and_statistics() {
    let mut p = pair(&recipe("resnet8"));
    freeze(&mut *p.script, &["freeze layer2"]);
    let before = weights(&mut *p.script);
    for step in 0..3 {
        loss(&mut *p.script, step, &p.input);
    }
    let moved = differing(&before, &weights(&mut *p.script));
    assert!(moved.iter().all(|n| !n.starts_with("layer2.")), "{moved:?}");
    for learns in ["conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer3.0.bn1.running_var", "fc.weight"]
    {
        assert!(moved.iter().any(|n| n == learns), "{learns} in {moved:?}");
    }
}

#[test]
fn no_grad_in_the_middle_of_a_script_stops_what_is_upstream() {
    let mut p = pair(&recipe("resnet8"));
    freeze(&mut *p.script, &["no_grad layer2"]);
    freeze(&mut *p.own, &["no_grad layer2"]);
    let before = weights(&mut *p.script);
    for step in 0..3 {
        let (own, script) = (loss(&mut *p.own, step, &p.input), loss(&mut *p.script, step, &p.input));
        assert!((own - script).abs() < 1e-5, "{own} and {script}");
    }
    let after = weights(&mut *p.script);
    let moved = differing(&before, &after);
    let stays =
        |n: &str| n.ends_with("weight") && ["conv1", "bn1", "layer1", "layer2"].iter().any(|m| n.starts_with(m));
    assert!(moved.iter().all(|n| !stays(n)), "{moved:?}");
    assert!(moved.iter().any(|n| n.starts_with("layer3.")) && moved.iter().any(|n| n == "fc.weight"), "{moved:?}");
    // Statistics upstream are those of modules that run in train mode, as in the zoo's own model.
    let own = differing(&before, &weights(&mut *p.own));
    assert_eq!(own, moved);
}

#[test]
fn a_script_is_saved_again_with_its_trained_weights() {
    let r = recipe("resnet8");
    let mut p = pair(&r);
    for step in 0..2 {
        loss(&mut *p.script, step, &p.input);
    }
    let trained = weights(&mut *p.script);
    let mut as_script = r.clone();
    as_script.model.arch = format!("torchscript:{}", p.file.display());
    let again = p.file.with_file_name("again.pt");
    export(&as_script, &p.input, &trained, &again).unwrap();
    let mut loaded = try_load(&r, &again, &p.input).unwrap();
    assert_eq!(differing(&trained, &weights(&mut *loaded)), Vec::<String>::new());
    assert_eq!(logits(&mut *p.script, &p.input), logits(&mut *loaded, &p.input));
    let Err(e) = export(&as_script, &p.input, &trained[1..], &again) else { panic!("written") };
    assert!(e.to_string().contains("lack its tensor `conv1.weight`"), "{e}");
}

/// A script takes no keys that make a model of the zoo.
const AS_IT_IS: &[&str] = &["model.hidden=[64, 64]", "model.width=16"];

/// The recipe of `support`, whose digits are an MLP's, as a script with dropout.
fn mlp_file(folder: &Path) -> PathBuf {
    let place = Place::new(&["model.dropout=0.3"]);
    let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 3 };
    let mut own = TorchEngine.learner(&place.recipe, &input, "cpu").unwrap();
    let file = folder.join("mlp.pt");
    export(&place.recipe, &input, &weights(&mut *own), &file).unwrap();
    file
}

#[test]
fn a_script_with_dropout_resumes_to_the_last_bit() {
    let engine: Arc<dyn Engine> = Arc::new(TorchEngine);
    let folder = tempfile::tempdir().unwrap();
    let arch = format!("model.arch='torchscript:{}'", mlp_file(folder.path()).display());
    resumes_exactly(&engine, &[&[arch.as_str()], AS_IT_IS].concat(), &[Cut::Stop(2), Cut::Die(7), Cut::Stop(12)]);
}

#[test]
fn a_run_goes_on_only_with_the_script_that_it_was_trained_with() {
    let engine: Arc<dyn Engine> = Arc::new(TorchEngine);
    let folder = tempfile::tempdir().unwrap();
    let file = mlp_file(folder.path());
    let arch = format!("model.arch='torchscript:{}'", file.display());
    let place = Place::new(&[&[arch.as_str(), "train.steps=5"], AS_IT_IS].concat());
    let run = place.finished(&engine);
    let bytes = std::fs::read(&file).unwrap();
    let refused = || match place.resume_with(&engine, &run, None, &["train.steps=7"]) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("resumed"),
    };
    std::fs::remove_file(&file).unwrap();
    assert!(refused().contains("put the file back"), "{}", refused());
    let other = Place::new(&["model.hidden=[16]"]);
    let input = InputSpec { sample_shape: vec![1, 8, 8], outputs: 3 };
    let mut own = TorchEngine.learner(&other.recipe, &input, "cpu").unwrap();
    let (own_weights, recipe) = (weights(&mut *own), &other.recipe);
    export(recipe, &input, &own_weights, &file).unwrap();
    assert!(refused().contains("is not the one that the checkpoint was made with"), "{}", refused());
    std::fs::write(&file, bytes).unwrap();
    assert!(place.resume_with(&engine, &run, None, &["train.steps=7"]).is_ok());
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let r = recipe("mlp");
    let p = pair(&r);
    let wrong = |outputs: usize, num_classes: Option<usize>| {
        let mut r = r.clone();
        r.model.num_classes = num_classes;
        refusal(try_load(&r, &p.file, &InputSpec { outputs, ..p.input.clone() }))
    };
    assert!(wrong(7, None).contains("gives 10 outputs and the data needs 7"), "{}", wrong(7, None));
    assert!(wrong(12, Some(12)).contains("model.num_classes = 12"), "{}", wrong(12, Some(12)));
    let shape = refusal(try_load(&r, &p.file, &InputSpec { sample_shape: vec![3, 9, 9], outputs: 10 }));
    assert!(shape.contains("does not take a sample of shape [3, 9, 9]") && !shape.contains('\n'), "{shape}");
    let mut wider = r.clone();
    wider.model.arch = format!("torchscript:{}", p.file.display());
    let key = refusal(TorchEngine.learner(&wider, &p.input, "cpu"));
    assert!(key.starts_with("model.hidden: a script's layers are as its code makes them"), "{key}");
}

#[test]
fn files_that_are_no_script_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(mlp_file(folder.path())).unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refusal(try_load(&recipe("mlp"), &path, &digits()))
    };
    for (name, bytes) in [("empty", &[][..]), ("text", b"hello"), ("half", &good[..good.len() / 2])] {
        let words = at(name, bytes);
        assert!(words.contains("no TorchScript archive, or cut off") && words.contains(name), "{words}");
    }
    for path in [folder.path().join("gone.pt"), folder.path().to_owned()] {
        let words = refusal(try_load(&recipe("mlp"), &path, &digits()));
        assert!(words.contains("no such file") || words.contains("not a file"), "{words}");
    }
    // Whatever byte is wrong: words or a working model, never a crash.
    for k in (0..good.len()).step_by(good.len() / 97) {
        let mut bytes = good.clone();
        bytes[k] ^= 0x55;
        let path = folder.path().join("flipped");
        std::fs::write(&path, &bytes).unwrap();
        if let Err(e) = try_load(&recipe("mlp"), &path, &digits()) {
            assert!(!e.to_string().contains('\n'), "{e}");
        }
    }
}
