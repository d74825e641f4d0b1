//! Rules that hold across the module, on small data.

use super::*;
use crate::core::recipe::ClassRef;
use crate::engine::{Batch, Targets};

pub(super) fn plan(batch_size: usize) -> EpochPlan {
    EpochPlan { seed: 5, epoch: 1, batch_size, shuffle: true, drop_last: false, start_batch: 0 }
}

pub(super) fn collect(loader: Loader) -> Vec<Batch> {
    loader.map(Result::unwrap).collect()
}

fn indices(batches: &[Batch]) -> Vec<u64> {
    batches.iter().flat_map(|b| b.indices.clone()).collect()
}

#[test]
fn every_digit_comes_exactly_once_an_epoch_and_never_from_the_validation_part() {
    let data = open(&DataSpec::default(), None, 3).unwrap();
    let (train, val) = (collect(data.train(plan(32))), collect(data.val(100)));
    assert_eq!(train.len(), data.batches_per_epoch(32, false));
    let mut all = [indices(&train), indices(&val)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..1797).collect::<Vec<u64>>());
    assert_eq!((data.info().train_len, data.info().val_len), (1438, 359));
    assert_eq!(train[0].x_shape, [32, 1, 8, 8]);
    assert_eq!(train[0].x.len(), 32 * 64);
}

#[test]
fn an_epoch_resumed_at_a_batch_is_the_rest_of_the_whole_one() {
    let data = open(&DataSpec::default(), None, 3).unwrap();
    let whole = collect(data.train(plan(50)));
    for start_batch in [0, 1, 17, 28, 29, 99] {
        let rest = collect(data.train(EpochPlan { start_batch, ..plan(50) }));
        assert_eq!(rest, whole[start_batch.min(whole.len())..]);
    }
}

#[test]
fn chosen_classes_are_renumbered_and_the_others_are_gone() {
    let spec = DataSpec { classes: vec![ClassRef::Index(9), ClassRef::Name("5".into())], ..DataSpec::default() };
    let data = open(&spec, None, 0).unwrap();
    assert_eq!(data.info().class_names, ["9", "5"]);
    assert_eq!((data.info().outputs, data.info().train_len + data.info().val_len), (2, 180 + 182));
    let everything = open(&DataSpec { val_fraction: 0.0, ..DataSpec::default() }, None, 0).unwrap();
    let original: std::collections::BTreeMap<u64, i64> = collect(everything.train(plan(64)))
        .into_iter()
        .flat_map(|b| match b.y {
            Targets::Classes(y) => b.indices.into_iter().zip(y).collect::<Vec<_>>(),
            Targets::Values { .. } => Vec::new(),
        })
        .collect();
    for batch in collect(data.train(plan(64))) {
        let Targets::Classes(y) = batch.y else { panic!("not classes") };
        for (index, label) in batch.indices.iter().zip(y) {
            assert_eq!(original[index], [9, 5][label as usize]);
        }
    }
}

#[test]
fn drop_last_leaves_out_the_smaller_batch() {
    let data = open(&DataSpec::default(), None, 0).unwrap();
    let sizes: Vec<usize> =
        collect(data.train(EpochPlan { drop_last: true, ..plan(100) })).iter().map(Batch::len).collect();
    assert_eq!(sizes, [100; 14]);
    assert_eq!(data.batches_per_epoch(100, true), 14);
}

#[test]
fn a_data_set_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Dataset>();
    fn sent<T: Send>() {}
    sent::<Loader>();
}
