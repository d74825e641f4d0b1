//! Power cuts at every point of what a run does to its folder: the write trace is played back with whatever was not flushed
//! lost, in every combination. What loads as a checkpoint is whole, and what was acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::core::io::disk::Disk;
use crate::core::io::trace::{self, Op, Recording};
use crate::core::io::{self, fault};
use crate::core::recipe::Recipe;
use crate::core::run::{Lineage, RunDir, RunHome};
use crate::core::tensor::HostTensor;
use crate::core::weights::{self, WeightsError, write_pth, write_safetensors};

/// What the weights of a checkpoint are filled with, for the steps that must load.
type Expected = BTreeMap<u64, BTreeSet<u32>>;

/// In memory where there is such a place: what is found needs no disk, and there are thousands.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn weights(content: u32) -> Vec<HostTensor> {
    vec![HostTensor::from_f32("w", &[300], &[content as f32; 300])]
}

fn content(loaded: &LoadedCheckpoint) -> u32 {
    let values = loaded.weights[0].to_f32().unwrap();
    assert!(values.iter().all(|v| *v == values[0]) && values.len() == 300);
    values[0] as u32
}

/// A run that is recorded, and what is expected from each mark on.
struct Story {
    folder: tempfile::TempDir,
    recording: Recording,
    expected: Vec<Expected>,
    now: Expected,
}

impl Story {
    fn new() -> Self {
        let folder = scratch();
        let recording = trace::record(folder.path());
        Self { folder, recording, expected: vec![Expected::new()], now: Expected::new() }
    }

    fn create(&self) -> RunDir {
        let home = RunHome::open(self.folder.path().join("deep/home"));
        home.create(&Recipe::default(), Lineage::default()).unwrap()
    }

    fn mark(&mut self) {
        self.recording.mark(self.expected.len());
        self.expected.push(self.now.clone());
    }

    fn write(&mut self, run: &RunDir, step: u64, content: u32) {
        // Until it is acknowledged, the one before may be there still.
        self.now.get_mut(&step).into_iter().for_each(|contents| _ = contents.insert(content));
        self.mark();
        let state = TrainState { step, ..TrainState::default() };
        run.checkpoints().write(&state, &weights(content), &[]).unwrap();
        self.now.insert(step, BTreeSet::from([content]));
        self.mark();
    }

    fn remove(&mut self, run: &RunDir, step: u64) {
        self.now.remove(&step);
        self.mark();
        run.checkpoints().remove(&CheckpointStore::name_of(step)).unwrap();
    }

    /// Each state that may be found after a power cut at any point, laid out, with what is expected of it.
    fn cuts(&self, mut check: impl FnMut(&Path, &Expected, &str)) -> usize {
        let ops = self.recording.ops();
        let (mut disk, mut mark, mut states) = (Disk::new(), 0, 0);
        for (n, op) in ops.iter().enumerate() {
            disk.apply(op);
            if let Op::Mark(number) = op {
                mark = *number;
            }
            for fates in disk.fates() {
                let found = scratch();
                disk.lay(&fates, found.path());
                check(found.path(), &self.expected[mark], &format!("after {n}: {}", short(op)));
                states += 1;
            }
        }
        states
    }
}

fn short(op: &Op) -> String {
    format!("{op:?}").chars().take(120).collect()
}

/// The run in what was found, if it is there.
fn found(folder: &Path) -> Option<RunDir> {
    RunHome::open(folder.join("deep/home")).runs().unwrap().pop()
}

fn check(folder: &Path, expected: &Expected, written: &BTreeSet<(u64, u32)>, when: &str) {
    let Some(run) = found(folder) else {
        assert!(expected.is_empty(), "{when}: the run is gone");
        return;
    };
    run.meta().unwrap_or_else(|e| panic!("{when}: {e}"));
    let store = run.checkpoints();
    let whole = |loaded: &LoadedCheckpoint| {
        let found = (loaded.state.step, content(loaded));
        assert!(written.contains(&found), "{when}: {found:?} was never written");
        found
    };
    // As a reader finds it, who does not wait for a sweep.
    store.names().iter().filter_map(|name| store.load(name).ok()).for_each(|loaded| _ = whole(&loaded));
    store.sweep();
    for (step, contents) in expected {
        let loaded = store.load(&CheckpointStore::name_of(*step)).unwrap_or_else(|e| panic!("{when}: {e}"));
        assert!(contents.contains(&whole(&loaded).1), "{when}: step {step} holds {}", content(&loaded));
    }
    let names = store.names();
    assert!(names.iter().all(|n| store.verify(n).is_empty()), "{when}: {names:?}");
    if let Some(newest) = expected.keys().last() {
        let (loaded, passed) = store.newest_good().unwrap();
        assert!(loaded.state.step >= *newest && passed.is_empty(), "{when}: {passed:?}");
    }
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), names.len(), "{when}: remains were not swept");
}

/// Saves, prunes, replaces, pins; returns everything that was ever written.
fn tell(story: &mut Story) -> BTreeSet<(u64, u32)> {
    let run = story.create();
    for (step, content) in [(1, 10), (2, 20)] {
        story.write(&run, step, content);
    }
    story.remove(&run, 1);
    story.write(&run, 2, 21);
    run.checkpoints().pin("step-00000002", true).unwrap();
    story.write(&run, 3, 30);
    BTreeSet::from([(1, 10), (2, 20), (2, 21), (3, 30)])
}

#[test]
fn a_power_cut_at_any_point_leaves_whole_checkpoints_and_every_acknowledged_one() {
    for exchanges in [true, false] {
        let mut story = Story::new();
        let _one_by_one = (!exchanges).then(|| fault::no_exchange(story.folder.path()));
        let written = tell(&mut story);
        let mut seen = 0;
        let states = story.cuts(|folder, expected, when| {
            check(folder, expected, &written, when);
            seen += usize::from(found(folder).is_some_and(|run| !run.checkpoints().names().is_empty()));
            // The pins are those before or those after.
            let pins = found(folder).and_then(|run| fs::read(run.path().join("pins.json")).ok());
            assert!(pins.is_none_or(|p| p == br#"["step-00000002"]"#), "{when}");
        });
        assert!(states > 200 && seen > 100, "{states} states, {seen} with checkpoints");
    }
}

#[test]
fn a_power_cut_after_a_kill_and_while_its_remains_are_swept_costs_nothing_either() {
    for exchanges in [true, false] {
        let mut story = Story::new();
        let _one_by_one = (!exchanges).then(|| fault::no_exchange(story.folder.path()));
        let written = tell(&mut story);
        let ops = story.recording.ops();
        let (mut disk, mut mark) = (Disk::new(), 0);
        for (n, op) in ops.iter().enumerate() {
            disk.apply(op);
            if let Op::Mark(number) = op {
                mark = *number;
            }
            if matches!(op, Op::Write(..) | Op::Sync(_) | Op::Create(_)) {
                continue;
            }
            // Killed here: the system has it all, the disk has not.
            let killed = scratch();
            disk.lay(&disk.kept(), killed.path());
            let recording = trace::record(killed.path());
            let Some(run) = found(killed.path()) else { continue };
            run.checkpoints().sweep();
            let mut after = disk.clone();
            for op in recording.ops() {
                after.apply(&op);
                for fates in after.fates() {
                    let found = scratch();
                    after.lay(&fates, found.path());
                    check(found.path(), &story.expected[mark], &written, &format!("killed after {n}, {}", short(&op)));
                }
            }
        }
    }
}

#[test]
fn checkpoints_that_are_set_aside_are_there_or_still_in_their_place() {
    let mut story = Story::new();
    let run = story.create();
    for step in 1..=3 {
        story.write(&run, step, 7);
    }
    // From here on they are looked for in both places.
    story.now.clear();
    story.mark();
    let last = story.expected.len() - 1;
    run.checkpoints().set_aside_after(1).unwrap();
    story.recording.mark(last);
    let (mut disk, mut begun, mut aside) = (Disk::new(), false, 0);
    for op in story.recording.ops() {
        disk.apply(&op);
        begun |= op == Op::Mark(last);
        for fates in disk.fates().into_iter().filter(|_| begun) {
            let folder = scratch();
            disk.lay(&fates, folder.path());
            let run = found(folder.path()).unwrap();
            for step in 1..=3 {
                let name = CheckpointStore::name_of(step);
                let places = [run.checkpoints().path().join(&name), run.path().join("set-aside").join(&name)];
                assert!(places.iter().any(|path| load_path(path).is_ok()), "{}: {name}", short(&op));
            }
            aside += usize::from(run.path().join("set-aside/step-00000003").exists());
        }
    }
    assert!(aside > 0);
}

#[test]
fn an_export_is_the_old_file_or_the_whole_new_one() {
    export_survives(|path, weights, force| write_safetensors(path, weights, &BTreeMap::new(), force));
    export_survives(write_pth);
}

fn export_survives(write: impl Fn(&Path, &[HostTensor], bool) -> Result<(), WeightsError>) {
    let folder = scratch();
    let path = folder.path().join("out");
    let recording = trace::record(folder.path());
    let (old, new) = (weights(1), weights(2));
    write(&path, &old, false).unwrap();
    recording.mark(1);
    write(&path, &new, true).unwrap();
    recording.mark(2);
    let (mut disk, mut mark, mut states) = (Disk::new(), 0, 0);
    for op in recording.ops() {
        disk.apply(&op);
        if let Op::Mark(number) = op {
            mark = number;
        }
        for fates in disk.fates() {
            let found = scratch();
            disk.lay(&fates, found.path());
            let there = found.path().join("out");
            let read = there.exists().then(|| weights::read(&there, None).unwrap().into_tensors().unwrap());
            let fits = match mark {
                0 => read.as_ref().is_none_or(|t| *t == old),
                1 => read.as_ref().is_some_and(|t| *t == old || *t == new),
                _ => read.as_ref().is_some_and(|t| *t == new),
            };
            assert!(fits, "{}", short(&op));
            states += 1;
        }
    }
    assert!(states > 15, "{states}");
}

/// The disk of these tests loses what is not flushed: the same steps without flushes do not pass.
#[test]
fn the_disk_of_these_tests_finds_a_flush_that_is_missing() {
    for (left_out, lost) in [(0, "the bytes"), (1, "the name")] {
        let folder = scratch();
        let recording = trace::record(folder.path());
        io::write_atomic(&folder.path().join("a"), b"whole").unwrap();
        let flushes = |op: &Op| matches!(op, Op::Sync(_) | Op::SyncDir(_));
        let mut ops = recording.ops();
        let at: Vec<usize> = ops.iter().enumerate().filter(|(_, op)| flushes(op)).map(|(i, _)| i).collect();
        assert_eq!(at.len(), 2);
        let whole = |ops: &[Op]| {
            let mut disk = Disk::new();
            ops.iter().for_each(|op| disk.apply(op));
            disk.fates().iter().all(|fates| {
                let found = scratch();
                disk.lay(fates, found.path());
                fs::read(found.path().join("a")).is_ok_and(|bytes| bytes == b"whole")
            })
        };
        assert!(whole(&ops));
        ops.remove(at[left_out]);
        assert!(!whole(&ops), "{lost}");
    }
}
