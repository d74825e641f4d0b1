//! Image files to 8-bit pixels, as torchvision's default loader does it (Pillow's `convert("RGB")`): gray is spread,
//! alpha is dropped, CMYK is converted, 16 bits become 8, EXIF orientation is left alone.

use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::engine::data::error::panic_words;

/// A decoded image: `channels` (1 or 3) bytes a pixel, row-major.
pub(in crate::engine::data) struct Decoded {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub data: Vec<u8>,
}

/// Reads and decodes a file to gray (`channels` 1) or RGB; the error says why it is damaged. A decoder's panic on
/// hostile bytes counts as damage too.
pub(in crate::engine::data) fn decode(path: &Path, channels: usize) -> Result<Decoded, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    catch_unwind(|| decode_bytes(&bytes, channels))
        .unwrap_or_else(|panic| Err(format!("the decoder gave up: {}", panic_words(&*panic))))
}

fn decode_bytes(bytes: &[u8], channels: usize) -> Result<Decoded, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    // The content decides, not the ending: wrongly named files are common.
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let most = match reader.format() {
        Some(ImageFormat::Jpeg) if !has_jpeg_end(bytes) => return Err("the JPEG data is cut off".into()),
        Some(ImageFormat::Jpeg) => JPEG_PIXELS,
        Some(ImageFormat::Png) => PNG_PIXELS,
        _ => return Err("it is neither a JPEG nor a PNG image".into()),
    };
    let image = pixels(reader, most.saturating_mul(bytes.len() as u64))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = match (channels, image.color().has_color()) {
        (1, false) => image.into_luma8().into_raw(),
        (1, true) => luma(&image.into_rgb8().into_raw()),
        _ => image.into_rgb8().into_raw(),
    };
    Ok(Decoded { width, height, channels: if channels == 1 { 1 } else { 3 }, data })
}

/// The most pixels that a byte of a JPEG file can stand for: each block of 8 x 8 takes a bit at least…
const JPEG_PIXELS: u64 = 512;
/// …and of a PNG file: deflate packs 1,032 bytes into one, each of 8 pixels.
const PNG_PIXELS: u64 = 8 * 1032;
/// The most pixels of an image, as Pillow has it (twice its `MAX_IMAGE_PIXELS`).
const MOST_PIXELS: u64 = 2 * 89_478_485;

/// Decodes an image that its file can hold: what a few bytes claim is refused before it takes memory.
fn pixels(reader: ImageReader<Cursor<&[u8]>>, most: u64) -> Result<DynamicImage, String> {
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    let count = u64::from(width) * u64::from(height);
    if count > most {
        return Err(format!("it claims {width} x {height} pixels, which the file cannot hold"));
    }
    if count > MOST_PIXELS {
        return Err(format!("its {width} x {height} pixels are more than Pillow takes ({MOST_PIXELS})"));
    }
    let mut limits = Limits::default();
    limits.reserve(decoder.total_bytes()).and_then(|()| decoder.set_limits(limits)).map_err(|e| e.to_string())?;
    DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())
}

/// Pillow's `convert("L")`: ITU-R 601-2 in 16-bit fixed point (`L24` in libImaging/Convert.c).
fn luma(rgb: &[u8]) -> Vec<u8> {
    let one = |p: &[u8]| (u32::from(p[0]) * 19595 + u32::from(p[1]) * 38470 + u32::from(p[2]) * 7471 + 0x8000) >> 16;
    rgb.chunks_exact(3).map(|p| one(p) as u8).collect()
}

/// Whether an end-of-image marker follows the start of the scan. The decoder fills a cut-off image with gray and says
/// nothing; Pillow refuses it. In entropy-coded data 0xFF is always followed by 0x00 or a restart marker.
fn has_jpeg_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if *marker == 0xFF {
            at += 1; // padding before a marker
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        if *marker == 0xDA {
            break;
        }
    }
    bytes.get(at..).is_some_and(|scan| scan.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image.into().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn noise(x: u32, y: u32) -> u8 {
        (x * 37 + y * 101 + x * y) as u8
    }

    #[test]
    fn gray_alpha_and_16_bit_images_become_rgb() {
        let gray = encoded(ImageBuffer::from_fn(4, 3, |x, y| Luma([noise(x, y)])), ImageFormat::Png);
        let gray = decode_bytes(&gray, 3).unwrap();
        assert_eq!((gray.width, gray.height, gray.data.len()), (4, 3, 36));
        assert!(gray.data.chunks(3).enumerate().all(|(i, p)| p == [noise(i as u32 % 4, i as u32 / 4); 3]));
        let alpha = encoded(ImageBuffer::from_pixel(2, 2, Rgba([10u8, 20, 30, 7])), ImageFormat::Png);
        assert_eq!(decode_bytes(&alpha, 3).unwrap().data, [10, 20, 30].repeat(4));
        let gray_alpha = encoded(ImageBuffer::from_pixel(1, 1, LumaA([9u8, 7])), ImageFormat::Png);
        assert_eq!(decode_bytes(&gray_alpha, 3).unwrap().data, [9, 9, 9]);
        let deep = encoded(ImageBuffer::from_pixel(1, 1, Rgb([65535u16, 0, 257])), ImageFormat::Png);
        assert_eq!(decode_bytes(&deep, 3).unwrap().data, [255, 0, 1]);
    }

    #[test]
    fn colour_becomes_gray_as_pillow_does_it() {
        let red = encoded(ImageBuffer::from_fn(3, 1, |x, _| Rgb([255u8, (x * 100) as u8, 3])), ImageFormat::Png);
        assert_eq!(decode_bytes(&red, 1).unwrap().data, [77, 135, 194]); // Image.convert("L") of Pillow 12
    }

    #[test]
    fn a_cmyk_jpeg_is_decoded_to_its_colours() {
        let bytes = include_bytes!("cmyk.jpg"); // written by Pillow: one colour, RGB 200, 80, 40 or near
        let image = decode_bytes(bytes, 3).unwrap();
        assert_eq!((image.width, image.height), (8, 8));
        for (have, want) in image.data.iter().zip([200i32, 80, 40].into_iter().cycle()) {
            assert!((i32::from(*have) - want).abs() < 6, "{:?}", &image.data[..3]);
        }
    }

    #[test]
    fn damage_is_told_apart_in_words() {
        let jpeg = encoded(ImageBuffer::from_fn(64, 64, |x, y| Rgb([noise(x, y); 3])), ImageFormat::Jpeg);
        let png = encoded(ImageBuffer::from_fn(64, 64, |x, y| Rgb([noise(x, y); 3])), ImageFormat::Png);
        assert!(decode_bytes(&jpeg, 3).is_ok() && decode_bytes(&png, 3).is_ok());
        let why = |bytes: &[u8]| decode_bytes(bytes, 3).err().unwrap();
        assert_eq!(why(&jpeg[..jpeg.len() / 2]), "the JPEG data is cut off");
        assert!(!why(&png[..png.len() / 2]).is_empty());
        assert_eq!(why(&[]), "the file is empty");
        assert_eq!(why(b"not an image at all"), "it is neither a JPEG nor a PNG image");
        for cut in 0..jpeg.len().min(700) {
            let _ = decode_bytes(&jpeg[..cut], 3); // never panics
        }
    }

    #[test]
    fn sizes_that_a_file_cannot_hold_are_refused_and_blank_images_are_not() {
        // Found by the fuzz target `image`: 304 bytes took more than a gigabyte.
        let mut jpeg = encoded(ImageBuffer::from_fn(64, 64, |x, y| Rgb([noise(x, y); 3])), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4E, 0x20, 0x4E, 0x20]);
        assert_eq!(decode_bytes(&jpeg, 3).err().unwrap(), "it claims 20000 x 20000 pixels, which the file cannot hold");
        let mut png = encoded(ImageBuffer::from_pixel(1, 1, Luma([1u8])), ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x20, 0]);
        let sum = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decode_bytes(&png, 3).err().unwrap(), "it claims 16384 x 8192 pixels, which the file cannot hold");
        let blank = || ImageBuffer::from_pixel(3000, 2000, Luma([0u8]));
        assert!(decode_bytes(&encoded(blank(), ImageFormat::Jpeg), 1).is_ok());
        assert!(decode_bytes(&encoded(blank(), ImageFormat::Png), 1).is_ok());
    }

    #[test]
    fn a_file_with_a_wrong_ending_is_decoded_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("really-a-png.jpg");
        std::fs::write(&path, encoded(ImageBuffer::from_pixel(1, 1, Rgb([1u8, 2, 3])), ImageFormat::Png)).unwrap();
        assert_eq!(decode(&path, 3).ok().unwrap().data, [1, 2, 3]);
    }
}
