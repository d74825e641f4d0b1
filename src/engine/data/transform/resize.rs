//! Resizing with an antialiased filter, as torchvision's `Resize` on Pillow images, and cutting out. Bytes are resized as
//! Pillow does it, bit for bit; values in floating point.

use fast_image_resize as fir;
use fir::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fir::{FilterType, ResizeAlg, ResizeOptions, Resizer, pixels::F32};

use super::bytes::{self, Buffers, Pixels};
use super::{Crop, Decoded, Image};
use crate::core::recipe::Interpolation;
use crate::engine::data::Preprocessing;

/// Pixels of an intermediate image beyond which only the part that is kept is resized: a strip of 1 x 60,000 pixels
/// would otherwise grow to gigabytes.
const LARGEST: usize = 1 << 26;

/// Buffers that a thread keeps from image to image.
#[derive(Default)]
pub(in crate::engine::data) struct Scratch {
    resizer: Resizer,
    buffers: Buffers,
}

fn options(interpolation: Interpolation) -> ResizeOptions {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        // Pillow's BICUBIC is the cubic with a = -0.5.
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false)
}

/// What is done to bring an image to its size: a part of it is resized, and a part of that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub part: Crop,
    pub height: usize,
    pub width: usize,
    pub kept: Crop,
}

/// The way from (height, width) to the size of `prep.shape`; through `crop` if there is one.
fn route(height: usize, width: usize, prep: &Preprocessing, crop: Option<Crop>) -> Route {
    let (to_height, to_width) = (prep.shape[1], prep.shape[2]);
    let whole = Crop { top: 0, left: 0, height, width };
    let all_of_it = Crop { top: 0, left: 0, height: to_height, width: to_width };
    let direct = |part| Route { part, height: to_height, width: to_width, kept: all_of_it };
    let (Some(shorter), None) = (prep.resize, crop) else { return direct(crop.unwrap_or(whole)) };
    // torchvision: _compute_resized_output_size, then center_crop.
    let scaled = |long: usize, short: usize| (shorter as f64 * long as f64 / short as f64) as usize;
    let (h, w) = if width <= height { (scaled(height, width), shorter) } else { (shorter, scaled(width, height)) };
    if h.saturating_mul(w) > LARGEST || h < to_height || w < to_width {
        let side = height.min(width);
        return direct(centered(height, width, side, side));
    }
    Route { part: whole, height: h, width: w, kept: centered(h, w, to_height, to_width) }
}

/// torchvision's `center_crop`; `int(round(x))` in Python rounds halves to even.
fn centered(height: usize, width: usize, to_height: usize, to_width: usize) -> Crop {
    let start = |from: usize, to: usize| ((from - to) as f64 / 2.0).round_ties_even() as usize;
    Crop { top: start(height, to_height), left: start(width, to_width), height: to_height, width: to_width }
}

/// Brings planes of any size to that of `prep.shape`.
pub(in crate::engine::data) fn fit(
    image: Image,
    prep: &Preprocessing,
    crop: Option<Crop>,
    scratch: &mut Scratch,
) -> Image {
    let way = route(image.height, image.width, prep, crop);
    let mut data = Vec::with_capacity(image.planes * way.kept.height * way.kept.width);
    for plane in image.data.chunks_exact((image.height * image.width).max(1)) {
        let pixels: Vec<F32> = plane.iter().map(|v| F32::new(*v)).collect();
        let resized = resize_plane(&pixels, image.height, image.width, &way, prep.interpolation, scratch);
        for row in resized.chunks_exact(way.width).skip(way.kept.top).take(way.kept.height) {
            data.extend(row[way.kept.left..][..way.kept.width].iter().map(|p| p.0));
        }
    }
    Image { planes: image.planes, height: way.kept.height, width: way.kept.width, data }
}

/// The sizes are checked by `route`, so that the resizer cannot fail; should it, the plane is black.
fn resize_plane(
    pixels: &[F32],
    height: usize,
    width: usize,
    way: &Route,
    interpolation: Interpolation,
    scratch: &mut Scratch,
) -> Vec<F32> {
    let part = way.part;
    let mut out = vec![F32::new(0.0); way.height * way.width];
    let resized = (|| {
        let whole = TypedImageRef::new(width as u32, height as u32, pixels).ok()?;
        let from =
            TypedCroppedImage::new(whole, part.left as u32, part.top as u32, part.width as u32, part.height as u32)
                .ok()?;
        let mut to = TypedImage::from_pixels_slice(way.width as u32, way.height as u32, &mut out).ok()?;
        scratch.resizer.resize_typed(&from, &mut to, &options(interpolation)).ok()
    })();
    debug_assert!(resized.is_some());
    out
}

/// Brings a decoded file to the size of `prep.shape`, scaled to 0..1. Resizing happens in bytes, as in Pillow.
pub(in crate::engine::data) fn fit_decoded(
    image: &Decoded,
    prep: &Preprocessing,
    crop: Option<Crop>,
    scratch: &mut Scratch,
) -> Image {
    let way = route(image.height, image.width, prep, crop);
    let from = Pixels { data: &image.data, width: image.width, channels: image.channels };
    let resized = bytes::resize(from, &way, prep.interpolation, &mut scratch.buffers);
    let mut data = Vec::with_capacity(resized.len());
    bytes::planes(&resized, image.channels, &mut data);
    Image { planes: image.channels, height: way.kept.height, width: way.kept.width, data }
}

/// The same for an image in memory, whose channels lie one after the other.
pub(in crate::engine::data) fn fit_bytes(
    data: &[u8],
    shape: &[usize],
    prep: &Preprocessing,
    crop: Option<Crop>,
    scratch: &mut Scratch,
) -> Image {
    let (height, width) = (shape[1], shape[2]);
    let way = route(height, width, prep, crop);
    let mut out = Vec::with_capacity(shape[0] * way.kept.height * way.kept.width);
    for data in data.chunks_exact((height * width).max(1)) {
        let from = Pixels { data, width, channels: 1 };
        let resized = bytes::resize(from, &way, prep.interpolation, &mut scratch.buffers);
        bytes::planes(&resized, 1, &mut out);
    }
    Image { planes: shape[0], height: way.kept.height, width: way.kept.width, data: out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::DataSpec;
    use crate::engine::data::source::Store;

    fn folder(size: usize) -> Preprocessing {
        let spec = DataSpec { image_size: Some(size), ..DataSpec::default() };
        Preprocessing::new(&spec, None, &Store::Files(Vec::new())).unwrap()
    }

    #[test]
    fn images_are_resized_by_their_shorter_side_and_cut_from_the_middle() {
        // torchvision: Resize(256) of a 333 x 500 image gives 384 x 256; CenterCrop(224) starts at (80, 16).
        let way = route(500, 333, &folder(224), None);
        assert_eq!((way.height, way.width), (384, 256));
        assert_eq!(way.kept, Crop { top: 80, left: 16, height: 224, width: 224 });
        assert_eq!(centered(5, 7, 2, 2).top, 2); // round(1.5)
        assert_eq!(centered(3, 7, 2, 2), Crop { top: 0, left: 2, height: 2, width: 2 }); // round(0.5), round(2.5)
    }

    #[test]
    fn a_strip_does_not_become_gigabytes() {
        let way = route(1, 60_000, &folder(224), None);
        assert_eq!((way.height, way.width), (224, 224));
        assert_eq!(way.part, Crop { top: 0, left: 30_000, height: 1, width: 1 });
    }

    /// Of Pillow 13, `zlib.crc32` over `Image.frombytes(…).crop(…).resize((width, height), filter).tobytes()` of the images below.
    const PILLOW: [(Interpolation, u32); 2] =
        [(Interpolation::Bilinear, 0x2fad_fd9b), (Interpolation::Bicubic, 0xc689_7be3)];

    #[test]
    fn bytes_are_resized_as_pillow_does_it_bit_for_bit() {
        for (interpolation, wanted) in PILLOW {
            let mut state = 1u32;
            let mut draw = |below: usize| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as usize % below
            };
            let (mut crc, mut scratch) = (crc32fast::Hasher::new(), Scratch::default());
            for _ in 0..120 {
                let (height, width, channels) = (1 + draw(60), 1 + draw(60), [1, 3][draw(2)]);
                let data = (0..height * width * channels).map(|_| draw(256) as u8).collect();
                let image = Decoded { width, height, channels, data };
                let (h, w) = (1 + draw(height), 1 + draw(width));
                let part = Crop { top: draw(height - h + 1), left: draw(width - w + 1), height: h, width: w };
                let shape = vec![channels, 1 + draw(60), 1 + draw(60)];
                let prep = Preprocessing { shape, interpolation, ..folder(8) };
                let made = fit_decoded(&image, &prep, Some(part), &mut scratch);
                let plane = made.height * made.width;
                let bytes: Vec<u8> = (0..plane)
                    .flat_map(|at| made.data.iter().skip(at).step_by(plane).map(|v| (v * 255.0).round() as u8))
                    .collect();
                crc.update(&bytes);
                let planar: Vec<u8> =
                    (0..channels).flat_map(|c| image.data[c..].iter().step_by(channels).copied()).collect();
                assert_eq!(fit_bytes(&planar, &[channels, height, width], &prep, Some(part), &mut scratch), made);
            }
            assert_eq!(crc.finalize(), wanted, "{interpolation:?}");
        }
    }

    #[test]
    fn what_is_cut_from_the_middle_is_that_part_of_the_whole() {
        let data: Vec<u8> = (0..40 * 90 * 3).map(|i| (i * i % 251) as u8).collect();
        for (height, width) in [(40, 90), (90, 40)] {
            let image = Decoded { width, height, channels: 3, data: data.clone() };
            let prep = Preprocessing { resize: Some(33), shape: vec![3, 20, 20], ..folder(8) };
            let way = route(height, width, &prep, None);
            let all = Crop { top: 0, left: 0, height, width };
            let to = Preprocessing { shape: vec![3, way.height, way.width], ..prep.clone() };
            let whole = fit_decoded(&image, &to, Some(all), &mut Scratch::default());
            let part = fit_decoded(&image, &prep, None, &mut Scratch::default());
            let kept: Vec<f32> = whole
                .data
                .chunks_exact(way.width)
                .enumerate()
                .filter(|(row, _)| (way.kept.top..way.kept.top + 20).contains(&(row % way.height)))
                .flat_map(|(_, row)| row[way.kept.left..][..20].to_vec())
                .collect();
            assert_eq!(part.data, kept);
        }
    }

    #[test]
    fn planes_and_bytes_are_resized_alike() {
        let data: Vec<u8> = (0..64).map(|i| (i * 4) as u8).collect();
        let prep = Preprocessing { resize: Some(5), shape: vec![1, 4, 4], ..folder(8) };
        let plane =
            Image { planes: 1, height: 8, width: 8, data: data.iter().map(|b| f32::from(*b) / 255.0).collect() };
        let a = fit(plane, &prep, None, &mut Scratch::default());
        let decoded = Decoded { width: 8, height: 8, channels: 1, data };
        let b = fit_decoded(&decoded, &prep, None, &mut Scratch::default());
        assert_eq!((a.height, a.width), (4, 4));
        assert!(a.data.iter().zip(&b.data).all(|(x, y)| (x - y).abs() < 1.5 / 255.0));
    }

    #[test]
    fn a_part_of_the_same_size_is_copied_untouched() {
        let plane = Image { planes: 1, height: 4, width: 4, data: (0..16).map(|v| v as f32).collect() };
        let prep = Preprocessing { resize: Some(2), shape: vec![1, 2, 2], ..folder(8) };
        let crop = Crop { top: 1, left: 2, height: 2, width: 2 };
        assert_eq!(fit(plane, &prep, Some(crop), &mut Scratch::default()).data, [6.0, 7.0, 10.0, 11.0]);
    }
}
