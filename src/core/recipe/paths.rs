//! Paths in a recipe: relative to its folder as written, absolute as stored. Nothing here looks at the disk.

use std::path::{Path, PathBuf};

use super::Recipe;
use crate::core::hub;

const TORCHSCRIPT: &str = "torchscript:";

/// Makes the recipe's paths absolute, `base` being the recipe's folder. The error is the key of one that TOML cannot hold, with words.
pub(super) fn resolve(recipe: &mut Recipe, base: &Path) -> Result<(), (&'static str, String)> {
    if let Some(path) = &mut recipe.data.path {
        *path = text(join(base, path)).map_err(|words| ("data.path", words))?.into();
    }
    if let Some(weights) = &mut recipe.model.weights
        && is_weights_path(weights)
    {
        *weights = text(join(base, Path::new(weights.as_str()))).map_err(|words| ("model.weights", words))?;
    }
    if let Some(path) = recipe.model.arch.strip_prefix(TORCHSCRIPT)
        && !path.is_empty()
    {
        let path = text(join(base, Path::new(path))).map_err(|words| ("model.arch", words))?;
        recipe.model.arch = format!("{TORCHSCRIPT}{path}");
    }
    Ok(())
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

/// Recipes are UTF-8, the folder of one need not be.
fn text(path: PathBuf) -> Result<String, String> {
    let wrong = |path: PathBuf| {
        let why = "a folder's name in it is no UTF-8 text, which a recipe cannot hold; rename that folder, or use a link to it";
        format!("{}: {why}", path.display())
    };
    path.into_os_string().into_string().map_err(|path| wrong(path.into()))
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
        resolve(&mut recipe, Path::new("/recipes")).unwrap();
        assert_eq!(recipe.data.path.as_deref(), Some(Path::new("/recipes/images")));
        assert_eq!(recipe.model.weights.as_deref(), Some("/models/a.pth"));
        assert_eq!(recipe.model.arch, "torchscript:/recipes/m.pt");
        let once = recipe.clone();
        resolve(&mut recipe, Path::new("/elsewhere")).unwrap();
        assert_eq!(recipe, once);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_whose_name_is_no_text_is_refused_where_a_path_leads_through_it() {
        use std::os::unix::ffi::OsStrExt;
        let base = Path::new(std::ffi::OsStr::from_bytes(b"/ho\xffme"));
        assert_eq!(resolve(&mut Recipe::default(), base), Ok(()));
        let mut recipe = Recipe::default();
        recipe.data.path = Some("/elsewhere".into());
        assert_eq!(resolve(&mut recipe, base), Ok(()));
        recipe.data.path = Some("images".into());
        let (key, words) = resolve(&mut recipe, base).unwrap_err();
        assert!(key == "data.path" && words.contains("no UTF-8 text"), "{key}: {words}");
    }
}
