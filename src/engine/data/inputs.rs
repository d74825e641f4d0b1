//! Inputs of `predict`: images or tensor files, brought to the model's input as training's preprocessing did it.

use std::path::{Path, PathBuf};

use super::error::DataError;
use super::preprocess::{InputKind, Preprocessing};
use super::source::{Array, Values, images_below, is_tensor_file, read_arrays};
use super::transform::{Scratch, decode, fit_decoded};
use crate::core::recipe::OnBadImage;
use crate::core::shown::json_words;

/// Fewer images than this are not worth a thread.
const WORTH_A_THREAD: usize = 8;

/// What `predict` is given, in the model's terms.
#[derive(Debug, Default, PartialEq)]
pub struct Inputs {
    /// The values of all samples.
    pub x: Vec<f32>,
    /// Their shape, `[N, …]`.
    pub shape: Vec<usize>,
    /// A name for each sample: the image's path, or `file[row]`.
    pub names: Vec<String>,
    /// Damaged images that were left out, each as `path: why`.
    pub skipped: Vec<String>,
}

/// Reads images (.jpg, .jpeg, .png; a folder stands for those below it) and tensor files (their `x`, `[N, …]`).
/// `preprocessing` is [`super::DataInfo::preprocessing`], as checkpoints keep it. In a tensor file for a model of
/// images, bytes stand for 0..1 and floats are in it already. Of a folder's images, damaged ones may be skipped; one that
/// is named itself is wanted.
///
/// # Errors
/// In words, with the file's name, where one cannot be read or does not fit the model.
pub fn load_inputs(
    files: &[PathBuf],
    preprocessing: &serde_json::Value,
    on_bad: OnBadImage,
) -> Result<Inputs, DataError> {
    let prep: Preprocessing = serde_json::from_value(preprocessing.clone()).map_err(|e| {
        DataError::Refused(format!(
            "the checkpoint's preprocessing cannot be read ({}); train with this version again",
            json_words(&e)
        ))
    })?;
    prep.check()?;
    let mut inputs = Inputs::default();
    for file in files {
        inputs.add(file, &prep, on_bad).map_err(|e| match e {
            DataError::Io { path, source } => DataError::NoInput { path, source },
            other => other,
        })?;
    }
    if let (true, Some(first)) = (inputs.names.is_empty(), inputs.skipped.first()) {
        let count = inputs.skipped.len();
        return Err(DataError::Refused(format!("none of the {count} images can be decoded; the first is {first}")));
    }
    if inputs.names.is_empty() {
        return Err(DataError::Refused("no inputs; name images, folders of images, or a tensor file".into()));
    }
    inputs.shape = [vec![inputs.names.len()], prep.sample_shape()].concat();
    Ok(inputs)
}

impl Inputs {
    fn add(&mut self, file: &Path, prep: &Preprocessing, on_bad: OnBadImage) -> Result<(), DataError> {
        if file.is_dir() {
            let images = images_below(file)?;
            if images.is_empty() {
                return Err(DataError::format(file, "no images (.jpg, .jpeg, .png) in it"));
            }
            takes_images(file, prep)?;
            return self.add_images(&images, prep, on_bad);
        }
        std::fs::metadata(file).map_err(|e| DataError::io(file, e))?;
        if is_tensor_file(file) {
            return self.add_tensors(file, prep);
        }
        takes_images(file, prep)?;
        let mut sample = Vec::new();
        read_image(file, prep, &mut Scratch::default(), &mut sample)
            .map_err(|why| DataError::format(file, format!("cannot be decoded: {why}")))?;
        self.x.extend(sample);
        self.names.push(file.display().to_string());
        Ok(())
    }

    fn add_images(&mut self, files: &[PathBuf], prep: &Preprocessing, on_bad: OnBadImage) -> Result<(), DataError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = files.len().div_ceil(cores).max(WORTH_A_THREAD);
        let parts: Vec<Result<Self, DataError>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                files.chunks(share).map(|part| scope.spawn(move || Self::of_images(part, prep, on_bad))).collect();
            let lost = || Err(DataError::Refused("a thread that read images failed; this is a bug".into()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        for part in parts {
            let part = part?;
            self.x.extend(part.x);
            self.names.extend(part.names);
            self.skipped.extend(part.skipped);
        }
        Ok(())
    }

    fn of_images(files: &[PathBuf], prep: &Preprocessing, on_bad: OnBadImage) -> Result<Self, DataError> {
        let mut made = Self { x: Vec::with_capacity(files.len() * prep.sample_len()), ..Self::default() };
        let mut scratch = Scratch::default();
        for file in files {
            match read_image(file, prep, &mut scratch, &mut made.x) {
                Ok(()) => made.names.push(file.display().to_string()),
                Err(why) if on_bad == OnBadImage::Stop => return Err(DataError::BadImage { path: file.clone(), why }),
                Err(why) => made.skipped.push(format!("{}: {why}", file.display())),
            }
        }
        Ok(made)
    }

    fn add_tensors(&mut self, file: &Path, prep: &Preprocessing) -> Result<(), DataError> {
        let [Array { shape, values }] = read_arrays(file, ["x"])?;
        let one_value_each = shape.len() == 1 && prep.shape == [1];
        let copies = match (shape.get(1..), &prep.shape[..]) {
            (Some(own), wanted) if own == wanted => 1,
            // As for the data of training: the one channel of an image stands for all three.
            (Some([1, own @ ..]), [3, wanted @ ..]) if own == wanted && prep.kind == InputKind::Image => 3,
            _ if one_value_each => 1,
            (_, wanted) => {
                let what = format!("`x` has the shape {shape:?} and the model takes [N, …] with {wanted:?} a sample");
                return Err(DataError::format(file, what));
            }
        };
        let len = prep.shape.iter().product::<usize>() / copies;
        match values {
            Values::Bytes(bytes) if prep.kind == InputKind::Image => {
                bytes.chunks_exact(len).for_each(|sample| prep.finish_bytes(&sample.repeat(copies), &mut self.x));
            }
            other => {
                let floats = other.into_floats();
                floats.chunks_exact(len).for_each(|sample| prep.finish(&sample.repeat(copies), &mut self.x));
            }
        }
        self.names.extend((0..shape[0]).map(|row| format!("{}[{row}]", file.display())));
        Ok(())
    }
}

fn takes_images(file: &Path, prep: &Preprocessing) -> Result<(), DataError> {
    if prep.kind == InputKind::Image && [1, 3].contains(&prep.shape[0]) {
        return Ok(());
    }
    let what = format!(
        "the model takes tensors of shape {:?}, not images; give a .safetensors or .npz file with `x`",
        prep.shape
    );
    Err(DataError::format(file, what))
}

/// Appends an image to `x`, or says why it is damaged.
fn read_image(file: &Path, prep: &Preprocessing, scratch: &mut Scratch, x: &mut Vec<f32>) -> Result<(), String> {
    let image = decode(file, prep.shape[0])?;
    prep.finish(&fit_decoded(&image, prep, None, scratch).data, x);
    Ok(())
}
