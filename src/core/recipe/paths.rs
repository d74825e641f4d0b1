//! Paths in a recipe: relative to its folder as written, absolute as stored. Nothing here looks at the disk.

use std::path::{Path, PathBuf};

use super::Recipe;
use crate::core::hub;

const TORCHSCRIPT: &str = "torchscript:";

/// Makes the recipe's paths absolute, `base` being the recipe's folder.
pub(super) fn resolve(recipe: &mut Recipe, base: &Path) {
    if let Some(path) = &mut recipe.data.path {
        *path = join(base, path);
    }
    if let Some(weights) = &mut recipe.model.weights
        && is_weights_path(weights)
    {
        *weights = text(join(base, Path::new(weights.as_str())));
    }
    if let Some(path) = recipe.model.arch.strip_prefix(TORCHSCRIPT)
        && !path.is_empty()
    {
        recipe.model.arch = format!("{TORCHSCRIPT}{}", text(join(base, Path::new(path))));
    }
}

/// Whether `model.weights` names a file or folder, as against `RUN@step` or torchvision's names.
fn is_weights_path(weights: &str) -> bool {
    let has_separator = weights.contains(std::path::MAIN_SEPARATOR) || weights.contains('/');
    has_separator || !weights.contains('@') && !hub::is_name(weights)
}

fn join(base: &Path, path: &Path) -> PathBuf {
    let joined = base.join(path);
    // Drops `.` parts and repeated separators; `..` stays, because a link may stand before it.
    std::path::absolute(&joined).unwrap_or(joined)
}

/// Recipes are UTF-8; a base folder that is not loses what TOML could not hold anyway.
fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_paths_unless_they_name_a_run_or_torchvisions() {
        for path in ["a.pth", "a.PT", "./a", "dir/a", "a.safetensors", "x.bin", "runs/a@b/w.pth"] {
            assert!(is_weights_path(path), "{path}");
        }
        for path in ["last.ckpt", "model.safetensors.index.json", "my-weights", "checkpoints/step-00000120"] {
            assert!(is_weights_path(path), "{path}");
        }
        for name in [
            "DEFAULT",
            "IMAGENET1K_V1",
            "ResNet50_Weights.DEFAULT",
            "last@best",
            "20261125-014503-k3f9@120",
            "flowers.v2@120",
            "name.pth@120",
        ] {
            assert!(!is_weights_path(name), "{name}");
        }
    }

    #[test]
    fn relative_paths_are_joined_and_absolute_ones_stay() {
        let mut recipe = Recipe::default();
        recipe.data.path = Some("./images".into());
        recipe.model.weights = Some("/models/a.pth".to_owned());
        recipe.model.arch = "torchscript:m.pt".to_owned();
        resolve(&mut recipe, Path::new("/recipes"));
        assert_eq!(recipe.data.path.as_deref(), Some(Path::new("/recipes/images")));
        assert_eq!(recipe.model.weights.as_deref(), Some("/models/a.pth"));
        assert_eq!(recipe.model.arch, "torchscript:/recipes/m.pt");
        let once = recipe.clone();
        resolve(&mut recipe, Path::new("/elsewhere"));
        assert_eq!(recipe, once);
    }
}
