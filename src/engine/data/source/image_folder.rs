//! `class/name.jpg` below a folder, or below its `train` and `val` folders; classes are numbered by name, as
//! torchvision's `ImageFolder` does it. Images may lie in folders of their own inside a class.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::files::{Entry, asked_of_each, entries, fingerprint, images_below, is_image};
use super::{DataError, Labels, Source, Store};
use crate::core::recipe::ClassRef;
use crate::engine::data::classes;

/// Names under which a validation part is found.
const VAL: [&str; 3] = ["val", "valid", "validation"];

/// Folders whose listing is worth a thread.
const FOLDERS_WORTH_A_THREAD: usize = 2;

/// A class folder and its images.
struct Class {
    name: String,
    images: Vec<PathBuf>,
}

pub(super) fn read(root: &Path, kept: &[ClassRef]) -> Result<Source, DataError> {
    if !root.is_dir() {
        let what = if root.exists() { "not a folder" } else { "there is no such folder" };
        return Err(DataError::format(root, format!("{what}; data.path must hold one folder of images a class")));
    }
    let train_root = root.join("train");
    let (train, val) = if holds_classes(&train_root)? {
        let val_root = VAL.iter().map(|name| root.join(name)).find(|path| path.is_dir());
        (list(&train_root)?, val_root.map(|path| list(&path).map(|classes| (path, classes))).transpose()?)
    } else {
        (list(root)?, None)
    };
    let names: Vec<String> = train.iter().map(|c| c.name.clone()).collect();
    check(root, &train, &names, kept)?;
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (number, class) in train.into_iter().enumerate() {
        labels.resize(labels.len() + class.images.len(), number as i64);
        files.extend(class.images);
    }
    let own_val = val.is_some().then_some(files.len());
    if let Some((val_root, val)) = val {
        add_val(&val_root, val, &names, &mut files, &mut labels)?;
    }
    let fingerprint = fingerprint(root, &files);
    Ok(Source { store: Store::Files(files), labels: Labels::Classes(labels), class_names: names, own_val, fingerprint })
}

/// A `train` folder is a part of the split if it holds folders alone; with images in it, it is a class of that name.
fn holds_classes(folder: &Path) -> Result<bool, DataError> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let entries = entries(folder)?;
    Ok(entries.iter().any(|e| e.is_dir) && !entries.iter().any(|e| is_image(Path::new(&e.name))))
}

fn list(root: &Path) -> Result<Vec<Class>, DataError> {
    let folders: Vec<Entry> = entries(root)?.into_iter().filter(|e| e.is_dir).collect();
    let classes = asked_of_each(&folders, FOLDERS_WORTH_A_THREAD, |folder| {
        let name = folder.name.to_string_lossy().into_owned();
        images_below(&root.join(&folder.name)).map(|images| Class { name, images })
    });
    classes.into_iter().collect()
}

fn check(root: &Path, train: &[Class], names: &[String], kept: &[ClassRef]) -> Result<(), DataError> {
    if train.is_empty() {
        let what = "no folders in it; put the images of each class into a folder with the class's name";
        return Err(DataError::format(root, what));
    }
    for number in classes::select(kept, names)? {
        if train[number].images.is_empty() {
            return Err(DataError::format(
                root,
                format!(
                    "class folder \"{}\" has no images (.jpg, .jpeg, .png); fill it, remove it, or leave it out by data.classes",
                    names[number]
                ),
            ));
        }
    }
    Ok(())
}

fn add_val(
    root: &Path,
    val: Vec<Class>,
    names: &[String],
    files: &mut Vec<PathBuf>,
    labels: &mut Vec<i64>,
) -> Result<(), DataError> {
    let before = files.len();
    let numbers: HashMap<&str, usize> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    for class in val {
        let Some(&number) = numbers.get(class.name.as_str()) else {
            return Err(DataError::format(
                root,
                format!(
                    "class \"{}\" is not in the train folder, which has {}; add it there or remove it here",
                    class.name,
                    classes::listing(names)
                ),
            ));
        };
        labels.resize(labels.len() + class.images.len(), number as i64);
        files.extend(class.images);
    }
    if files.len() == before {
        let what = "no images in the validation folder; fill it, or remove it to have data.val_fraction split the rest";
        return Err(DataError::format(root, what));
    }
    Ok(())
}
