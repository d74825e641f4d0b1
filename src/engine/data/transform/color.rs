//! `ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)`: three blends in a random order, each by a factor of
//! 0.6 to 1.4 (torchvision's `_blend` on float images). Pixels are in 0..1; one-channel images have no saturation.

use super::Image;
use crate::engine::data::rng::Rng;

pub(super) fn jitter(image: &mut Image, rng: &mut Rng) {
    let mut steps = [0, 1, 2];
    rng.shuffle(&mut steps);
    for step in steps {
        let factor = rng.between(0.6, 1.4) as f32;
        match step {
            0 => image.data.iter_mut().for_each(|v| *v = blend(*v, 0.0, factor)),
            1 => {
                let gray = gray(image);
                let mean = gray.iter().map(|v| f64::from(*v)).sum::<f64>() / gray.len().max(1) as f64;
                image.data.iter_mut().for_each(|v| *v = blend(*v, mean as f32, factor));
            }
            _ if image.planes == 3 => {
                let gray = gray(image);
                for plane in image.each_plane() {
                    plane.iter_mut().zip(&gray).for_each(|(v, g)| *v = blend(*v, *g, factor));
                }
            }
            _ => {}
        }
    }
}

fn blend(value: f32, other: f32, factor: f32) -> f32 {
    (factor * value + (1.0 - factor) * other).clamp(0.0, 1.0)
}

/// `rgb_to_grayscale`.
fn gray(image: &Image) -> Vec<f32> {
    let len = image.height * image.width;
    match image.data.chunks_exact(len.max(1)).collect::<Vec<_>>()[..] {
        [r, g, b] => (0..len).map(|i| 0.2989 * r[i] + 0.587 * g[i] + 0.114 * b[i]).collect(),
        _ => image.data[..len].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::data::rng::Stream;

    #[test]
    fn jitter_keeps_pixels_in_0_to_1_and_changes_them() {
        for planes in [1, 3] {
            let data: Vec<f32> = (0..planes * 16).map(|v| v as f32 / (planes * 16) as f32).collect();
            let image = Image { planes, height: 4, width: 4, data };
            let mut changed = image.clone();
            jitter(&mut changed, &mut Rng::new(Stream::Augment, 1, 0, 0));
            assert_ne!(changed, image);
            assert!(changed.data.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn a_gray_image_stays_gray() {
        let data: Vec<f32> = (0..16).map(|v| v as f32 / 16.0).collect();
        let mut image = Image { planes: 3, height: 4, width: 4, data: data.repeat(3) };
        jitter(&mut image, &mut Rng::new(Stream::Augment, 2, 0, 0));
        assert!((0..16).all(|i| (image.data[i] - image.data[16 + i]).abs() < 1e-3));
    }
}
