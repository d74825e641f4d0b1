//! The model zoo: one file a family. A new family is a file with an `ARCHS` table and one line below.
//!
//! Torchvision's families have its names, shapes, kinds, numbers and distributions of initial values; `tests/zoo_python.rs` holds
//! them against it.

mod alexnet;
mod convnext;
mod densenet;
mod efficientnet;
mod forward;
mod mlp;
mod mobilenet;
mod resnet;
mod resnet_small;
mod squeezenet;
mod vgg;
mod vit;

use super::api::InputSpec;
use super::nn::{Build, Node, Result};
use crate::core::recipe::ModelSpec;

/// An architecture by name.
pub struct Arch {
    /// Name in recipes.
    pub name: &'static str,
    /// Input channels that it insists on; `None` where it takes what the data has.
    pub channels: Option<usize>,
    /// Whether it takes `[C, H, W]` only.
    pub images_only: bool,
    /// Sides of images that it takes.
    pub sides: Sides,
    /// Whether `model.dropout` means something.
    pub dropout: bool,
    /// Whether `model.stochastic_depth` means something.
    pub stochastic_depth: bool,
    /// Builds it, freshly initialised; [`Node::finish`] is the caller's.
    pub build: BuildFn,
}

/// Makes a model for a recipe and its data.
pub type BuildFn = fn(&Build, &ModelSpec, &InputSpec) -> Result<Node>;

/// Sides of images, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// At least so many.
    AtLeast(usize),
    /// Square, and a multiple.
    SquareOf(usize),
}

impl Arch {
    /// A model of torchvision's: images of three channels and any size, neither dropout nor stochastic depth.
    const fn torchvision(name: &'static str, build: BuildFn) -> Self {
        let sides = Sides::AtLeast(1);
        Self { name, channels: Some(3), images_only: true, sides, dropout: false, stochastic_depth: false, build }
    }
    const fn sides(self, sides: Sides) -> Self {
        Self { sides, ..self }
    }
    const fn at_least(self, side: usize) -> Self {
        self.sides(Sides::AtLeast(side))
    }
    const fn with_dropout(self) -> Self {
        Self { dropout: true, ..self }
    }
    const fn with_stochastic_depth(self) -> Self {
        Self { stochastic_depth: true, ..self }
    }

    /// Why it does not take samples of this shape, in words.
    pub fn refuses(&self, shape: &[usize]) -> Option<String> {
        let name = self.name;
        if self.images_only && shape.len() != 3 {
            return Some(format!(
                "model.arch = \"{name}\" takes images [C, H, W], but the data's samples are {shape:?}; use \"mlp\""
            ));
        }
        if let (Some(wanted), Some(&got)) = (self.channels, shape.first())
            && wanted != got
        {
            return Some(format!("model.arch = \"{name}\" takes {wanted} channels, but the data has {got}"));
        }
        let &[_, height, width] = shape else { return None };
        match self.sides {
            Sides::AtLeast(side) if height < side || width < side => Some(format!(
                "model.arch = \"{name}\" takes images of at least {side}x{side} pixels, but the data's are \
                 {height}x{width}; set data.image_size to {side} or more"
            )),
            Sides::SquareOf(patch) if height != width || height % patch != 0 || height == 0 => Some(format!(
                "model.arch = \"{name}\" takes square images whose side is a multiple of its patches' {patch} pixels, but \
                 the data's are {height}x{width}; set data.image_size, as 224"
            )),
            _ => None,
        }
    }
}

/// All architectures.
pub fn all() -> impl Iterator<Item = &'static Arch> {
    [
        mlp::ARCHS,
        resnet_small::ARCHS,
        resnet::ARCHS,
        alexnet::ARCHS,
        vgg::ARCHS,
        squeezenet::ARCHS,
        densenet::ARCHS,
        mobilenet::ARCHS,
        efficientnet::ARCHS,
        convnext::ARCHS,
        vit::ARCHS,
    ]
    .into_iter()
    .flatten()
}

/// An architecture by its name.
pub fn find(name: &str) -> Option<&'static Arch> {
    all().find(|a| a.name == name)
}

#[cfg(test)]
mod tests;
