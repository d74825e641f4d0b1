//! Models in their empty, usual and crowded states.

use std::path::PathBuf;

use crate::app::effect::Effect;
use crate::app::form::Tensor;
use crate::app::keys::Keymap;
use crate::app::message::{DraftReady, StartedRun};
use crate::app::overlay::{Ask, Input, Overlay, Purpose};
use crate::app::place::Screen;
use crate::app::run_view::Level;
use crate::app::sample::{self, NOW};
use crate::app::values::{Drifted, Moved};
use crate::app::{Message, Model, update};
use crate::core::event::Event;
use crate::core::freeze::ParamState;
use crate::core::recipe::Recipe;
use crate::core::run::RunStatus;
use crate::core::run::spark::Spark;
use crate::core::series::Series;
use crate::core::tensor::HostTensor;
use crate::core::tree::{ParamInfo, Tree};
use crate::core::weights::ValueStats;

pub(super) fn empty() -> Model {
    let (mut model, _) = Model::new(Keymap::default(), "/home/me/.local/share/frostline".to_owned(), false);
    update(&mut model, Message::Now(NOW));
    model
}

pub(super) fn no_runs() -> Model {
    let mut model = empty();
    update(&mut model, Message::Runs(Ok(Vec::new())));
    model
}

pub(super) fn with_runs(n: u64) -> Model {
    let mut model = empty();
    let statuses = [RunStatus::Running, RunStatus::Finished, RunStatus::Stopped, RunStatus::Failed, RunStatus::Crashed];
    let names = ["digits-head", "flowers with a very long name that goes on and on", "氷の層を溶かす実験"];
    let runs = (1..=n).map(|i| sample::run(i % 100, names[i as usize % 3], statuses[i as usize % 5])).collect();
    let effects = update(&mut model, Message::Runs(Ok(runs)));
    for effect in effects {
        if let crate::app::Effect::ReadSparks(jobs) = effect {
            let curve = crate::core::series::Series::from_points((1..=40).map(|x| (f64::from(x), 1.0 / f64::from(x))));
            let of = |job| (job, Spark { rate: Some(2.0), ..Spark::of("val/loss", &curve, 32) });
            update(&mut model, Message::Sparks(jobs.into_iter().map(of).collect()));
        }
    }
    model
}

pub(super) fn key(model: &mut Model, text: &str) {
    for key in text.split_whitespace() {
        update(model, Message::Key(key.parse().unwrap()));
    }
}

pub(super) fn draft(large: bool) -> Model {
    let mut model = with_runs(3);
    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze **".to_owned(), "train fc".to_owned()];
    let tree = if large { sample::large_tree(40) } else { sample::tree() };
    model.screen = Screen::Model;
    let ready = DraftReady { recipe, tree, checksum: String::new(), kept: None };
    let path = PathBuf::from("/work/flowers.toml");
    model.busy.building = Some(path.clone());
    update(&mut model, Message::Draft { path, result: Ok(Box::new(ready)) });
    model
}

pub(super) fn opened(status: RunStatus, points: u64) -> Model {
    let mut model = with_runs(3);
    let opened = sample::opened(1, status, points);
    model.opening = Some(opened.summary.id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    model
}

pub(super) fn live() -> Model {
    let mut model = with_runs(3);
    let started = StartedRun { opened: sample::opened(1, RunStatus::Running, 200), tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    for n in 0..40_u64 {
        let event = Event::Step {
            epoch: 5,
            metrics: [("train/loss".to_owned(), 0.2), ("lr".to_owned(), 5e-4), ("grad_norm".to_owned(), 1.25)].into(),
        };
        update(&mut model, Message::Records(vec![sample::record(201 + n, 40_000 - 1000 * n, event)]));
    }
    model
}

pub(super) fn history(n: u64) -> Model {
    let mut model = opened(RunStatus::Stopped, 200);
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(n) });
    model.screen = Screen::Checkpoints;
    if n > 2 {
        key(&mut model, "V j");
        update(
            &mut model,
            Message::Verified { run: run.clone(), name: "step-00000040".to_owned(), damage: Vec::new() },
        );
        let damage = vec!["weights.safetensors: checksum differs from state.json's".to_owned()];
        let name = format!("step-{:08}", (n - 1) * 40);
        update(&mut model, Message::Verified { run, name, damage });
        update(&mut model, Message::Now(NOW + 60_000));
    }
    model
}

/// A checkpoint's layers, as its file alone tells them.
pub(super) fn past() -> Model {
    let mut model = history(4);
    key(&mut model, "t");
    let known = sample::tree();
    let tensors = known.parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.dtype));
    let tree = Tree::from_tensors(tensors);
    let (run, name) = (model.shown.clone().unwrap(), "step-00000120".to_owned());
    let result = Ok((tree, vec!["freeze **".to_owned(), "train fc".to_owned()]));
    update(&mut model, Message::CheckpointTree { run, name, result });
    model
}

pub(super) fn filter(model: &mut Model, text: &str) {
    key(model, "/");
    update(model, Message::Paste(text.to_owned()));
    key(model, "enter");
}

pub(super) fn asked(keys: &str, text: &str) -> Model {
    let mut model = draft(false);
    key(&mut model, keys);
    update(&mut model, Message::Paste(text.to_owned()));
    model
}

/// A live run that tells its gradients' norms.
pub(super) fn steep() -> Model {
    let mut model = live();
    update(&mut model, Message::Resize { width: 100, height: 24 });
    let asks = update(&mut model, Message::Key("2".parse().unwrap()));
    assert!(asks.contains(&Effect::Gradients(model.shown.clone())), "{asks:?}");
    let rules = vec!["freeze conv1".to_owned(), "freeze bn1".to_owned(), "freeze layer1".to_owned()];
    let states: Vec<ParamState> =
        (0..11).map(|i| if i < 6 { ParamState::Frozen } else { ParamState::Trainable }).collect();
    let tree = sample::tree();
    assert_eq!(tree.parameters.len(), states.len());
    let learning = tree.parameters.iter().enumerate().filter(|(i, _)| *i >= 6);
    let norms = learning.map(|(i, p)| (p.name.clone(), if i == 7 { f64::NAN } else { 0.002 * (i * i) as f64 }));
    for event in
        [Event::FreezeChanged { rules, trainable: 5, frozen: 6, states }, Event::Gradients { norms: norms.collect() }]
    {
        update(&mut model, Message::Records(vec![sample::record(240, 100, event)]));
    }
    key(&mut model, "G");
    model
}

/// A run with values read, as the side pane shows them.
pub(super) fn explained() -> Model {
    let mut model = live();
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(3) });
    update(&mut model, Message::Resize { width: 150, height: 45 });
    key(&mut model, "2 g j j space");
    let look = model.seen.clone().unwrap().look;
    let values: Vec<f32> = (0..144).map(|i| ((i * 37 % 144) as f32 / 72.0 - 1.0).powi(3)).collect();
    let stats = ValueStats::of(&[HostTensor::from_f32("w", &[144], &values)], 96);
    update(&mut model, Message::Values { look, stats: Ok(stats) });
    let tree = sample::tree();
    let moved = tree.parameters.iter().enumerate().map(|(i, p)| {
        let by = if i == 9 { Moved::By(Some(0.034)) } else { Moved::Not };
        (p.name.clone(), by)
    });
    let drifted = Drifted { pair: model.wanted_pair().unwrap(), moved: moved.collect() };
    update(&mut model, Message::Drift(drifted));
    model
}

pub(super) fn devices(gpus: u64) -> Model {
    let mut model = with_runs(2);
    key(&mut model, "3");
    update(&mut model, Message::Devices(Ok(Vec::new())));
    for i in 0..30 {
        let mut survey = sample::survey(gpus);
        for device in &mut survey.devices {
            device.load = device.load.map(|l| if i < 29 { l * f64::from(i) / 29.0 } else { l });
        }
        update(&mut model, Message::Survey(survey));
    }
    model
}

/// Eight GPUs, one lost, one hot, one that the engine cannot use.
pub(super) fn troubled() -> Model {
    let mut model = devices(8);
    let mut survey = sample::survey(8);
    survey.devices[3].problem =
        Some("the GPU does not answer any more (lost); dmesg tells of it under NVRM: Xid".to_owned());
    survey.devices[3].load = None;
    survey.devices[4].temperature = Some(91.0);
    survey.devices[6].unusable = Some("libtorch's CUDA libraries are not installed".to_owned());
    survey.notes = vec!["CUDA_VISIBLE_DEVICES = \"0,1,2,3,4,5,6,7\" hides 2 GPUs of 10".to_owned()];
    update(&mut model, Message::Survey(survey));
    model
}

/// A run with everything that a long one has.
pub(super) fn charted() -> Model {
    let mut model = with_runs(3);
    let mut opened = sample::opened(1, RunStatus::Running, 200);
    let curve = |f: fn(f64) -> f64| Series::from_points((1..=200).map(|i| (f64::from(i), f(f64::from(i)))));
    let val = |f: fn(f64) -> f64| Series::from_points((1..=5).map(|e| (f64::from(e) * 40.0, f(f64::from(e)))));
    opened.series.extend([
        ("val/top1".to_owned(), val(|e| 0.97 - 0.5 / e)),
        ("val/top5".to_owned(), val(|e| 0.99 - 0.2 / e)),
        ("lr".to_owned(), curve(|i| 5e-4 * (1.0 + (i / 64.0).cos()))),
        ("grad_norm".to_owned(), curve(|i| if i == 1.0 { 5e4 } else { 1.5 + (i * 0.7).sin() / i.sqrt() })),
        ("samples_per_s".to_owned(), curve(|i| if i == 90.0 { f64::NAN } else { 480.0 + 20.0 * (i / 9.0).sin() })),
        ("device/cuda:0/load".to_owned(), curve(|i| 0.9 + 0.05 * (i / 5.0).sin())),
        ("device/cuda:0/memory".to_owned(), curve(|_| 3.2e9)),
    ]);
    let started = StartedRun { opened, tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(4) });
    model
}

pub(super) fn pressed(keys: &str) -> Model {
    let mut model = charted();
    key(&mut model, keys);
    model
}

pub(super) fn overlaid() -> Model {
    let mut model = charted();
    for n in [2, 3] {
        let opened = sample::opened(n, RunStatus::Finished, 60 * n);
        let run = opened.summary.id.to_string();
        update(&mut model, Message::Curves { run, result: Ok(Box::new(opened)) });
    }
    model
}

/// A damaged checkpoint explained, or a good one where there is room beside the list.
pub(super) fn detailed(width: u16, height: u16) -> Model {
    let mut model = history(6);
    update(&mut model, Message::Resize { width, height });
    let mut runs = model.runs.clone().unwrap();
    runs[1].lineage.forked_from = Some(format!("{}@160", model.shown.clone().unwrap()));
    update(&mut model, Message::Runs(Ok(runs)));
    key(&mut model, if width >= 110 { "j" } else { "i" });
    let (run, row) = (model.shown.clone().unwrap(), model.selected_checkpoint().unwrap());
    let (name, time_ms, facts) = (row.name.clone(), row.time_ms, sample::facts(row.step));
    update(&mut model, Message::Facts { run, name, time_ms, result: Ok(Box::new(facts)) });
    model
}

pub(super) fn diffed(keys: &str) -> Model {
    let mut model = history(4);
    key(&mut model, "d");
    if let Some(Overlay::Diff(view)) = model.overlays.last_mut() {
        view.take(Ok(Box::new(sample::drift())));
    }
    key(&mut model, keys);
    model
}

/// The form of an export, with the checkpoint's tensors known.
pub(super) fn exporting(keys: &str) -> Model {
    let mut model = history(4);
    key(&mut model, "x");
    let tree = sample::tree();
    let tensor = |p: &ParamInfo| Tensor {
        name: p.name.clone(),
        elements: p.shape.iter().product::<usize>() as u64,
        dtype: p.dtype,
    };
    let (run, row) = (model.shown.clone().unwrap(), model.selected_checkpoint().unwrap());
    let (name, result) = (row.name.clone(), Ok(tree.parameters.iter().map(tensor).collect()));
    update(&mut model, Message::Tensors { run, name, result });
    key(&mut model, keys);
    model
}

/// The form of a fork, with the recipe known.
pub(super) fn forking(keys: &str) -> Model {
    let mut model = history(4);
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::TreeReady { run: run.clone(), tree: Ok(sample::tree()) });
    key(&mut model, "f");
    let base = sample::recipe(&["freeze **", "train fc"]);
    let name = model.selected_checkpoint().unwrap().name.clone();
    update(&mut model, Message::ForkBase { run, name, result: Ok(Box::new(base)) });
    key(&mut model, keys);
    model
}

pub(super) fn compared(n: u64) -> Model {
    let mut model = with_runs(n.max(2));
    key(&mut model, "space ".repeat(n as usize).as_str());
    key(&mut model, "c");
    let runs = model.compare.runs.clone();
    if n > 0 {
        update(&mut model, Message::Compared { runs, result: Ok(Box::new(sample::comparison(n))) });
    }
    model
}

pub(super) fn all() -> Vec<Model> {
    let mut prompt = history(4);
    prompt.overlays.push(Overlay::Ask(Box::new(Ask {
        title: "Another name".to_owned(),
        input: Input::with("氷".repeat(90)),
        purpose: Purpose::RenameRun(String::new()),
        preview: Ok(vec!["a line".to_owned(); 30]),
    })));
    let mut models =
        vec![empty(), no_runs(), with_runs(120), draft(false), draft(true), live(), history(0), history(30)];
    models.push(prompt);
    models.extend([compared(0), compared(2), compared(12)]);
    models.extend([devices(0), devices(2), troubled()]);
    for keys in ["space", "D", "t", "R", "N", "L", "T", "T tab tab x tab x"] {
        let mut model = with_runs(4);
        key(&mut model, keys);
        models.push(model);
    }
    models.extend([asked("f", "train layr1"), asked("f", ""), asked("/", "conv"), explained(), steep(), past()]);
    let mut narrow = explained();
    update(&mut narrow, Message::Resize { width: 80, height: 24 });
    key(&mut narrow, "i");
    models.push(narrow);
    let mut said = live();
    said.say(Level::Error, "a long message that must be wrapped ".repeat(9));
    models.push(said);
    models.push(charted());
    models.push(overlaid());
    models.extend([exporting("tab tab tab l a y r"), forking("tab x"), exporting("enter")]);
    models.extend([detailed(140, 36), detailed(80, 24), diffed(""), diffed("t o")]);
    for keys in ["D", "d", "space /", "o", "i"] {
        let mut model = history(30);
        key(&mut model, keys);
        models.push(model);
    }
    for keys in ["a", "O", "f", "f c h h +", "C + c [", "L l L l L o", "> > > x", "x x G", "+ + + + + + + +", "r"] {
        models.push(pressed(keys));
    }
    for keys in ["?", "m", ":", "q", "n", "2", "2 j space", "5"] {
        let mut model = live();
        key(&mut model, keys);
        models.push(model);
    }
    models
}
