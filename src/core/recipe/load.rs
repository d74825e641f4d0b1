//! From a file to a resolved recipe and back: read, apply `--set`, check, fill in defaults, resolve paths.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::document::{self, Node, Value};
use super::error::{Place, Problem, RecipeError};
use super::schema::{self, Kind};
use crate::core::hub;

use super::{Mode, Recipe, TrainSpec, check, paths, rules};

/// A recipe is a page of text; what is longer was not meant as one.
const MAX_BYTES: u64 = 4 << 20;

impl Recipe {
    /// Reads a recipe file and applies `--set` arguments (`optimizer.lr=1e-3`: a TOML value, or a bare word as text).
    ///
    /// Paths are resolved against the file's folder, every default is filled in, and all problems are reported together.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self, RecipeError> {
        let file = path.display().to_string();
        let text = read_file(path).map_err(|message| RecipeError::whole(&file, message))?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::parse(&text, &file, absolute.parent().unwrap_or(Path::new("/")), sets)
    }

    /// Like [`Recipe::load`], for a text: `file` is its name in messages, `base` the folder of its relative paths.
    pub fn parse(text: &str, file: &str, base: &Path, sets: &[String]) -> Result<Self, RecipeError> {
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            return Err(RecipeError::whole(file, "the file is empty; `frostline new` writes a recipe to start from"));
        }
        let document = document::read(text).map_err(|problems| RecipeError::new(file, problems))?;
        let mut recipe = resolve(document, file, base, sets)?;
        if recipe.name.is_none() {
            recipe.name = Path::new(file).file_stem().and_then(|stem| name_from(&stem.to_string_lossy()));
        }
        Ok(recipe)
    }

    /// Applies `--set` arguments to a recipe that is already resolved (fork, resume). Relative paths among them are
    /// relative to the current folder.
    pub fn with_sets(&self, sets: &[String]) -> Result<Self, RecipeError> {
        const FILE: &str = "recipe";
        let mut document = document::read(&self.to_toml()).map_err(|problems| RecipeError::new(FILE, problems))?;
        // Lines of a text that nobody has seen would mislead.
        forget_lines(&mut document);
        resolve(document, FILE, Path::new(""), sets)
    }

    /// Checks a recipe that was built or changed in code.
    pub fn validate(&self) -> Result<(), RecipeError> {
        self.with_sets(&[]).map(drop)
    }

    /// The recipe as TOML with every default written. Parsing it gives the recipe back.
    pub fn to_toml(&self) -> String {
        // Fails for whole numbers beyond i64 only, which parsing never lets in.
        toml::to_string(self).unwrap_or_else(|error| format!("# this recipe cannot be written as TOML: {error}\n"))
    }

    /// Which way the monitored metric is better: as the recipe says, else by the metric's name.
    pub fn monitor_mode(&self) -> Mode {
        self.checkpoint.monitor_mode()
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("no such file; `frostline new {}` writes a recipe to start from", path.display())
        }
        _ => format!("cannot be read: {error}"),
    };
    let file = File::open(path).map_err(wrong)?;
    if file.metadata().map_err(wrong)?.is_dir() {
        return Err("is a folder; name the recipe file in it".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {} MiB; that is no recipe", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        format!("is not UTF-8 text (line {line}, byte {valid}); a recipe is a TOML text file")
    })
}

/// The steps from a document to a recipe: sets, shape, defaults, rules between keys, paths.
fn resolve(mut document: Node, file: &str, base: &Path, sets: &[String]) -> Result<Recipe, RecipeError> {
    let mut problems: Vec<Problem> = sets.iter().filter_map(|set| apply_set(&mut document, set).err()).collect();
    rules::make_room(&mut document);
    problems.extend(check::check(&document));
    if problems.iter().any(|p| !p.lesser) {
        return Err(RecipeError::new(file, problems));
    }
    let is_unknown = |key: &str| schema::find(key.split('[').next().unwrap_or_default()).is_none();
    let unknown: Vec<String> = problems.iter().map(|p| p.key.clone()).filter(|key| is_unknown(key)).collect();
    let mut known = document.clone();
    unknown.iter().for_each(|key| known.remove_if(key, |_| true));
    let mut recipe = match Recipe::deserialize(known.to_toml()) {
        Ok(recipe) => recipe,
        Err(_) if !problems.is_empty() => return Err(RecipeError::new(file, problems)),
        Err(error) => return Err(RecipeError::whole(file, error.message().replace('\n', "; "))),
    };
    if recipe.train.epochs.is_none() && recipe.train.steps.is_none() {
        recipe.train.epochs = TrainSpec::default().epochs;
    }
    let checkpoint = &mut recipe.checkpoint;
    if checkpoint.every_steps.is_none() && checkpoint.every_epochs.is_none() && checkpoint.every_minutes.is_none() {
        checkpoint.every_epochs = Some(1);
    }
    // Where a key is unknown, the others of its section may be wrong for its sake alone: `knd = "sgd"`, and `momentum`.
    let section = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let mut others = rules::check(&document, &recipe);
    others.retain(|problem| unknown.iter().all(|key| section(key) != section(&problem.key)));
    problems.extend(others);
    if !problems.is_empty() {
        return Err(RecipeError::new(file, problems));
    }
    if let Some(weights) = recipe.model.weights.as_deref().filter(|w| hub::is_name(w)) {
        let named = hub::find(&recipe.model.arch, weights).map_err(|words| RecipeError::whole(file, words))?;
        hub::fill_in(&mut recipe.data, named, |key| document.get(key).is_some());
    }
    paths::resolve(&mut recipe, base).map_err(|(key, words)| {
        let place = document.get(key).map_or(Place::Whole, |node| node.place.clone());
        RecipeError::new(file, vec![Problem::new(place, key, words)])
    })?;
    Ok(recipe)
}

/// Writes one `--set` argument into the document.
fn apply_set(document: &mut Node, argument: &str) -> Result<(), Problem> {
    let place = Place::Set(argument.to_owned());
    let wrong = |key: &str, message: String| Err(Problem::new(place.clone(), key, message));
    let Some((key, text)) = argument.split_once('=') else {
        return wrong("", "expected KEY=VALUE, as in optimizer.lr=1e-3".to_owned());
    };
    let (key, text) = (key.trim(), text.trim());
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return wrong("", format!("{key:?} is no key; write it with dots, as in optimizer.lr"));
    }
    let kind = schema::find(key).map(|field| &field.kind);
    let takes_text = matches!(kind, Some(Kind::Text | Kind::Word | Kind::Choice(_)));
    if text.is_empty() && !takes_text {
        return wrong(key, "nothing stands after `=`; give a value".to_owned());
    }
    let value = match document::read_set_value(text, &place) {
        // `--set name=2024` and `--set note=` mean the text.
        Ok(value) if takes_text && !matches!(value, Value::Text(_)) => Value::Text(text.to_owned()),
        // `--set train.devices=cpu` means a list of one.
        Ok(value) if matches!(kind, Some(Kind::List(..))) && !matches!(value, Value::List(_)) => {
            Value::List(vec![Node { place: place.clone(), value }])
        }
        Ok(value) => value,
        Err(message) => return wrong(key, message),
    };
    let node = Node { place: place.clone(), value };
    document
        .put(key, node)
        .or_else(|table| wrong(key, format!("{table} is not a table here, so nothing below it can be set")))
}

fn forget_lines(node: &mut Node) {
    node.place = Place::Whole;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(forget_lines),
        Value::Table(entries) => entries.iter_mut().for_each(|(_, node)| forget_lines(node)),
        _ => {}
    }
}

/// A run's name from a file's: what a name may not hold becomes `-`.
fn name_from(stem: &str) -> Option<String> {
    let name: String = stem.chars().map(|c| if matches!(c, '@' | '/') || c.is_control() { '-' } else { c }).collect();
    match name.trim() {
        "" => None,
        "last" => Some("last-recipe".to_owned()),
        _ => Some(name),
    }
}
