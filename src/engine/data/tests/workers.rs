//! Worker threads change nothing but the time it takes, and end with their loader.

use super::folder::{fill, spec};
use super::*;
use proptest::prelude::*;

const ALL: [Augment; 7] = [
    Augment::RandomResizedCrop,
    Augment::RandomCrop,
    Augment::HorizontalFlip,
    Augment::VerticalFlip,
    Augment::RandomRotation,
    Augment::ColorJitter,
    Augment::RandomErasing,
];

#[test]
fn any_number_of_workers_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a", "b"], 9);
    std::fs::write(folder.path().join("a/3.png"), b"damaged").unwrap();
    let made = |workers| {
        let spec = DataSpec { workers, augment: ALL.to_vec(), ..spec(folder.path()) };
        let data = open(&spec, None, 0).unwrap();
        [collect(data.train(plan(4))), collect(data.val(2))]
    };
    let none = made(0);
    assert_eq!(made(1), none);
    assert_eq!(made(4), none);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn augmented_epochs_resume_anywhere_with_any_number_of_workers(
        seed: u64, epoch in 0u64..9, start_batch in 0usize..32, workers in 0usize..4, batch_size in 30usize..90
    ) {
        let spec = DataSpec { augment: ALL[1..].to_vec(), ..DataSpec::default() };
        let plan = EpochPlan { seed, epoch, batch_size, shuffle: true, drop_last: false, start_batch: 0 };
        let whole = collect(open(&DataSpec { workers: 0, ..spec.clone() }, None, 0).unwrap().train(plan));
        let again = open(&DataSpec { workers, ..spec }, None, 0).unwrap();
        let rest = collect(again.train(EpochPlan { start_batch, ..plan }));
        prop_assert_eq!(&rest[..], &whole[start_batch.min(whole.len())..]);
    }
}

#[test]
fn augmentation_changes_with_the_epoch_and_validation_has_none() {
    let spec = DataSpec { augment: vec![Augment::RandomRotation], ..DataSpec::default() };
    let data = open(&spec, None, 0).unwrap();
    let epoch = |epoch| collect(data.train(EpochPlan { epoch, shuffle: false, ..plan(64) }))[0].x.clone();
    assert_ne!(epoch(0), epoch(1));
    assert_eq!(epoch(0), epoch(0));
    let plain = open(&DataSpec::default(), None, 0).unwrap();
    assert_eq!(collect(data.val(64)), collect(plain.val(64)));
}

#[test]
fn dropping_a_loader_ends_its_workers_even_with_full_queues() {
    let spec = DataSpec { workers: 4, augment: ALL.to_vec(), image_size: Some(32), ..DataSpec::default() };
    let data = open(&spec, None, 0).unwrap();
    for taken in [0, 1, 5] {
        let mut loader = data.train(plan(8));
        for _ in 0..taken {
            loader.next().unwrap().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20)); // let the queues fill
        assert_eq!(data.holders(), 1 + 1 + 4); // this handle, the loader, four workers
        drop(loader);
        assert_eq!(data.holders(), 1);
    }
    let mut loader = data.train(plan(500));
    assert_eq!(loader.by_ref().count(), 3);
    drop(loader);
    assert_eq!(data.holders(), 1);
}

#[test]
fn plain_digits_start_no_worker() {
    let data = open(&DataSpec { workers: 8, ..DataSpec::default() }, None, 0).unwrap();
    let loader = data.train(plan(8));
    assert_eq!(data.holders(), 2);
    drop(loader);
}

#[test]
fn a_worker_that_panics_becomes_an_error_and_ends_the_pass() {
    for workers in [0, 2] {
        let spec = DataSpec { workers, augment: vec![Augment::RandomRotation], ..DataSpec::default() };
        let data = open(&spec, None, 0).unwrap().with_a_sample_that_does_not_exist();
        let results: Vec<_> = data.train(EpochPlan { shuffle: false, ..plan(1000) }).collect();
        let words = results.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(words.contains("a data worker failed on batch 1"), "{words}");
        assert_eq!(results.len(), 2);
    }
}
