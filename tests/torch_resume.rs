//! Exact resume over libtorch: the rules of `exact_resume.rs`, with dropout, augmentation, accumulation, batch norm, a
//! freeze plan, and every optimizer.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use frostline::core::command::Command;
use frostline::engine::Engine;
use frostline::engine::torch::TorchEngine;
use frostline::session::Outcome;
use support::exact::{Cut, resumes_exactly};
use support::{Place, ask, differing, stop, to_end, warnings};

fn torch() -> Arc<dyn Engine> {
    Arc::new(TorchEngine)
}

#[test]
fn dropout_and_accumulation_resume_in_the_middle_of_an_epoch() {
    resumes_exactly(&torch(), &[], &[Cut::Stop(2), Cut::Die(7), Cut::Stop(12), Cut::Die(18)]);
    resumes_exactly(&torch(), &["optimizer.dampening=0.2", "train.clip_grad_norm=0.5"], &[Cut::Stop(0), Cut::Stop(9)]);
}

#[test]
fn batch_norm_augmentation_and_a_freeze_plan_resume() {
    let sets = [
        "model.arch=resnet8",
        "model.width=4",
        "model.hidden=[64, 64]",
        "model.dropout=0.0",
        "data.augment=['random-crop', 'horizontal-flip', 'random-erasing']",
        "data.workers=2",
        "optimizer.kind=adamw",
        "optimizer.amsgrad=true",
        "lr_schedule.kind=one-cycle",
        "freeze.rules=['freeze **', 'train layer3', 'train fc', 'freeze layer3.0.bn1']",
        "train.steps=12",
    ];
    resumes_exactly(&torch(), &sets, &[Cut::Die(5), Cut::Stop(6), Cut::Stop(10)]);
}

#[test]
fn live_freeze_and_rate_changes_survive_a_resume() {
    let place = Place::new(&["train.steps=40"]);
    let handle = place.fresh(&torch()).unwrap();
    assert!(ask(&handle, Command::Pause).is_ok());
    assert!(ask(&handle, Command::Freeze { rules: vec!["freeze fc1".to_owned()] }).is_ok());
    assert!(ask(&handle, Command::SetLr { lr: 0.005 }).is_ok());
    let run = handle.dir().clone();
    let (outcome, _) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    let (before, _) = run.checkpoints().newest_good().unwrap();
    to_end(place.resume(&torch(), &run).unwrap());
    let (checkpoint, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(checkpoint.state.step, 40);
    assert_eq!(checkpoint.state.freeze_rules, ["freeze fc1"]);
    assert_eq!(checkpoint.state.base_lr.to_bits(), 0.005f64.to_bits());
    let moved = differing(&before.weights, &checkpoint.weights);
    assert!(!moved.is_empty() && moved.iter().all(|n| !n.starts_with("fc1")), "{moved:?}");
}

#[test]
fn nan_in_the_data_stops_the_run_with_the_state_before_it() {
    let mut place = Place::new(&["train.steps=20"]);
    let x: Vec<f32> = (0..96).map(|i| if i == 60 { f32::NAN } else { (i as f32).sin() }).collect();
    let tensors = [
        frostline::core::tensor::HostTensor::from_f32("x", &[24, 4], &x),
        frostline::core::tensor::HostTensor::from_f32("y", &[24], &x[..24]),
    ];
    let data = place.folder.path().join("nan.safetensors");
    frostline::core::weights::write_safetensors(&data, &tensors, &Default::default(), true).unwrap();
    let text = "
        model = { arch = 'mlp', hidden = [8] }
        data = { source = 'tensors', path = 'nan.safetensors', val_fraction = 0.0 }
        loss = { kind = 'mse' }
        train = { steps = 20, batch_size = 4, devices = ['cpu'], shuffle = false }
    ";
    place.recipe = frostline::core::recipe::Recipe::parse(text, "nan.toml", place.folder.path(), &[]).unwrap();
    let handle = place.fresh(&torch()).unwrap();
    let run = handle.dir().clone();
    let (outcome, _) = to_end(handle);
    let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
    // Row 15 is in the fourth batch.
    assert!(message.contains("step 4:") && message.contains("`fc1.weight`"), "{message}");
    let (checkpoint, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(checkpoint.state.step, 3);
    assert!(checkpoint.weights.iter().all(|t| t.to_f32().unwrap().iter().all(|v| v.is_finite())));

    place.recipe = place.recipe.with_sets(&["train.on_nan=skip".to_owned()]).unwrap();
    let handle = place.fresh(&torch()).unwrap();
    let run = handle.dir().clone();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(warnings(&records).iter().any(|w| w.contains("3 steps were skipped")), "{:?}", warnings(&records));
    let (checkpoint, _) = run.checkpoints().newest_good().unwrap();
    assert!(checkpoint.weights.iter().all(|t| t.to_f32().unwrap().iter().all(|v| v.is_finite())));
}

#[test]
fn a_run_of_a_gpu_goes_on_on_the_cpu_and_says_so() {
    let place = Place::new(&["train.steps=8"]);
    let run = place.finished(&torch());
    // As a machine with a GPU would have left it.
    let mut meta = run.meta().unwrap();
    meta.recipe.train.devices = vec!["cuda:0".to_owned()];
    run.save_meta(&meta).unwrap();
    let (mut loaded, _) = run.checkpoints().newest_good().unwrap();
    run.checkpoints().remove("step-00000008").unwrap();
    loaded.state.extra.insert("device".to_owned(), "cuda:0".into());
    run.checkpoints().write(&loaded.state, &loaded.weights, &loaded.optimizer).unwrap();

    let longer = "train.steps=12";
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        let Err(e) = place.resume_with(&torch(), &run, None, &[longer]) else {
            panic!("it took a GPU that is not there")
        };
        assert!(e.to_string().contains("set train.devices = [\"cpu\"]"), "{e}");
    }
    let handle = place.resume_with(&torch(), &run, None, &[longer, "train.devices=['cpu']"]).unwrap();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 12, .. }), "{outcome:?}");
    assert!(warnings(&records).iter().any(|w| w.contains("was on cuda:0")), "{:?}", warnings(&records));
}

#[test]
fn the_loss_scale_resumes_through_overflows() {
    let sets = ["train.precision=fp16", "data.normalize={ mean = [0.0], std = [0.002] }", "optimizer.lr=0.0001"];
    resumes_exactly(&torch(), &sets, &[Cut::Stop(1), Cut::Die(6), Cut::Stop(13)]);
}

#[test]
fn channels_last_resumes_with_the_optimizers_state_in_its_layout() {
    let sets = ["model.arch=resnet8", "model.width=4", "model.dropout=0.0", "train.channels_last=true"];
    let sets = [&sets[..], &["optimizer.kind=adamw", "train.steps=10"]].concat();
    resumes_exactly(&torch(), &sets, &[Cut::Stop(3), Cut::Die(6)]);
}
