//! `[data]`: the source, its split, preprocessing, augmentation and workers.

use serde::{Deserialize, Serialize};

/// Where samples come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The 1,797 8x8 digits that the binary embeds.
    #[default]
    Digits,
    /// `class/name.jpg` below `path`, or below `path/train` and `path/val`.
    ImageFolder,
    /// CIFAR-10, binary version.
    Cifar10,
    /// MNIST's IDX files, gzipped or not.
    Mnist,
    /// `x` and `y` in a .safetensors or .npz file.
    Tensors,
}

/// How pixel values are normalised after scaling to 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Normalize {
    /// `"imagenet"` or `"none"`.
    Named(NamedNormalize),
    /// `(x - mean) / std` by channel.
    Values {
        /// One value a channel.
        mean: Vec<f32>,
        /// One value a channel.
        std: Vec<f32>,
    },
}

/// Normalisations with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedNormalize {
    /// mean 0.485, 0.456, 0.406; std 0.229, 0.224, 0.225.
    Imagenet,
    /// Left in 0..1.
    None,
}

/// A random change of a training image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// torchvision's RandomResizedCrop (scale 0.08..1, ratio 3/4..4/3).
    RandomResizedCrop,
    /// Zero padding by an eighth of the size, then a random crop of the size.
    RandomCrop,
    /// Flip left-right with probability 1/2.
    HorizontalFlip,
    /// Flip top-bottom with probability 1/2.
    VerticalFlip,
    /// Rotation by up to 15 degrees.
    RandomRotation,
    /// Brightness, contrast and saturation within 0.6..1.4.
    ColorJitter,
    /// A random rectangle set to zero with probability 1/2.
    RandomErasing,
}

/// How images are resized, always antialiased as Pillow does it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle filter.
    #[default]
    Bilinear,
    /// Cubic with a = -0.5.
    Bicubic,
}

/// What a damaged image does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadImage {
    /// It is skipped, counted and named.
    #[default]
    Skip,
    /// The run stops.
    Stop,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSpec {
    /// Kind of source.
    pub source: SourceKind,
    /// File or folder, where the source needs one; resolved against the recipe's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<std::path::PathBuf>,
    /// Class labels to keep, by number or name, renumbered from 0 in this order; all when empty.
    pub classes: Vec<ClassRef>,
    /// Part of the samples held back for validation where the source has no split of its own.
    pub val_fraction: f64,
    /// Side of the square that images are brought to; when left out 224 for an image folder, else the source's own size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// The shorter side of an image is brought to this many pixels before the square is cut from its middle; when left out
    /// 256 / 224 of `image_size` for an image folder, else `image_size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize_size: Option<usize>,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// Normalisation.
    pub normalize: Normalize,
    /// Changes of training images, in order.
    pub augment: Vec<Augment>,
    /// Threads that decode and change images; 0 does it in the trainer's thread.
    pub workers: usize,
    /// What a damaged image does.
    pub on_bad_image: OnBadImage,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self {
            source: SourceKind::Digits,
            path: None,
            classes: Vec::new(),
            val_fraction: 0.2,
            image_size: None,
            resize_size: None,
            interpolation: Interpolation::Bilinear,
            normalize: Normalize::Named(NamedNormalize::None),
            augment: Vec::new(),
            workers: 2,
            on_bad_image: OnBadImage::Skip,
        }
    }
}

/// A class by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassRef {
    /// The source's number.
    Index(usize),
    /// The source's name.
    Name(String),
}
