//! Random changes of training images with torchvision's defaults; each cites the operator it follows.

use super::color::jitter;
use super::{Crop, Image};
use crate::core::recipe::Augment;
use crate::engine::data::rng::Rng;

/// A change of an image that already has its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::data) enum Change {
    RandomCrop,
    HorizontalFlip,
    VerticalFlip,
    Rotation,
    ColorJitter,
}

impl Change {
    /// `None` for those that come at another point: the resized crop first, erasing last.
    pub fn of(augment: Augment) -> Option<Self> {
        match augment {
            Augment::RandomCrop => Some(Self::RandomCrop),
            Augment::HorizontalFlip => Some(Self::HorizontalFlip),
            Augment::VerticalFlip => Some(Self::VerticalFlip),
            Augment::RandomRotation => Some(Self::Rotation),
            Augment::ColorJitter => Some(Self::ColorJitter),
            Augment::RandomResizedCrop | Augment::RandomErasing => None,
        }
    }

    /// Draws and makes the change.
    pub fn apply(self, image: &mut Image, rng: &mut Rng) {
        match self {
            Self::RandomCrop => {
                let pad = (image.height.min(image.width) / 8).max(1);
                let (down, right) = (rng.below(2 * pad + 1), rng.below(2 * pad + 1));
                shift(image, down as isize - pad as isize, right as isize - pad as isize);
            }
            Self::HorizontalFlip => {
                if rng.coin() {
                    image.data.chunks_exact_mut(image.width).for_each(<[f32]>::reverse);
                }
            }
            Self::VerticalFlip => {
                if rng.coin() {
                    flip_rows(image);
                }
            }
            Self::Rotation => rotate(image, rng.between(-15.0, 15.0)),
            Self::ColorJitter => jitter(image, rng),
        }
    }
}

/// `RandomResizedCrop.get_params`: a part of 8 to 100 % of the area and of ratio 3/4 to 4/3, ten tries, then the middle.
pub(in crate::engine::data) fn crop_box(height: usize, width: usize, rng: &mut Rng) -> Crop {
    let (narrow, wide) = (3.0 / 4.0, 4.0 / 3.0);
    let area = (height * width) as f64;
    for _ in 0..10 {
        let target = area * rng.between(0.08, 1.0);
        let ratio = rng.between(f64::ln(narrow), f64::ln(wide)).exp();
        let w = (target * ratio).sqrt().round_ties_even() as usize;
        let h = (target / ratio).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            return Crop { top: rng.below(height - h + 1), left: rng.below(width - w + 1), height: h, width: w };
        }
    }
    let ratio = width as f64 / height as f64;
    let (h, w) = if ratio < narrow {
        (((width as f64 / narrow).round_ties_even() as usize).clamp(1, height), width)
    } else if ratio > wide {
        (height, ((height as f64 * wide).round_ties_even() as usize).clamp(1, width))
    } else {
        (height, width)
    };
    Crop { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
}

/// `RandomErasing`: with probability 1/2 a part of 2 to 33 % of the area and of ratio 0.3 to 3.3 becomes 0, in all
/// planes of the normalised sample; ten tries to find one that fits.
pub(in crate::engine::data) fn erase(sample: &mut [f32], height: usize, width: usize, rng: &mut Rng) {
    if !rng.coin() {
        return;
    }
    for _ in 0..10 {
        let area = (height * width) as f64 * rng.between(0.02, 0.33);
        let ratio = rng.between(f64::ln(0.3), f64::ln(3.3)).exp();
        let h = (area * ratio).sqrt().round_ties_even() as usize;
        let w = (area / ratio).sqrt().round_ties_even() as usize;
        if h >= height || w >= width {
            continue;
        }
        let (top, left) = (rng.below(height - h + 1), rng.below(width - w + 1));
        for plane in sample.chunks_exact_mut(height * width) {
            for row in plane.chunks_exact_mut(width).skip(top).take(h) {
                row[left..left + w].fill(0.0);
            }
        }
        return;
    }
}

/// Moves the image's window over it, padded with 0: `RandomCrop(size, padding)`.
fn shift(image: &mut Image, down: isize, right: isize) {
    let (height, width) = (image.height as isize, image.width as isize);
    for plane in image.each_plane() {
        let old = plane.to_vec();
        for (at, value) in plane.iter_mut().enumerate() {
            let (y, x) = (at as isize / width + down, at as isize % width + right);
            let inside = (0..height).contains(&y) && (0..width).contains(&x);
            *value = if inside { old[(y * width + x) as usize] } else { 0.0 };
        }
    }
}

fn flip_rows(image: &mut Image) {
    let (height, width) = (image.height, image.width);
    for plane in image.each_plane() {
        for row in 0..height / 2 {
            let (upper, lower) = plane.split_at_mut((height - 1 - row) * width);
            upper[row * width..][..width].swap_with_slice(&mut lower[..width]);
        }
    }
}

/// `RandomRotation`: counter-clockwise about the middle, nearest pixel, corners 0 (Pillow's `Image.rotate`).
fn rotate(image: &mut Image, degrees: f64) {
    let (height, width) = (image.height, image.width);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (middle_y, middle_x) = (height as f64 / 2.0, width as f64 / 2.0);
    for plane in image.each_plane() {
        let old = plane.to_vec();
        for (at, value) in plane.iter_mut().enumerate() {
            let (dy, dx) = ((at / width) as f64 + 0.5 - middle_y, (at % width) as f64 + 0.5 - middle_x);
            let x = (cos * dx - sin * dy + middle_x).floor();
            let y = (sin * dx + cos * dy + middle_y).floor();
            let inside = (0.0..height as f64).contains(&y) && (0.0..width as f64).contains(&x);
            *value = if inside { old[y as usize * width + x as usize] } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::data::rng::{Rng, Stream};
    use proptest::prelude::*;

    fn image(height: usize, width: usize) -> Image {
        let data = (1..=2 * height * width).map(|v| v as f32).collect();
        Image { planes: 2, height, width, data }
    }

    fn rng(seed: u64) -> Rng {
        Rng::new(Stream::Augment, seed, 0, 0)
    }

    proptest! {
        #[test]
        fn a_crop_lies_inside_its_image(height in 1usize..300, width in 1usize..300, seed: u64) {
            let crop = crop_box(height, width, &mut rng(seed));
            prop_assert!(crop.height >= 1 && crop.width >= 1);
            prop_assert!(crop.top + crop.height <= height && crop.left + crop.width <= width);
        }

        #[test]
        fn changes_keep_the_size_and_work_on_images_of_any_size(height in 1usize..20, width in 1usize..20, seed: u64) {
            for augment in [Augment::RandomCrop, Augment::HorizontalFlip, Augment::VerticalFlip,
                Augment::RandomRotation] {
                let mut changed = image(height, width);
                Change::of(augment).unwrap().apply(&mut changed, &mut rng(seed));
                prop_assert_eq!(changed.data.len(), 2 * height * width);
            }
            let mut sample = image(height, width).data;
            erase(&mut sample, height, width, &mut rng(seed));
            let erased = sample.iter().filter(|v| **v == 0.0).count();
            prop_assert!(erased % 2 == 0 && erased <= height * width * 2);
        }
    }

    #[test]
    fn flips_mirror_about_half_of_the_images() {
        let mut flipped = 0;
        for seed in 0..100 {
            let mut changed = image(2, 2);
            Change::HorizontalFlip.apply(&mut changed, &mut rng(seed));
            if changed != image(2, 2) {
                assert_eq!(changed.data, [2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0]);
                flipped += 1;
            }
        }
        assert!((30..70).contains(&flipped), "{flipped}");
        let mut upside_down = image(3, 1);
        flip_rows(&mut upside_down);
        assert_eq!(upside_down.data, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }

    #[test]
    fn a_shifted_window_shows_the_padding() {
        let mut moved = image(2, 2);
        shift(&mut moved, 1, -1);
        assert_eq!(moved.data, [0.0, 3.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0]);
        shift(&mut moved, 0, 0);
        assert_eq!(moved.data[1], 3.0);
    }

    #[test]
    fn rotation_turns_counter_clockwise_about_the_middle() {
        let mut quarter = image(3, 3);
        rotate(&mut quarter, 90.0);
        assert_eq!(quarter.data[..9], [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]); // numpy.rot90
        let mut none = image(4, 5);
        rotate(&mut none, 0.0);
        assert_eq!(none, image(4, 5));
    }

    #[test]
    fn erasing_hits_about_half_of_the_images_in_all_planes() {
        let mut hit = 0;
        for seed in 0..200 {
            let mut sample = image(16, 16).data;
            erase(&mut sample, 16, 16, &mut rng(seed));
            let zeros = |plane: &[f32]| plane.iter().map(|v| *v == 0.0).collect::<Vec<_>>();
            assert_eq!(zeros(&sample[..256]), zeros(&sample[256..]));
            hit += usize::from(sample.contains(&0.0));
        }
        assert!((70..130).contains(&hit), "{hit}");
    }
}
