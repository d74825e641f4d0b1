//! From stored pixels to an image of the model's size, and the random changes of training images. Pixels are `f32`
//! planes (`[C, H, W]`); what is known of torchvision's operators is cited where it is followed.

mod augment;
mod bytes;
mod color;
mod decode;
mod resize;

pub(super) use augment::{Change, crop_box, erase};
pub(super) use decode::{Decoded, decode};
use resize::Route;
pub(super) use resize::{Scratch, fit, fit_bytes, fit_decoded};

/// Planes of pixels, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    pub planes: usize,
    pub height: usize,
    pub width: usize,
    pub data: Vec<f32>,
}

impl Image {
    /// The planes, one after the other.
    fn each_plane(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        let len = (self.height * self.width).max(1);
        self.data.chunks_exact_mut(len)
    }
}

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crop {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}
