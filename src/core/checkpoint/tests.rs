//! The rules of the store as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::core::event::Metrics;
use crate::core::io::fault;
use crate::core::run::{Lineage, RunDir, RunHome};
use crate::core::tensor::{DType, HostTensor};

fn tensors(seed: f32) -> (Vec<HostTensor>, Vec<HostTensor>) {
    let weights = vec![
        HostTensor::from_f32("fc.weight", &[2, 2], &[seed, 1.0, -2.0, 3.5]),
        HostTensor { name: "bn.num_batches_tracked".into(), dtype: DType::Int64, shape: vec![], data: vec![1; 8] },
    ];
    (weights, vec![HostTensor::from_f32("fc.weight/exp_avg", &[2, 2], &[seed; 4])])
}

fn state(step: u64, loss: f64) -> TrainState {
    TrainState {
        step,
        metrics: Metrics::from([("val/loss".to_owned(), loss)]),
        reason: "save".into(),
        time_ms: step,
        ..TrainState::default()
    }
}

fn write(store: &CheckpointStore, step: u64) -> CheckpointInfo {
    let (weights, optimizer) = tensors(step as f32);
    store.write(&state(step, 1.0 / step as f64), &weights, &optimizer).unwrap()
}

fn store() -> (tempfile::TempDir, CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    (dir, store)
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_checkpoint_comes_back_as_it_was_written() {
    let (_dir, store) = store();
    let info = write(&store, 120);
    assert_eq!(info.name, "step-00000120");
    assert_eq!(names_in(store.path()), ["step-00000120"]);
    assert_eq!(names_in(&info.path), [OPTIMIZER, STATE, WEIGHTS]);
    let loaded = store.load(&info.name).unwrap();
    assert_eq!((loaded.weights, loaded.optimizer), tensors(120.0));
    let files = loaded.state.files.clone();
    assert_eq!(files.keys().collect::<Vec<_>>(), [OPTIMIZER, WEIGHTS]);
    assert_eq!(loaded.state, TrainState { files, ..state(120, 1.0 / 120.0) });
    let on_disk: u64 = names_in(&info.path).iter().map(|f| fs::metadata(info.path.join(f)).unwrap().len()).sum();
    assert_eq!(info.bytes, on_disk);
    assert_eq!(store.list(), [info]);
}

#[test]
fn an_empty_optimizer_still_has_its_file() {
    let (_dir, store) = store();
    let info = store.write(&state(1, 1.0), &tensors(1.0).0, &[]).unwrap();
    assert!(info.path.join(OPTIMIZER).exists());
    assert!(store.load(&info.name).unwrap().optimizer.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn one_flipped_byte_anywhere_is_found_and_its_file_named(file in 0..3usize, at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (_dir, store) = store();
        let info = write(&store, 7);
        let file = [WEIGHTS, OPTIMIZER, STATE][file];
        let path = info.path.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at.index(fs::metadata(&path).unwrap().len() as usize)] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let damage = store.verify(&info.name);
        prop_assert_eq!(damage.iter().map(|d| d.file.as_str()).collect::<Vec<_>>(), [file]);
        let error = store.load(&info.name).unwrap_err().to_string();
        prop_assert!(error.contains(file) && error.contains("step-00000007"), "{}", error);
    }
}

#[test]
fn a_short_or_missing_file_is_named() {
    let (_dir, store) = store();
    let info = write(&store, 7);
    let path = info.path.join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_file(info.path.join(OPTIMIZER)).unwrap();
    let error = store.load(&info.name).unwrap_err().to_string();
    assert!(error.contains("weights.safetensors: it has") && error.contains("optimizer.safetensors: it is missing"));
    assert_eq!(store.verify(&info.name).len(), 2);
}

#[test]
fn the_newest_good_one_is_found_and_what_was_passed_over_is_said() {
    let (_dir, store) = store();
    for step in [10, 20, 30, 40] {
        write(&store, step);
    }
    flip(&store.path().join("step-00000030").join(WEIGHTS), 100);
    flip(&store.path().join("step-00000040").join(STATE), 30);
    let (good, passed) = store.newest_good().unwrap();
    assert_eq!(good.state.step, 20);
    assert_eq!(passed.len(), 2);
    assert!(passed[0].contains("step-00000040") && passed[0].contains(STATE), "{passed:?}");
    assert!(passed[1].contains("step-00000030") && passed[1].contains(WEIGHTS), "{passed:?}");
    assert_eq!(store.list().iter().map(|i| i.step).collect::<Vec<_>>(), [10, 20, 30]);
    for step in [10, 20] {
        flip(&store.path().join(CheckpointStore::name_of(step)).join(WEIGHTS), 100);
    }
    let error = store.newest_good().unwrap_err().to_string();
    assert!(error.contains("no checkpoint that can be loaded") && error.contains("step-00000010"), "{error}");
}

#[test]
fn a_full_disk_at_any_byte_leaves_the_old_ones_and_nothing_else() {
    let (dir, store) = store();
    let old = write(&store, 10);
    let (weights, optimizer) = tensors(20.0);
    for room in (0..old.bytes).step_by(37) {
        let full = fault::disk_full_after(dir.path(), room);
        let error = store.write(&state(20, 0.1), &weights, &optimizer).unwrap_err().to_string();
        assert!(error.contains("No space left") && error.contains("free some space"), "{error}");
        drop(full);
        assert_eq!(names_in(store.path()), [old.name.as_str()], "room for {room} bytes");
        assert!(store.verify(&old.name).is_empty());
    }
    write(&store, 20);
    assert_eq!(store.list().len(), 2);
}

#[test]
fn a_step_that_is_reached_again_keeps_the_same_and_replaces_the_different() {
    let (_dir, store) = store();
    let (weights, optimizer) = tensors(1.0);
    let first = store.write(&state(5, 0.5), &weights, &optimizer).unwrap();
    let again = TrainState { time_ms: 99, reason: "end".into(), ..state(5, 0.5) };
    assert_eq!(store.write(&again, &weights, &optimizer).unwrap(), first, "kept as it was");
    let second = store.write(&state(5, 0.4), &tensors(2.0).0, &optimizer).unwrap();
    assert_eq!(second.metrics["val/loss"], 0.4);
    assert_eq!(store.load(&first.name).unwrap().weights[0], tensors(2.0).0[0]);
    flip(&second.path.join(WEIGHTS), 90);
    store.write(&state(5, 0.4), &tensors(2.0).0, &optimizer).unwrap();
    assert!(store.verify(&first.name).is_empty(), "a damaged one is replaced though its state is the same");
    assert_eq!(names_in(store.path()), [first.name.as_str()]);
}

#[test]
fn remains_are_ignored_never_loaded_and_swept() {
    let (_dir, store) = store();
    write(&store, 10);
    let remains = [".tmp-step-00000020-1-0", "step-00000030", "step-00000040"];
    for name in remains {
        fs::create_dir(store.path().join(name)).unwrap();
        fs::write(store.path().join(name).join(WEIGHTS), "x").unwrap();
    }
    fs::write(store.path().join("step-00000040").join(STATE), "").unwrap();
    assert_eq!(store.list().len(), 1);
    assert_eq!(store.newest_good().unwrap().0.state.step, 10);
    assert!(matches!(store.load("step-00000030"), Err(CheckpointError::Missing { .. })));
    assert_eq!(store.sweep().len(), 3);
    assert_eq!(names_in(store.path()), ["step-00000010"]);
    assert!(store.sweep().is_empty());
}

#[test]
fn a_damaged_checkpoint_is_not_swept() {
    let (_dir, store) = store();
    let info = write(&store, 10);
    flip(&info.path.join(STATE), 50);
    assert!(store.sweep().is_empty());
    assert!(info.path.exists());
}

#[test]
fn pins_are_kept_beside_and_survive_a_replacement() {
    let (_dir, store) = store();
    let info = write(&store, 10);
    assert!(store.pin("step-00000011", true).is_err());
    store.pin(&info.name, true).unwrap();
    assert!(store.verify(&info.name).is_empty());
    store.write(&state(10, 9.0), &tensors(3.0).0, &[]).unwrap();
    assert!(store.list()[0].pinned);
    store.pin(&info.name, false).unwrap();
    assert!(!store.list()[0].pinned);
}

#[test]
fn later_checkpoints_are_set_aside_and_none_is_lost() {
    let (dir, store) = store();
    for _ in 0..2 {
        for step in [10, 20, 30] {
            write(&store, step);
        }
        let moved = store.set_aside_after(10).unwrap();
        assert_eq!(moved.len(), 2);
        assert!(moved.iter().all(|p| load_path(p).is_ok()));
        assert_eq!(names_in(store.path()), ["step-00000010"]);
    }
    assert_eq!(names_in(&dir.path().join("set-aside")).len(), 4);
}

#[test]
fn a_pin_does_not_pass_to_the_checkpoint_that_gets_the_name_of_one_set_aside() {
    let (_dir, store) = store();
    for step in [10, 20] {
        store.pin(&write(&store, step).name, true).unwrap();
    }
    store.set_aside_after(10).unwrap();
    write(&store, 20);
    assert_eq!(store.list().iter().map(|i| i.pinned).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn removing_takes_the_whole_folder() {
    let (_dir, store) = store();
    let info = write(&store, 10);
    store.remove(&info.name).unwrap();
    assert!(names_in(store.path()).is_empty());
    assert!(store.remove(&info.name).is_err());
}

fn run_with(steps: &[(u64, f64)]) -> (tempfile::TempDir, RunHome, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = RunHome::open(dir.path());
    let run = home.create(&crate::core::recipe::Recipe::default(), Lineage::default()).unwrap();
    for (step, loss) in steps {
        run.checkpoints().write(&state(*step, *loss), &tensors(1.0).0, &[]).unwrap();
    }
    (dir, home, run)
}

#[test]
fn a_checkpoint_is_found_by_step_last_best_and_path() {
    let (_dir, home, run) = run_with(&[(10, 0.5), (20, 0.1), (30, 0.2)]);
    let step = |what: &str| home.find_checkpoint(what).unwrap().load().unwrap().state.step;
    assert_eq!(step("last@10"), 10);
    assert_eq!(step("last@last"), 30);
    assert_eq!(step("last@best"), 20);
    assert_eq!(step("last"), 30);
    let path: PathBuf = run.checkpoints().path().join("step-00000010");
    let found = home.find_checkpoint(&path.display().to_string()).unwrap();
    assert_eq!((found.run.as_ref(), found.label()), (Some(&run), format!("{}@10", run.id())));
    let words = |what: &str| home.find_checkpoint(what).unwrap_err().to_string();
    assert!(words("last@11").contains("it has 10, 20, 30"));
    assert!(words("last@x").contains("a step, `last` or `best`"));
    assert!(words("/no/such").contains("does not exist"));
}

#[test]
fn a_damaged_checkpoint_that_was_named_says_what_is_wrong() {
    let (_dir, home, run) = run_with(&[(10, 0.5)]);
    flip(&run.checkpoints().path().join("step-00000010").join(STATE), 9);
    let error = home.find_checkpoint("last@10").unwrap().load().unwrap_err().to_string();
    assert!(error.contains("state.json: its checksum does not match"), "{error}");
}

#[test]
fn weights_come_back_in_the_models_order_though_the_file_has_another() {
    let (_dir, store) = store();
    let count = |name: &str| HostTensor { name: name.into(), dtype: DType::Int64, shape: vec![], data: vec![0; 8] };
    let value = |name: &str| HostTensor::from_f32(name, &[1], &[1.0]);
    let weights = vec![
        value("conv1.weight"),
        value("bn1.weight"),
        value("bn1.running_mean"),
        count("bn1.num_batches_tracked"),
        value("layer1.0.bn1.bias"),
        count("layer1.0.bn1.num_batches_tracked"),
        value("attn.bias_table"),
        count("attn.index"),
        value("attn.qkv.weight"),
        value("fc.bias"),
    ];
    let info = store.write(&state(1, 1.0), &weights, &[]).unwrap();
    assert_eq!(store.load(&info.name).unwrap().weights, weights);
    assert_eq!(load_weights(&store.path().join(&info.name)).unwrap().1, weights);
}
