//! Inputs of `predict`: images or tensor files, brought to the model's input as training's preprocessing did it.

use std::path::{Path, PathBuf};

use super::error::DataError;
use super::preprocess::{InputKind, Preprocessing};
use super::source::{Array, Values, images_below, is_tensor_file, read_arrays};
use super::transform::{Scratch, decode, fit_decoded};

/// Fewer images than this are not worth a thread.
const WORTH_A_THREAD: usize = 8;

/// The values, their shape `[N, …]`, and a name for each row.
pub type Inputs = (Vec<f32>, Vec<usize>, Vec<String>);

/// Reads images (.jpg, .jpeg, .png; a folder stands for those below it) and tensor files (their `x`, `[N, …]`).
/// `preprocessing` is [`super::DataInfo::preprocessing`], as checkpoints keep it. In a tensor file for a model of
/// images, bytes stand for 0..1 and floats are in it already.
///
/// A row's name is the image's path, or `file[row]`.
///
/// # Errors
/// In words, with the file's name, where one cannot be read or does not fit the model.
pub fn load_inputs(files: &[PathBuf], preprocessing: &serde_json::Value) -> Result<Inputs, DataError> {
    let prep: Preprocessing = serde_json::from_value(preprocessing.clone()).map_err(|e| {
        DataError::Refused(format!(
            "the checkpoint's preprocessing cannot be read ({e}); train with this version again"
        ))
    })?;
    prep.check()?;
    let (mut x, mut names) = (Vec::new(), Vec::new());
    for file in files {
        if file.is_dir() {
            let images = images_below(file)?;
            if images.is_empty() {
                return Err(DataError::format(file, "no images (.jpg, .jpeg, .png) in it"));
            }
            add_images(&images, &prep, &mut x, &mut names)?;
        } else if is_tensor_file(file) {
            add_tensors(file, &prep, &mut x, &mut names)?;
        } else {
            add_images(std::slice::from_ref(file), &prep, &mut x, &mut names)?;
        }
    }
    if names.is_empty() {
        return Err(DataError::Refused("no inputs; name images, folders of images, or a tensor file".into()));
    }
    let shape = [vec![names.len()], prep.sample_shape()].concat();
    Ok((x, shape, names))
}

fn add_images(
    files: &[PathBuf],
    prep: &Preprocessing,
    x: &mut Vec<f32>,
    names: &mut Vec<String>,
) -> Result<(), DataError> {
    if prep.kind == InputKind::Tensor || ![1, 3].contains(&prep.shape[0]) {
        let what = format!(
            "the model takes tensors of shape {:?}, not images; give a .safetensors or .npz file with `x`",
            prep.shape
        );
        return Err(DataError::format(files.first().cloned().unwrap_or_default(), what));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(cores).max(WORTH_A_THREAD);
    let parts: Vec<Result<Vec<f32>, DataError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = files.chunks(share).map(|part| scope.spawn(|| read_images(part, prep))).collect();
        let lost = || Err(DataError::Refused("a thread that read images failed; this is a bug".into()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    for part in parts {
        x.extend(part?);
    }
    names.extend(files.iter().map(|f| f.display().to_string()));
    Ok(())
}

fn read_images(files: &[PathBuf], prep: &Preprocessing) -> Result<Vec<f32>, DataError> {
    let mut x = Vec::with_capacity(files.len() * prep.sample_len());
    let mut scratch = Scratch::default();
    for file in files {
        std::fs::metadata(file).map_err(|e| DataError::io(file, e))?;
        let made = decode(file, prep.shape[0]).map(|image| fit_decoded(&image, prep, None, &mut scratch));
        prep.finish(&made.map_err(|why| DataError::format(file, format!("cannot be decoded: {why}")))?.data, &mut x);
    }
    Ok(x)
}

fn add_tensors(file: &Path, prep: &Preprocessing, x: &mut Vec<f32>, names: &mut Vec<String>) -> Result<(), DataError> {
    std::fs::metadata(file).map_err(|e| DataError::io(file, e))?;
    let [Array { shape, values }] = read_arrays(file, ["x"])?;
    let one_value_each = shape.len() == 1 && prep.shape == [1];
    if shape.get(1..) != Some(&prep.shape[..]) && !one_value_each {
        let what = format!("`x` has the shape {shape:?} and the model takes [N, …] with {:?} a sample", prep.shape);
        return Err(DataError::format(file, what));
    }
    let len = prep.shape.iter().product::<usize>();
    match values {
        Values::Bytes(bytes) if prep.kind == InputKind::Image => {
            bytes.chunks_exact(len).for_each(|sample| prep.finish_bytes(sample, x));
        }
        other => other.into_floats().chunks_exact(len).for_each(|sample| prep.finish(sample, x)),
    }
    names.extend((0..shape[0]).map(|row| format!("{}[{row}]", file.display())));
    Ok(())
}
