//! The form of a new recipe: a field for each key that one sets first, checked by the recipe's own rules while one types.

use std::path::Path;

use super::{Field, Form, Purpose, Shape, number, quoted};
use crate::app::overlay::Input;
use crate::core::freeze::PLAN_PRESETS;
use crate::core::recipe::{Problem, Recipe, filled};

const ARCHS: &[&str] = &["resnet8", "resnet14", "resnet20", "resnet18", "resnet34", "resnet50", "mlp"];
const SOURCES: &[&str] = &["digits", "image-folder", "cifar10", "mnist", "tensors"];
const PRESETS: &[&str] = &["all", "head only", "last 2 blocks", "biases only", "norms only"];

impl Form {
    /// The form of a new recipe.
    pub fn recipe() -> Self {
        let field = Field::new;
        let choice = |field: Field, choices, closed| field.choice(choices, closed);
        let presets: &'static [&'static str] = if presets_known() { PRESETS } else { &["all"] };
        let mut form = Self {
            fields: vec![
                field("file", "", Shape::Plain, "new.toml", "the recipe's file, in this folder"),
                field("name", "name", Shape::Word, "", "the file's name"),
                choice(
                    field("model", "model.arch", Shape::Word, "resnet8", "a zoo name, or torchscript:FILE"),
                    ARCHS,
                    false,
                ),
                field("classes out", "model.num_classes", Shape::Number, "", "from the data"),
                choice(
                    field("weights", "model.weights", Shape::Word, "", "none; a file, RUN@best, DEFAULT"),
                    &["", "DEFAULT"],
                    false,
                ),
                choice(field("data", "data.source", Shape::Word, "digits", ""), SOURCES, true),
                field("path", "data.path", Shape::Word, "", "where the data lie; digits need none"),
                field("classes", "data.classes", Shape::List, "", "all; or 0, 1, 2"),
                choice(field("what learns", "freeze.rules", Shape::Preset, "all", ""), presets, true),
                choice(field("optimizer", "optimizer.kind", Shape::Word, "adamw", ""), &["adamw", "adam", "sgd"], true),
                field("rate", "optimizer.lr", Shape::Number, "3e-3", "1e-3"),
                field("epochs", "train.epochs", Shape::Number, "10", "10"),
                field("batch", "train.batch_size", Shape::Number, "32", "32"),
                choice(
                    field("devices", "train.devices", Shape::List, "cpu", "auto"),
                    &["cpu", "auto", "cuda:0", "all"],
                    false,
                ),
            ],
            cursor: 0,
            problems: Vec::new(),
            notes: Vec::new(),
            title: "A new recipe from the template".to_owned(),
            purpose: Purpose::Recipe(String::new()),
            sent: false,
        };
        form.check();
        form
    }
}

impl Form {
    /// Whether it makes this recipe.
    pub fn is_recipe_of(&self, path: &Path) -> bool {
        match &self.purpose {
            Purpose::Recipe(_) => Path::new(self.file()) == path,
            Purpose::Edit(edit) => edit.path == path,
            _ => false,
        }
    }
}

fn presets_known() -> bool {
    PRESETS.iter().all(|name| PLAN_PRESETS.iter().any(|p| p.name == *name))
}

impl Field {
    /// The TOML value; `None` where nothing is filled in.
    pub(super) fn value(&self) -> Option<String> {
        let text = self.input.text.trim();
        if text.is_empty() || self.shape == Shape::Plain {
            return None;
        }
        Some(match self.shape {
            Shape::Word | Shape::Plain => quoted(text),
            Shape::Number => number(text),
            Shape::List => {
                let items: Vec<String> = text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(number).collect();
                format!("[{}]", items.join(", "))
            }
            Shape::Preset => {
                // The template says "everything learns" by having no rules.
                let preset = PLAN_PRESETS.iter().find(|p| p.name == text && text != "all");
                let rules: Vec<String> = preset.iter().flat_map(|p| p.rules).map(|r| quoted(r)).collect();
                format!("[{}]", rules.join(", "))
            }
        })
    }
}

impl Form {
    /// Fills in devices that were picked elsewhere.
    pub fn set_devices(&mut self, picked: &[String]) {
        if let Some(field) = self.fields.iter_mut().find(|f| f.key == "train.devices").filter(|_| !picked.is_empty()) {
            field.input = Input::with(picked.join(", "));
            self.check();
        }
    }

    /// The file to write, where the form begins with one.
    pub fn file(&self) -> &str {
        self.fields.first().map_or("", |f| f.input.text.trim())
    }
}

/// Writes the recipe anew and sets down what is wrong with each field.
pub(super) fn check(form: &mut Form) {
    /// Keys of the template that do not go with the fields are left out, one after the other.
    const TRIES: usize = 8;
    let file = form.file().to_owned();
    let mut values: Vec<(&str, Option<String>)> =
        form.fields.iter().filter(|f| !f.key.is_empty()).map(|f| (f.key, f.value())).collect();
    let mut dropped: Vec<String> = Vec::new();
    let mut problems = Vec::new();
    let mut text = String::new();
    for _ in 0..TRIES {
        values.truncate(form.fields.len() - 1);
        let mut all = values.clone();
        all.extend(dropped.iter().map(|key| (key.as_str(), None)));
        text = filled(&all);
        problems = match Recipe::parse(&text, &file, Path::new(""), &[]) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().to_vec(),
        };
        let foreign = |key: &str| !key.is_empty() && !form.fields.iter().any(|f| f.key == key);
        let new: Vec<String> =
            problems.iter().filter(|p| foreign(&p.key) && !dropped.contains(&p.key)).map(|p| p.key.clone()).collect();
        if new.is_empty() {
            break;
        }
        dropped.extend(new);
    }
    sort_problems(form, &problems);
    let wrong = match file.as_str() {
        "" => Some("a file is to be named, as new.toml"),
        name if !name.ends_with(".toml") || name == ".toml" => Some("a recipe's file ends in .toml"),
        _ => None,
    };
    if let Some(field) = form.fields.first_mut() {
        field.problem = wrong.map(str::to_owned);
    }
    form.purpose = Purpose::Recipe(text);
}

/// Sets down what is wrong at the field that it belongs to, or at none.
pub(super) fn sort_problems(form: &mut Form, problems: &[Problem]) {
    for field in &mut form.fields {
        let own = problems.iter().find(|p| {
            p.key == field.key || field.shape == Shape::List && p.key.starts_with(&format!("{}[", field.key))
        });
        field.problem = own.filter(|_| !field.key.is_empty()).map(|p| p.message.clone());
    }
    let claimed = |message: &str| form.fields.iter().any(|f| f.problem.as_deref() == Some(message));
    form.problems = problems
        .iter()
        .filter(|p| !claimed(&p.message))
        .map(|p| if p.key.is_empty() { p.message.clone() } else { format!("{}: {}", p.key, p.message) })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(form: &Form) -> &str {
        match &form.purpose {
            Purpose::Recipe(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn set(form: &mut Form, label: &str, text: &str) {
        let field = form.fields.iter_mut().find(|f| f.label == label).unwrap();
        field.input = Input::with(text);
        form.check();
    }

    fn problem(form: &Form, label: &str) -> Option<String> {
        form.fields.iter().find(|f| f.label == label).unwrap().problem.clone()
    }

    #[test]
    fn the_form_as_it_opens_is_a_recipe() {
        let form = Form::recipe();
        assert!(form.is_good(), "{form:?}");
        assert!(presets_known());
        assert!(text_of(&form).starts_with("# A Frostline recipe"), "comments and all");
    }

    #[test]
    fn what_is_wrong_stands_at_its_field_in_the_recipes_own_words() {
        let mut form = Form::recipe();
        set(&mut form, "rate", "fast");
        let said = problem(&form, "rate").unwrap();
        assert!(said.contains("number"), "{said}");
        set(&mut form, "rate", "-1");
        assert!(problem(&form, "rate").is_some());
        set(&mut form, "rate", "1e-3");
        assert_eq!(problem(&form, "rate"), None);
        set(&mut form, "batch", "0");
        set(&mut form, "file", "x");
        assert!(problem(&form, "batch").is_some() && problem(&form, "file").is_some() && !form.is_good());
        assert_eq!(form.first_problem().unwrap().0, 0);
    }

    #[test]
    fn data_that_need_a_path_ask_for_one() {
        let mut form = Form::recipe();
        set(&mut form, "data", "image-folder");
        assert!(problem(&form, "path").is_some(), "{form:?}");
        set(&mut form, "path", "photos \"of\" flowers");
        assert!(form.is_good(), "{form:?}");
    }

    #[test]
    fn keys_of_the_template_that_do_not_fit_are_left_out() {
        let mut form = Form::recipe();
        for arch in ARCHS {
            set(&mut form, "model", arch);
            assert!(form.is_good(), "{arch}: {:?}", form.problems);
        }
    }

    #[test]
    fn what_is_filled_in_is_in_the_recipe() {
        let mut form = Form::recipe();
        set(&mut form, "classes", "0, 1,2");
        set(&mut form, "what learns", "head only");
        set(&mut form, "devices", "cuda:0, cuda:1");
        set(&mut form, "classes out", "3");
        let recipe = Recipe::parse(text_of(&form), "new.toml", Path::new(""), &[]).unwrap();
        assert_eq!(recipe.freeze.rules, ["freeze preset:all", "train preset:head"]);
        assert_eq!((recipe.model.num_classes, recipe.train.devices.len(), recipe.data.classes.len()), (Some(3), 2, 3));
    }

    #[test]
    fn choices_go_round_and_texts_move_their_cursor() {
        let mut form = Form::recipe();
        form.go(-1);
        assert_eq!(form.cursor, form.fields.len() - 1);
        form.turn(1);
        assert_eq!(form.fields[form.cursor].input.text, "auto");
        form.turn(-1);
        form.turn(-1);
        assert_eq!(form.fields[form.cursor].input.text, "all");
        form.go(1);
        form.turn(-1);
        assert_eq!(form.fields[0].input.cursor, "new.toml".len() - 1);
    }
}
