//! Several ranks are one run: the same losses as one rank, the same bits on each, and commands that reach all of them.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use frostline::core::command::Command;
use frostline::core::event::{Event, Record};
use frostline::core::recipe::Recipe;
use frostline::core::run::{MetricsReader, RunDir};
use frostline::core::weights;
use frostline::engine::Engine;
use frostline::engine::torch::TorchEngine;
use frostline::session::Outcome;
use support::exact::{Cut, final_of, resumes_exactly};
use support::{Place, ask, differing, stop, to_end, warnings};

const TWO: &str = "train.devices=['cpu:0', 'cpu:1']";
const THREE: &str = "train.devices=['cpu:0', 'cpu:1', 'cpu:2']";

fn torch() -> Arc<dyn Engine> {
    Arc::new(TorchEngine)
}

fn column(run: &RunDir, name: &str) -> Vec<(u64, f64)> {
    let (table, _) = MetricsReader::read_all(&run.metrics_path()).unwrap();
    table.rows().filter_map(|row| Some((row.step, row.values().find(|(n, _)| *n == name)?.1))).collect()
}

/// The largest relative distance of two columns.
fn apart(a: &[(u64, f64)], b: &[(u64, f64)]) -> f64 {
    assert_eq!(a.len(), b.len());
    let far = |((s, a), (t, b)): (&(u64, f64), &(u64, f64))| {
        assert_eq!(s, t);
        (a - b).abs() / b.abs().max(1e-12)
    };
    a.iter().zip(b).map(far).fold(0.0, f64::max)
}

/// How often it was said that the last bits will be others.
fn other_bits(records: &[Record]) -> usize {
    warnings(records).iter().filter(|w| w.ends_with("the last bits will differ")).count()
}

fn run_with(sets: &[&str]) -> (Place, RunDir) {
    let place = Place::new(sets);
    let run = place.finished(&torch());
    (place, run)
}

#[test]
fn the_losses_are_those_of_one_rank_with_the_same_batch() {
    // 25 samples do not divide by 2 or 3, and the last batch of an epoch is smaller than that.
    let plain = ["train.steps=50", "model.dropout=0.0", "train.batch_size=25", "train.validate_every_steps=10"];
    let adam = [
        "optimizer.kind=adamw",
        "optimizer.lr=0.003",
        "train.accumulate_grad_batches=1",
        "train.clip_grad_norm=0.5",
        "loss.class_weights=[1.0, 0.0, 3.0]",
        "loss.label_smoothing=0.1",
    ];
    for more in [&[][..], &adam[..]] {
        let sets = [&plain[..], more].concat();
        let (_place, one) = run_with(&sets);
        for devices in [TWO, THREE] {
            let (_place, several) = run_with(&[&sets[..], &[devices]].concat());
            for name in ["train/loss", "grad_norm", "val/loss", "val/top1"] {
                let (a, b) = (column(&several, name), column(&one, name));
                assert!(b.len() >= 5, "{name}");
                let far = apart(&a, &b);
                eprintln!("{devices} {name}: {far:e}");
                assert!(far <= 1e-4, "{devices}: {name} is {far} away: {a:?} and {b:?}");
            }
            let seen = |run: &RunDir| run.checkpoints().newest_good().unwrap().0.state.samples_seen;
            assert_eq!(seen(&several), seen(&one));
        }
    }
}

#[test]
fn batches_smaller_than_the_number_of_ranks_train_too() {
    let sets = [
        "train.epochs=4",
        "train.batch_size=4",
        "train.accumulate_grad_batches=1",
        "model.dropout=0.0",
        "data.classes=[0, 1]",
        "data.val_fraction=0.975",
    ];
    let (_place, one) = run_with(&sets);
    let seen = |run: &RunDir| run.checkpoints().newest_good().unwrap().0.state.samples_seen;
    let last = seen(&one) / 4 % 4;
    assert!(last == 1 || last == 2, "the last batch of an epoch has {last} samples");
    let (_place, three) = run_with(&[&sets[..], &[THREE]].concat());
    assert_eq!(seen(&three), seen(&one));
    let far = apart(&column(&three, "grad_norm"), &column(&one, "grad_norm"));
    assert!(far <= 1e-4, "{far}");
    let place = Place::new(&[TWO, "train.batch_size=1"]);
    let Err(e) = place.fresh(&torch()) else { panic!("one sample for two ranks") };
    assert!(e.is_refusal() && e.to_string().contains("train.batch_size = 1: 2 devices"), "{e}");
}

#[test]
fn interrupted_runs_on_several_ranks_end_with_the_same_bits() {
    let norms = ["model.arch=resnet8", "model.width=4", "model.hidden=[64, 64]", "model.dropout=0.0", "train.steps=8"];
    resumes_exactly(&torch(), &[TWO], &[Cut::Stop(2), Cut::Die(7), Cut::Stop(12)]);
    resumes_exactly(&torch(), &[&norms[..], &[THREE, "optimizer.kind=adamw"]].concat(), &[Cut::Die(5), Cut::Stop(6)]);
}

#[test]
fn commands_reach_all_ranks_and_the_run_goes_on_on_others() {
    let place = Place::new(&["train.steps=40", TWO]);
    let handle = place.fresh(&torch()).unwrap();
    assert!(ask(&handle, Command::Pause).is_ok());
    assert!(ask(&handle, Command::Evaluate).is_ok());
    assert!(ask(&handle, Command::Freeze { rules: vec!["freeze fc1".to_owned()] }).is_ok());
    let refused = ask(&handle, Command::Freeze { rules: vec!["freeze **".to_owned()] });
    assert!(refused.as_ref().is_err_and(|e| e.contains("nothing would learn")), "{refused:?}");
    assert!(ask(&handle, Command::SetLr { lr: 0.005 }).is_ok());
    let run = handle.dir().clone();
    assert!(matches!(stop(handle).0, Outcome::Stopped { .. }));
    let before = run.checkpoints().newest_good().unwrap().0;
    assert_eq!(before.state.extra["ranks"], 2);

    let mut moved = Vec::new();
    for (devices, steps) in [("train.devices=['cpu']", 50), (THREE, 60), (TWO, 70)] {
        let sets = [devices.to_owned(), format!("train.steps={steps}")];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let handle = place.resume_with(&torch(), &run, None, &sets).unwrap();
        let (outcome, records) = to_end(handle);
        assert!(matches!(outcome, Outcome::Finished { step, .. } if step == steps), "{outcome:?}");
        let started = records.iter().find_map(|r| match &r.event {
            Event::Started { devices, .. } => Some(devices.len()),
            _ => None,
        });
        assert_eq!(started, Some(devices.matches("cpu").count()));
        assert_eq!(other_bits(&records), 1, "{:?}", warnings(&records));
        let after = run.checkpoints().newest_good().unwrap().0;
        assert_eq!((after.state.step, &after.state.freeze_rules), (steps, &vec!["freeze fc1".to_owned()]));
        moved = differing(&before.weights, &after.weights);
    }
    assert!(!moved.is_empty() && moved.iter().all(|n| !n.starts_with("fc1")), "{moved:?}");
    let losses = column(&run, "train/loss");
    assert_eq!(losses.len(), 70);
}

#[test]
fn a_live_run_goes_over_to_more_devices_and_back() {
    let place = Place::new(&["train.steps=40"]);
    let handle = place.fresh(&torch()).unwrap();
    assert!(ask(&handle, Command::Pause).is_ok());
    let devices = |names: &[&str]| Command::SetDevices { devices: support::owned(names) };
    let run = handle.dir().clone();
    for names in [&["cpu:0", "cpu:1", "cpu:2"][..], &["cpu"], &["cpu:0", "cpu:1"]] {
        let said = ask(&handle, devices(names)).unwrap();
        assert!(said.starts_with(&format!("goes on on {}", names.join(", "))), "{said}");
        assert!(ask(&handle, Command::Evaluate).is_ok());
    }
    let refused = ask(&handle, devices(&["cpu:0", "cuda:0"])).unwrap_err();
    assert!(refused.contains("stays on cpu:0, cpu:1"), "{refused}");
    assert!(ask(&handle, Command::Continue).is_ok());
    let (outcome, _) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 40, .. }), "{outcome:?}");
    let events = std::fs::read_to_string(run.path().join("events.jsonl")).unwrap();
    assert_eq!(events.matches("the last bits will differ").count(), 3, "{events}");
    let state = run.checkpoints().newest_good().unwrap().0.state;
    assert_eq!(state.extra["ranks"], 2);
    assert_eq!(column(&run, "train/loss").len(), 40);
}

#[test]
fn a_parameter_that_starves_and_a_part_that_records_nothing_hold_nobody_up() {
    let sets = ["train.steps=6", "freeze.rules=['no_grad fc2']", "model.hidden=[16, 16]"];
    let (_place, one) = run_with(&[&sets[..], &["model.dropout=0.0"]].concat());
    let (_place, two) = run_with(&[&sets[..], &["model.dropout=0.0", TWO]].concat());
    assert!(apart(&column(&two, "train/loss"), &column(&one, "train/loss")) <= 1e-4);
    // Without the look ahead that tells them apart.
    let (_place, blind) = run_with(&[&sets[..], &["model.dropout=0.0", "train.probe=false", TWO]].concat());
    assert_eq!(column(&blind, "train/loss"), column(&two, "train/loss"));
}

#[test]
fn ranks_draw_other_random_numbers() {
    let (_place, one) = run_with(&["train.steps=4"]);
    let (_place, two) = run_with(&["train.steps=4", TWO]);
    assert!(apart(&column(&two, "train/loss"), &column(&one, "train/loss")) > 1e-4);
    assert_eq!(final_of(&two).checkpoint.state.seed, final_of(&one).checkpoint.state.seed);
}

#[test]
fn a_rank_that_fails_is_named_and_the_state_before_it_is_kept() {
    let mut place = Place::new(&[]);
    let images = place.folder.path().join("images");
    for i in 0..16 {
        let folder = images.join(["a", "b"][i % 2]);
        std::fs::create_dir_all(&folder).unwrap();
        image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * 30 + y + i as u32) as u8]))
            .save(folder.join(format!("{i:02}.png")))
            .unwrap();
    }
    // In the second half of the last batch, which is rank 1's.
    std::fs::write(images.join("b/13.png"), b"no image").unwrap();
    let text = "
        model = { arch = 'mlp', hidden = [8] }
        data = { source = 'image-folder', path = 'images', val_fraction = 0.0, image_size = 8, on_bad_image = 'stop' }
        train = { steps = 8, batch_size = 4, devices = ['cpu:0', 'cpu:1'], shuffle = false, threads = 1, probe = false }
    ";
    place.recipe = Recipe::parse(text, "bad.toml", place.folder.path(), &[]).unwrap();
    let handle = place.fresh(&torch()).unwrap();
    let run = handle.dir().clone();
    let (outcome, _) = to_end(handle);
    let Outcome::Failed { message } = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("rank 1 (cpu:1)") && message.contains("13.png"), "{message}");
    let step = run.checkpoints().newest_good().unwrap().0.state.step;
    assert!(message.contains(&format!("step-{step:08}")), "{message}");
    eprintln!("{message}");
}

#[test]
fn batch_norm_is_that_of_distributed_data_parallel() {
    let Some(python) = support::python::python() else { return };
    let mut place = Place::new(&[]);
    let folder = place.folder.path().to_owned();
    let said = support::python::run_script(&python, "ddp_reference.py", &[folder.to_str().unwrap(), "2"]);
    let losses: Vec<f64> = said.lines().map(|l| l.parse().unwrap()).collect();
    let text = "
        model = { arch = 'torchscript:model.pt' }
        data = { source = 'tensors', path = 'data.safetensors', val_fraction = 0.0, normalize = 'none' }
        optimizer = { kind = 'sgd', lr = 0.05, momentum = 0.9 }
        train = { steps = 20, batch_size = 12, devices = ['cpu:0', 'cpu:1'], shuffle = false, threads = 1 }
    ";
    place.recipe = Recipe::parse(text, "ddp.toml", &folder, &[]).unwrap();
    let run = place.finished(&torch());
    let ours = column(&run, "train/loss");
    assert_eq!((ours.len(), losses.len()), (20, 20));
    for ((step, a), b) in ours.iter().zip(&losses) {
        assert!((a - b).abs() <= 1e-5 * b.abs(), "step {step}: {a} and {b}");
    }
    let after = weights::read(&folder.join("after.safetensors"), None).unwrap().into_tensors().unwrap();
    let checkpoint = run.checkpoints().newest_good().unwrap().0;
    assert_eq!(after.len(), checkpoint.weights.len());
    let mut far: f32 = 0.0;
    for there in after {
        let here = checkpoint.weights.iter().find(|t| t.name == there.name).unwrap();
        if there.name.ends_with("num_batches_tracked") {
            assert_eq!(here.data, there.data);
            continue;
        }
        for (a, b) in here.to_f32().unwrap().iter().zip(there.to_f32().unwrap()) {
            far = far.max((a - b).abs() / b.abs().max(1e-2));
        }
    }
    eprintln!("largest relative distance of the state from DistributedDataParallel's: {far:e}");
    assert!(far <= 1e-4, "{far}");
}
