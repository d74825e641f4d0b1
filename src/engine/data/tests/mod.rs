//! Rules that hold across the module, on small data.

mod folder;
mod workers;

use super::*;
use crate::core::recipe::{Augment, ClassRef, NamedNormalize, Normalize, OnBadImage, SourceKind};
use crate::engine::{Batch, Targets};

fn plan(batch_size: usize) -> EpochPlan {
    EpochPlan { seed: 5, epoch: 1, batch_size, shuffle: true, drop_last: false, start_batch: 0 }
}

fn collect(loader: Loader) -> Vec<Batch> {
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

#[test]
fn digits_can_feed_a_three_channel_model_at_another_size() {
    let spec = DataSpec {
        image_size: Some(32),
        normalize: Normalize::Named(NamedNormalize::Imagenet),
        augment: vec![Augment::RandomResizedCrop, Augment::ColorJitter, Augment::RandomErasing],
        ..DataSpec::default()
    };
    let data = open(&spec, Some(3), 0).unwrap();
    assert_eq!(data.info().sample_shape, [3, 32, 32]);
    let train = collect(data.train(EpochPlan { batch_size: 300, ..plan(0) }));
    let val = collect(data.val(300));
    assert_eq!((&train[0].x_shape[..], train[0].x.len()), (&[300, 3, 32, 32][..], 300 * 3 * 32 * 32));
    assert_eq!(val[0].x.len(), 300 * 3 * 32 * 32);
    assert!(train.iter().chain(&val).all(|b| b.x.iter().all(|v| v.is_finite() && v.abs() < 3.0)));
}

#[test]
fn a_regression_target_has_one_row_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let f32s = |n: usize| (0..n).flat_map(|v| (v as f32).to_le_bytes()).collect::<Vec<u8>>();
    let (x, y) = (f32s(30), f32s(10));
    let view = |shape: &[usize], data| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), data).unwrap()
    };
    let bytes = safetensors::serialize([("x", view(&[10, 3], &x)), ("y", view(&[10], &y))], None).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let spec = DataSpec { source: SourceKind::Tensors, path: Some(path.clone()), ..DataSpec::default() };
    let data = open(&spec, None, 0).unwrap();
    let info = data.info();
    assert_eq!((info.regression, info.outputs, info.train_len, info.val_len), (true, 1, 8, 2));
    let batch = &collect(data.train(plan(3)))[0];
    let Targets::Values { data: y, shape } = &batch.y else { panic!("not values") };
    assert_eq!(shape, &[3, 1]);
    for (row, index) in batch.indices.iter().enumerate() {
        assert_eq!((y[row], batch.x[row * 3]), (*index as f32, *index as f32 * 3.0));
    }
    let inputs = load_inputs(std::slice::from_ref(&path), &info.preprocessing, OnBadImage::Skip).unwrap();
    assert_eq!((inputs.x.len(), inputs.shape), (30, vec![10, 3]));
    assert_eq!(inputs.names[9], format!("{}[9]", path.display()));
    let refused = |spec: DataSpec| open(&spec, None, 0).err().unwrap().to_string();
    assert!(refused(DataSpec { augment: vec![Augment::HorizontalFlip], ..spec.clone() }).contains("data.augment"));
    assert!(refused(DataSpec { image_size: Some(8), ..spec.clone() }).contains("data.image_size = 8"));
    assert!(refused(DataSpec { classes: vec![ClassRef::Index(0)], ..spec }).contains("data.classes"));
}

#[test]
fn what_the_recipe_lacks_is_said_in_words() {
    let refused = |spec: DataSpec| open(&spec, None, 0).err().unwrap().to_string();
    for source in [SourceKind::ImageFolder, SourceKind::Cifar10, SourceKind::Mnist, SourceKind::Tensors] {
        let missing = DataSpec { source, ..DataSpec::default() };
        assert!(refused(missing.clone()).contains("data.path is missing"));
        let nowhere = DataSpec { path: Some("/nowhere/at/all".into()), ..missing };
        assert!(refused(nowhere).contains("/nowhere/at/all"));
    }
    assert!(refused(DataSpec { val_fraction: 1.0, ..DataSpec::default() }).contains("data.val_fraction = 1"));
    assert!(refused(DataSpec { image_size: Some(0), ..DataSpec::default() }).contains("data.image_size"));
}
