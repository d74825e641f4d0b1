//! Image folders: layouts, damage, preprocessing and prediction.

use super::*;
use image::{Rgb, RgbImage};
use std::path::Path;

/// Writes an image of one colour.
pub(super) fn paint(path: &Path, width: u32, height: u32, colour: [u8; 3]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, Rgb(colour)).save(path).unwrap();
}

/// `classes` folders of `each` images below `root`.
pub(super) fn fill(root: &Path, classes: &[&str], each: usize) {
    for (number, class) in classes.iter().enumerate() {
        for i in 0..each {
            let path = root.join(class).join(format!("{i}.png"));
            paint(&path, 10 + i as u32, 12, [number as u8 * 50, i as u8 * 20, 9]);
        }
    }
}

pub(super) fn spec(root: &Path) -> DataSpec {
    DataSpec { source: SourceKind::ImageFolder, path: Some(root.into()), image_size: Some(8), ..DataSpec::default() }
}

fn words(root: &Path) -> String {
    open(&spec(root), None, 0).err().unwrap().to_string()
}

#[test]
fn classes_are_sorted_by_name_and_split_alike() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["dog", "Zebra", "cat"], 10);
    std::fs::create_dir(folder.path().join(".ipynb_checkpoints")).unwrap();
    std::fs::write(folder.path().join("dog/notes.txt"), "x").unwrap();
    let data = open(&spec(folder.path()), None, 0).unwrap();
    let info = data.info();
    assert_eq!(info.class_names, ["Zebra", "cat", "dog"]);
    assert_eq!((info.train_len, info.val_len, info.outputs), (24, 6, 3));
    assert_eq!(info.sample_shape, [3, 8, 8]);
    let Targets::Classes(labels) = &collect(data.val(6))[0].y else { panic!("not classes") };
    assert_eq!(labels, &[0, 0, 1, 1, 2, 2]);
    let default = open(&DataSpec { image_size: None, ..spec(folder.path()) }, None, 0).unwrap();
    assert_eq!(default.info().sample_shape, [3, 224, 224]);
}

#[test]
fn pixels_come_out_scaled_in_planes() {
    let folder = tempfile::tempdir().unwrap();
    paint(&folder.path().join("a/1.png"), 20, 13, [255, 51, 0]);
    let rgb = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, Some(3), 0).unwrap();
    let x = collect(rgb.train(plan(1)))[0].x.clone();
    assert_eq!((x.len(), x[0], x[64], x[128]), (192, 1.0, 0.2, 0.0));
    let gray = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, Some(1), 0).unwrap();
    assert_eq!(
        (gray.info().sample_shape.clone(), collect(gray.train(plan(1)))[0].x[0]),
        (vec![1, 8, 8], 106.0 / 255.0)
    );
}

#[test]
fn train_and_val_folders_are_the_split() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("train"), &["a", "b"], 3);
    fill(&folder.path().join("val"), &["b"], 2);
    let data = open(&spec(folder.path()), None, 0).unwrap();
    assert_eq!((data.info().train_len, data.info().val_len), (6, 2));
    let batch = &collect(data.val(8))[0];
    assert_eq!((&batch.y, &batch.indices[..]), (&Targets::Classes(vec![1, 1]), &[6, 7][..]));
    fill(&folder.path().join("val"), &["c"], 1);
    assert!(words(folder.path()).contains("class \"c\" is not in the train folder, which has 0 = a, 1 = b"));
    std::fs::remove_dir_all(folder.path().join("val")).unwrap();
    std::fs::create_dir_all(folder.path().join("val/a")).unwrap();
    assert!(words(folder.path()).contains("no images in the validation folder"));
    std::fs::remove_dir_all(folder.path().join("val")).unwrap();
    assert_eq!(open(&spec(folder.path()), None, 0).unwrap().info().val_len, 1);
}

#[test]
fn a_folder_named_train_that_holds_images_is_a_class() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["train", "plane"], 2);
    assert_eq!(open(&spec(folder.path()), None, 0).unwrap().info().class_names, ["plane", "train"]);
}

#[test]
fn empty_folders_are_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    assert!(words(folder.path()).contains("no folders in it"));
    fill(folder.path(), &["a"], 2);
    std::fs::create_dir(folder.path().join("b")).unwrap();
    assert!(words(folder.path()).contains("class folder \"b\" has no images"));
    let only_a = DataSpec { classes: vec![ClassRef::Name("a".into())], ..spec(folder.path()) };
    assert_eq!(open(&only_a, None, 0).unwrap().info().outputs, 1);
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(words(&file).contains("not a folder"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_one_that_leads_nowhere_is_a_damaged_image() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(elsewhere.path(), &["real"], 2);
    std::os::unix::fs::symlink(elsewhere.path().join("real"), folder.path().join("linked")).unwrap();
    std::os::unix::fs::symlink("/nowhere.png", elsewhere.path().join("real/9.png")).unwrap();
    let data = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, None, 0).unwrap();
    assert_eq!((data.info().train_len, collect(data.train(plan(3)))[0].len()), (3, 2));
    assert_eq!(data.skipped().0, 1);
}

#[cfg(unix)]
#[test]
fn a_ring_of_links_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 1);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
    assert!(words(folder.path()).contains("link"), "{}", words(folder.path()));
}

#[test]
fn a_damaged_image_is_skipped_counted_once_and_named() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 5);
    std::fs::write(folder.path().join("a/2.png"), b"damaged").unwrap();
    let skip = DataSpec { val_fraction: 0.0, ..spec(folder.path()) };
    for workers in [0, 2] {
        let data = open(&DataSpec { workers, ..skip.clone() }, None, 0).unwrap();
        for _ in 0..2 {
            let seen: usize = collect(data.train(plan(5))).iter().map(Batch::len).sum();
            assert_eq!(seen, 4);
        }
        let (count, names) = data.skipped();
        assert_eq!(count, 1);
        assert!(names[0].contains("a/2.png: it is neither a JPEG nor a PNG"), "{names:?}");
        let stop = DataSpec { workers, on_bad_image: OnBadImage::Stop, ..skip.clone() };
        let results: Vec<_> = open(&stop, None, 0).unwrap().train(plan(5)).collect();
        assert_eq!(results.len(), 1);
        let words = results[0].as_ref().unwrap_err().to_string();
        assert!(words.contains("a/2.png") && words.contains("on_bad_image"), "{words}");
    }
}

#[test]
fn a_training_batch_is_never_empty_and_validation_skips_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 4);
    for bad in [0, 1] {
        std::fs::write(folder.path().join(format!("a/{bad}.png")), b"damaged").unwrap();
    }
    let data = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, None, 0).unwrap();
    let batches = collect(data.train(EpochPlan { shuffle: false, ..plan(1) }));
    let indices: Vec<u64> = batches.iter().map(|b| b.indices[0]).collect();
    assert_eq!(indices, [2, 2, 2, 3]); // the next good image stands in
    let resumed = collect(data.train(EpochPlan { shuffle: false, start_batch: 1, ..plan(1) }));
    assert_eq!(resumed, batches[1..]);
    let split = tempfile::tempdir().unwrap();
    fill(&split.path().join("train"), &["a"], 1);
    fill(&split.path().join("val"), &["a"], 3);
    std::fs::write(split.path().join("val/a/1.png"), b"damaged").unwrap();
    let data = open(&spec(split.path()), None, 0).unwrap();
    assert_eq!(collect(data.val(1)).iter().map(|b| b.indices[0]).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_folder_of_damaged_images_alone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 3);
    (0..3).for_each(|i| std::fs::write(folder.path().join(format!("a/{i}.png")), b"bad").unwrap());
    let data = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, None, 0).unwrap();
    let words = data.train(plan(2)).next().unwrap().unwrap_err().to_string();
    assert!(words.contains("none of the 3 training images"), "{words}");
}

#[test]
fn the_fingerprint_tells_names_and_sizes() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a", "b"], 2);
    let print = |root: &Path| open(&spec(root), None, 0).unwrap().info().fingerprint.clone();
    let before = print(folder.path());
    let moved = tempfile::tempdir().unwrap();
    fill(moved.path(), &["a", "b"], 2);
    assert_eq!(print(moved.path()), before);
    std::fs::rename(moved.path().join("a/0.png"), moved.path().join("a/7.png")).unwrap();
    assert_ne!(print(moved.path()), before);
    std::fs::write(folder.path().join("b/1.png"), b"another size").unwrap();
    assert_ne!(print(folder.path()), before);
}

#[test]
fn predict_sees_what_validation_saw() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("train"), &["a"], 1);
    fill(&folder.path().join("val"), &["a"], 12);
    let spec = DataSpec { normalize: Normalize::Named(NamedNormalize::Imagenet), ..spec(folder.path()) };
    let data = open(&spec, Some(3), 0).unwrap();
    let text = data.info().preprocessing.to_string();
    let stored = serde_json::from_str(&text).unwrap();
    let inputs = load_inputs(&[folder.path().join("val/a")], &stored, OnBadImage::Skip).unwrap();
    assert_eq!((inputs.shape, inputs.names.len()), (vec![12, 3, 8, 8], 12));
    assert_eq!(inputs.x, collect(data.val(12))[0].x);
}

#[test]
fn predict_brings_an_image_to_the_size_and_channel_of_the_digits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("five.png");
    paint(&path, 40, 60, [255, 255, 255]);
    let info = open(&DataSpec::default(), None, 0).unwrap().info().clone();
    let inputs = load_inputs(std::slice::from_ref(&path), &info.preprocessing, OnBadImage::Skip).unwrap();
    assert_eq!((inputs.x, inputs.shape), (vec![1.0; 64], vec![1, 1, 8, 8]));
    assert!(load_inputs(&[], &info.preprocessing, OnBadImage::Skip).is_err());
    let junk = serde_json::json!({"kind": "image", "shape": [], "repeat": 1, "mean": [], "std": []});
    assert!(load_inputs(&[folder.path().into()], &junk, OnBadImage::Skip).is_err());
}

#[test]
fn predict_skips_damaged_images_of_a_folder_and_refuses_one_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 13);
    let data = open(&DataSpec { val_fraction: 0.0, ..spec(folder.path()) }, None, 0).unwrap();
    let at = |name: &str| folder.path().join("a").join(name);
    std::fs::write(at("3.png"), b"damaged").unwrap();
    std::fs::write(at("11.png"), b"").unwrap();
    let load = |what: &Path, on_bad| load_inputs(&[what.into()], &data.info().preprocessing, on_bad);
    let inputs = load(folder.path(), OnBadImage::Skip).unwrap();
    assert_eq!((inputs.shape, inputs.names.len(), inputs.x.len()), (vec![11, 3, 8, 8], 11, 11 * 192));
    assert!(inputs.names.iter().all(|n| !n.ends_with("a/3.png") && !n.ends_with("a/11.png")), "{:?}", inputs.names);
    let alone = load(&at("12.png"), OnBadImage::Skip).unwrap();
    assert_eq!(
        inputs.names.iter().position(|n| *n == alone.names[0]).map(|i| &inputs.x[i * 192..][..192]),
        Some(&alone.x[..])
    );
    assert!(inputs.skipped[0].ends_with("a/11.png: the file is empty"), "{:?}", inputs.skipped);
    assert!(inputs.skipped[1].contains("a/3.png: it is neither"), "{:?}", inputs.skipped);
    let words = |what: &Path, on_bad| load(what, on_bad).unwrap_err().to_string();
    assert!(words(folder.path(), OnBadImage::Stop).contains("on_bad_image"));
    assert!(words(&at("3.png"), OnBadImage::Skip).contains("3.png: cannot be decoded"));
    let nowhere = words(&at("nothere.png"), OnBadImage::Skip);
    assert!(nowhere.contains("nothere.png") && nowhere.ends_with("check that it exists and can be read"), "{nowhere}");
    (0..13).for_each(|i| std::fs::write(at(&format!("{i}.png")), b"bad").unwrap());
    let none = words(folder.path(), OnBadImage::Skip);
    assert!(none.contains("none of the 13 images can be decoded"), "{none}");
}

#[test]
fn damaged_images_are_told_in_one_line_with_some_names() {
    let images: Vec<String> = (0..5).map(|i| format!("{i}.png: why")).collect();
    assert_eq!(skipped_words(&[]), None);
    let said = |images: &[String]| skipped_words(images).unwrap();
    assert_eq!(said(&images[..1]), "1 damaged image is skipped: 0.png: why");
    assert_eq!(said(&images[..2]), "2 damaged images are skipped: 0.png: why; 1.png: why");
    assert_eq!(said(&images), "5 damaged images are skipped: 0.png: why; 1.png: why; 2.png: why; and 2 more");
}

#[test]
fn predict_repeats_the_channel_of_gray_tensors_for_a_model_of_colours() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &["a"], 3);
    let spec = DataSpec { normalize: Normalize::Named(NamedNormalize::Imagenet), ..spec(folder.path()) };
    let data = open(&spec, Some(3), 0).unwrap();
    let load = |shape: &[usize], dtype, values: &[u8]| {
        let path = folder.path().join("x.safetensors");
        let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), values).unwrap();
        std::fs::write(&path, safetensors::serialize([("x", view)], None).unwrap()).unwrap();
        load_inputs(&[path], &data.info().preprocessing, OnBadImage::Skip)
    };
    let gray: Vec<u8> = (0..128).map(|i| i * 2).collect();
    let colours: Vec<u8> = gray.chunks(64).flat_map(|plane| plane.repeat(3)).collect();
    let floats = |bytes: &[u8]| bytes.iter().flat_map(|b| (f32::from(*b) / 255.0).to_le_bytes()).collect::<Vec<u8>>();
    use safetensors::Dtype::{F32, U8};
    let wanted = load(&[2, 3, 8, 8], U8, &colours).unwrap();
    assert_eq!(load(&[2, 1, 8, 8], U8, &gray).unwrap(), wanted);
    assert_eq!(load(&[2, 1, 8, 8], F32, &floats(&gray)).unwrap(), wanted);
    let words = load(&[2, 1, 4, 16], U8, &gray).unwrap_err().to_string();
    assert!(words.contains("[2, 1, 4, 16]") && words.contains("[3, 8, 8]"), "{words}");
}
