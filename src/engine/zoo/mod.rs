//! The model zoo: one file a family. A new family is a file with an `ARCHS` table and one line below.

mod mlp;
mod resnet;
mod resnet_small;

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
    /// Builds it, freshly initialised; [`Node::finish`] is the caller's.
    pub build: fn(&Build, &ModelSpec, &InputSpec) -> Result<Node>,
}

/// All architectures.
pub fn all() -> impl Iterator<Item = &'static Arch> {
    [mlp::ARCHS, resnet_small::ARCHS, resnet::ARCHS].into_iter().flatten()
}

/// An architecture by its name.
pub fn find(name: &str) -> Option<&'static Arch> {
    all().find(|a| a.name == name)
}
