//! What is done to every sample, in training and afterwards alike: size, channels, normalisation. It is kept in
//! checkpoints (as JSON), so that `evaluate` and `predict` treat new inputs as training did.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::source::Store;
use crate::core::recipe::{DataSpec, Interpolation, NamedNormalize, Normalize};

/// The side of an image that torchvision's presets resize to, as a part of the crop: 256 / 224.
const RESIZE_NUM: usize = 256;
const RESIZE_DEN: usize = 224;
/// Side of images from files when the recipe names none.
const DEFAULT_SIZE: usize = 224;
/// Most values of a sample: a gigabyte of them.
const LARGEST: usize = 1 << 28;

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Pixels in 0..1 before normalisation, `[C, H, W]`.
    Image,
    /// Values of any shape.
    Tensor,
}

/// The deterministic way from a stored sample to the model's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What samples are.
    pub kind: InputKind,
    /// Shape of a sample before its channel is repeated; `[C, H, W]` for images.
    pub shape: Vec<usize>,
    /// How often the only channel is repeated; 1 leaves it.
    pub repeat: usize,
    /// The shorter side of an image is brought to this, then the center of `shape`'s size is cut out. Without it an
    /// image is brought to `shape`'s size as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// How it is resized.
    #[serde(default, skip_serializing_if = "is_bilinear")]
    pub interpolation: Interpolation,
    /// Subtracted, one value a channel of the model's input (or one for all); empty leaves the values.
    pub mean: Vec<f32>,
    /// Divided by, likewise.
    pub std: Vec<f32>,
}

impl Preprocessing {
    pub(super) fn new(spec: &DataSpec, channels: Option<usize>, store: &Store) -> Result<Self, DataError> {
        let (kind, shape, resize) = match store {
            Store::Files(_) => {
                let side = spec.image_size.unwrap_or(DEFAULT_SIZE);
                let planes = if channels == Some(1) { 1 } else { 3 };
                let resize = spec.resize_size.unwrap_or(side.saturating_mul(RESIZE_NUM) / RESIZE_DEN);
                (InputKind::Image, vec![planes, side, side], Some(resize))
            }
            Store::Bytes { shape, .. } => sized(shape, spec),
            Store::Floats { shape, image: true, .. } => sized(shape, spec),
            Store::Floats { shape, .. } => {
                if let Some(size) = spec.image_size {
                    return Err(DataError::Refused(format!(
                        "data.image_size = {size}: tensors are not resized; leave it out, or resize x before writing it"
                    )));
                }
                (InputKind::Tensor, shape.clone(), None)
            }
        };
        let repeat = repeat(&shape, channels)?;
        let (mean, std) = match &spec.normalize {
            Normalize::Named(NamedNormalize::None) => (Vec::new(), Vec::new()),
            Normalize::Named(NamedNormalize::Imagenet) => (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]),
            Normalize::Values { mean, std } => (mean.clone(), std.clone()),
        };
        let made = Self { kind, shape, repeat, resize, interpolation: spec.interpolation, mean, std };
        made.check()?;
        Ok(made)
    }

    /// Shape of the model's input, without the batch.
    pub fn sample_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.repeat > 1 {
            shape[0] *= self.repeat;
        }
        shape
    }

    /// Values of one sample of the model's input.
    pub(super) fn sample_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.repeat
    }

    /// Parts of a sample that are normalised apart: channels of images, one part of anything else.
    fn planes(&self) -> usize {
        if self.shape.len() == 3 { self.shape[0] } else { 1 }
    }

    /// Whether it can be carried out at all; a checkpoint's text is not trusted.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let images = self.kind == InputKind::Image;
        if self.shape.is_empty() || self.shape.contains(&0) || (images && self.shape.len() != 3) || self.repeat == 0 {
            return Err(DataError::Refused(format!(
                "data.image_size: samples of shape {:?} hold nothing; give the side in pixels",
                self.shape
            )));
        }
        let values = self.shape.iter().try_fold(self.repeat, |n, d| n.checked_mul(*d)).filter(|n| *n <= LARGEST);
        if values.is_none() {
            let what = format!("samples of shape {:?} have more than {LARGEST} values", self.shape);
            let key = if images { "data.image_size: " } else { "" };
            return Err(DataError::Refused(format!("{key}{what}; give smaller ones")));
        }
        self.check_normalize()
    }

    fn check_normalize(&self) -> Result<(), DataError> {
        let refuse = |words: String| Err(DataError::Refused(format!("data.normalize: {words}")));
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != stds {
            return refuse(format!("{means} values of mean and {stds} of std; give one of each a channel"));
        }
        if let Some(bad) = self.std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return refuse(format!("std {bad} is not a positive number"));
        }
        if let Some(bad) = self.mean.iter().find(|m| !m.is_finite()) {
            return refuse(format!("mean {bad} is not a number"));
        }
        let channels = self.planes() * self.repeat;
        if means > 1 && means != channels {
            return refuse(format!(
                "{means} values for samples of shape {:?}; give one value, or one a channel",
                self.sample_shape()
            ));
        }
        Ok(())
    }

    /// Appends a sample of `shape` to `out`, its channel repeated and the values normalised.
    pub(super) fn finish(&self, sample: &[f32], out: &mut Vec<f32>) {
        if self.mean.is_empty() {
            (0..self.repeat).for_each(|_| out.extend_from_slice(sample));
            return;
        }
        self.each_plane(sample, |plane, mean, std| normalize(plane, mean, std, out));
    }

    /// The same for bytes, which stand for 0..1.
    pub(super) fn finish_bytes(&self, sample: &[u8], out: &mut Vec<f32>) {
        self.each_plane(sample, |plane, mean, std| {
            let mut table = [0f32; 256];
            for (byte, value) in table.iter_mut().enumerate() {
                *value = (byte as f32 / 255.0 - mean) / std;
            }
            out.extend(plane.iter().map(|b| table[usize::from(*b)]));
        });
    }

    fn each_plane<T>(&self, sample: &[T], mut each: impl FnMut(&[T], f32, f32)) {
        let planes = self.planes();
        let len = (sample.len() / planes).max(1);
        for copy in 0..self.repeat {
            for (number, plane) in sample.chunks_exact(len).enumerate() {
                let channel = copy * planes + number;
                let of = |values: &[f32], default| values.get(channel).or(values.first()).copied().unwrap_or(default);
                each(plane, of(&self.mean, 0.0), of(&self.std, 1.0));
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn normalize(values: &[f32], mean: f32, std: f32, out: &mut Vec<f32>) {
    out.extend(values.iter().map(|value| (value - mean) / std));
}

/// Size of images whose source has one of its own.
fn sized(own: &[usize], spec: &DataSpec) -> (InputKind, Vec<usize>, Option<usize>) {
    let (height, width) = spec.image_size.map_or((own[1], own[2]), |side| (side, side));
    // Only squares can be cut from the middle of any image; other sizes are stretched to.
    (InputKind::Image, vec![own[0], height, width], (height == width).then(|| spec.resize_size.unwrap_or(height)))
}

fn is_bilinear(interpolation: &Interpolation) -> bool {
    *interpolation == Interpolation::Bilinear
}

fn repeat(shape: &[usize], channels: Option<usize>) -> Result<usize, DataError> {
    let Some(wanted) = channels else { return Ok(1) };
    match shape {
        [have, _, _] if *have == wanted => Ok(1),
        [1, _, _] if wanted == 3 => Ok(3),
        [have, _, _] => Err(DataError::Refused(format!(
            "the model takes images with {wanted} channel(s) and the data has {have}; choose another model.arch or convert the data"
        ))),
        _ => Err(DataError::Refused(format!(
            "the model takes images ([{wanted}, height, width]) and a sample of the data has the shape {shape:?}; choose another model.arch (mlp) or give x the shape [N, C, H, W]"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(shape: &[usize], image: bool) -> Store {
        Store::Floats { data: Vec::new(), shape: shape.to_vec(), image }
    }

    fn imagenet() -> DataSpec {
        DataSpec { normalize: Normalize::Named(NamedNormalize::Imagenet), ..DataSpec::default() }
    }

    #[test]
    fn one_channel_is_repeated_and_each_copy_normalised_by_its_own_values() {
        let made = Preprocessing::new(&imagenet(), Some(3), &floats(&[1, 1, 2], true)).unwrap();
        assert_eq!(made.sample_shape(), [3, 1, 2]);
        let mut out = Vec::new();
        made.finish(&[0.485, 1.0], &mut out);
        assert_eq!(out.len(), 6);
        assert_eq!(out[0], 0.0);
        assert_eq!(out[3], (1.0 - 0.456) / 0.224);
    }

    #[test]
    fn bytes_and_values_give_the_same_bits() {
        let made = Preprocessing::new(&imagenet(), None, &floats(&[3, 1, 2], true)).unwrap();
        let bytes = [0u8, 17, 99, 128, 254, 255];
        let (mut a, mut b) = (Vec::new(), Vec::new());
        made.finish_bytes(&bytes, &mut a);
        made.finish(&bytes.map(|v| f32::from(v) / 255.0), &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn channels_that_do_not_fit_are_refused_in_words() {
        let two = Preprocessing::new(&DataSpec::default(), Some(3), &floats(&[2, 4, 4], true)).unwrap_err();
        assert!(two.to_string().contains("3 channel(s) and the data has 2"), "{two}");
        let flat = Preprocessing::new(&DataSpec::default(), Some(3), &floats(&[7], false)).unwrap_err();
        assert!(flat.to_string().contains("[7]"), "{flat}");
    }

    #[test]
    fn normalisation_that_does_not_fit_is_refused_in_words() {
        let gray = Preprocessing::new(&imagenet(), None, &floats(&[1, 8, 8], true)).unwrap_err().to_string();
        assert!(gray.contains("data.normalize: 3 values for samples of shape [1, 8, 8]"), "{gray}");
        let values = |mean: &[f32], std: &[f32]| {
            let normalize = Normalize::Values { mean: mean.to_vec(), std: std.to_vec() };
            Preprocessing::new(&DataSpec { normalize, ..DataSpec::default() }, None, &floats(&[1, 8, 8], true))
        };
        assert!(values(&[0.0], &[0.0]).unwrap_err().to_string().contains("positive"));
        assert!(values(&[0.0, 0.0], &[1.0]).unwrap_err().to_string().contains("2 values of mean and 1 of std"));
        assert!(values(&[0.5], &[0.5]).is_ok());
    }

    #[test]
    fn sizes_beyond_all_memory_are_refused_in_words() {
        for side in [1 << 20, usize::MAX / 3, usize::MAX] {
            let spec = DataSpec { image_size: Some(side), ..DataSpec::default() };
            let error = Preprocessing::new(&spec, None, &Store::Files(Vec::new())).unwrap_err().to_string();
            assert!(error.contains("data.image_size") && error.contains("give smaller ones"), "{error}");
        }
    }

    #[test]
    fn it_survives_json_bit_for_bit() {
        let made = Preprocessing::new(&imagenet(), None, &Store::Files(Vec::new())).unwrap();
        assert_eq!((made.shape.as_slice(), made.resize), ([3, 224, 224].as_slice(), Some(256)));
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), made);
    }
}
