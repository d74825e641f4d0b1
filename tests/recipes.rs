//! Folders of recipes: every valid one is accepted, every invalid one is refused with exactly the words beside it.
//!
//! `invalid/NAME.toml` goes with `invalid/NAME.txt`; lines `#! ARGUMENT` at its top are `--set` arguments.
//! `FROSTLINE_BLESS=1 cargo test --test recipes` writes the .txt files anew: read the difference before committing it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use frostline::core::recipe::{Recipe, RecipeError};

fn recipes(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn load(path: &Path) -> Result<Recipe, RecipeError> {
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let sets: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("#! ")).map(str::to_owned).collect();
    Recipe::load(path, &sets)
}

#[test]
fn valid_recipes_are_accepted_and_survive_the_round_trip() {
    for path in recipes("valid") {
        let recipe = load(&path).unwrap_or_else(|error| panic!("{error}"));
        let again = Recipe::parse(&recipe.to_toml(), "again.toml", Path::new("/elsewhere"), &[]).unwrap();
        assert_eq!(recipe, again, "{}", path.display());
    }
}

#[test]
fn invalid_recipes_are_refused_with_the_words_beside_them() {
    let bless = std::env::var_os("FROSTLINE_BLESS").is_some();
    for path in recipes("invalid") {
        let error = load(&path).expect_err(&path.display().to_string());
        let folder = format!("{}/", path.parent().unwrap().display());
        let words = format!("{}\n", error.to_string().replace(&folder, ""));
        let beside = path.with_extension("txt");
        if bless {
            std::fs::write(&beside, &words).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(words, expected, "{}", path.display());
    }
}
