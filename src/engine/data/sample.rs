//! One sample from the store into a batch: copied, or decoded, changed and normalised.

use std::path::PathBuf;

use super::dataset::Inner;
use super::rng::Rng;
use super::source::{Labels, Store};
use super::transform::{Change, Image, Scratch, crop_box, decode, erase, fit, fit_bytes, fit_decoded};
use crate::core::recipe::Augment;
use crate::engine::Targets;

/// Why a sample is missing: its image is damaged.
pub(super) struct Bad {
    pub path: PathBuf,
    pub why: String,
}

impl Inner {
    /// Whether samples are only copied, so that a hop to another thread would cost more than it saves.
    pub fn only_copies(&self, training: bool) -> bool {
        if training && !self.augment.is_empty() {
            return false;
        }
        match &self.store {
            Store::Files(_) => false,
            Store::Bytes { shape, .. } => shape[..] == self.prep.shape[..],
            Store::Floats { shape, .. } => *shape == self.prep.shape,
        }
    }

    /// Appends the sample's input to `out`; `random` is there for training samples.
    pub fn put(
        &self,
        sample: usize,
        random: Option<Rng>,
        scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) -> Result<(), Bad> {
        match (&self.store, self.only_copies(random.is_some())) {
            (Store::Bytes { data, shape }, true) => self.prep.finish_bytes(part(data, shape, sample), out),
            (Store::Floats { data, shape, .. }, true) => self.prep.finish(part(data, shape, sample), out),
            _ => self.put_changed(sample, random, scratch, out)?,
        }
        Ok(())
    }

    /// The whole way: resized crop or resize, changes in the recipe's order, normalisation, erasing.
    fn put_changed(
        &self,
        sample: usize,
        mut random: Option<Rng>,
        scratch: &mut Scratch,
        out: &mut Vec<f32>,
    ) -> Result<(), Bad> {
        let mut image = self.sized(sample, random.as_mut(), scratch)?;
        let start = out.len();
        let Some(rng) = &mut random else {
            self.prep.finish(&image.data, out);
            return Ok(());
        };
        for change in self.augment.iter().copied().filter_map(Change::of) {
            change.apply(&mut image, rng);
        }
        self.prep.finish(&image.data, out);
        if self.augment.contains(&Augment::RandomErasing) {
            erase(&mut out[start..], image.height, image.width, rng);
        }
        Ok(())
    }

    /// The sample as an image of the model's size, cropped at random if the recipe asks for it.
    fn sized(&self, sample: usize, random: Option<&mut Rng>, scratch: &mut Scratch) -> Result<Image, Bad> {
        let random = random.filter(|_| self.augment.contains(&Augment::RandomResizedCrop));
        let part_of = |height, width| random.map(|rng| crop_box(height, width, rng));
        match &self.store {
            Store::Files(files) => {
                let bad = |why| Bad { path: files[sample].clone(), why };
                let decoded = decode(&files[sample], self.prep.shape[0]).map_err(bad)?;
                let crop = part_of(decoded.height, decoded.width);
                Ok(fit_decoded(&decoded, &self.prep, crop, scratch))
            }
            Store::Bytes { data, shape } => {
                let crop = part_of(shape[1], shape[2]);
                Ok(fit_bytes(part(data, shape, sample), shape, &self.prep, crop, scratch))
            }
            Store::Floats { data, shape, .. } => {
                let crop = part_of(shape[1], shape[2]);
                let data = part(data, shape, sample).to_vec();
                let image = Image { planes: shape[0], height: shape[1], width: shape[2], data };
                let is_sized = crop.is_none() && shape[1..] == self.prep.shape[1..];
                Ok(if is_sized { image } else { fit(image, &self.prep, crop, scratch) })
            }
        }
    }

    /// The targets of some samples.
    pub fn targets(&self, samples: &[u64]) -> Targets {
        match &self.labels {
            Labels::Classes(labels) => Targets::Classes(samples.iter().map(|&i| labels[i as usize]).collect()),
            Labels::Values { data, width } => {
                let mut values = Vec::with_capacity(samples.len() * width);
                for &i in samples {
                    values.extend_from_slice(&data[i as usize * width..][..*width]);
                }
                Targets::Values { data: values, shape: vec![samples.len(), *width] }
            }
        }
    }
}

/// The values of one sample.
fn part<'a, T>(data: &'a [T], shape: &[usize], sample: usize) -> &'a [T] {
    let len = shape.iter().product::<usize>();
    &data[sample * len..][..len]
}
