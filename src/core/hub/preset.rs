//! Named weights bring the preprocessing that they were trained for, unless the recipe says otherwise.

use super::NamedWeights;
use crate::core::recipe::{DataSpec, NamedNormalize, Normalize};

/// Fills in what the recipe leaves open; `given` tells which keys it holds.
pub fn fill_in(data: &mut DataSpec, weights: &NamedWeights, given: impl Fn(&str) -> bool) {
    if !given("data.image_size") {
        data.image_size = Some(weights.crop_size);
        if !given("data.resize_size") {
            data.resize_size = Some(weights.resize_size);
        }
    }
    if !given("data.interpolation") {
        data.interpolation = weights.interpolation;
    }
    if !given("data.normalize") {
        data.normalize = match weights.name {
            // Caffe's: the mean is subtracted from values up to 255.
            "IMAGENET1K_FEATURES" => {
                Normalize::Values { mean: vec![0.48235, 0.45882, 0.40784], std: vec![1.0 / 255.0; 3] }
            }
            _ => Normalize::Named(NamedNormalize::Imagenet),
        };
    }
}
