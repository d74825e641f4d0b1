//! The form of a recipe that exists: the values of its file, and only those that become others are written.

use std::path::{Path, PathBuf};

use super::{Form, Purpose};
use crate::app::effect::RecipeJob;
use crate::app::overlay::Input;
use crate::core::recipe::{Recipe, Written, with_values};

/// A recipe's file while some of its values are changed.
#[derive(Debug, Clone, PartialEq)]
pub struct EditForm {
    /// The file.
    pub path: PathBuf,
    /// Its text as it was read, and that text's checksum.
    read: (String, String),
    /// What stood in the fields then.
    before: Vec<String>,
    /// Its text as it would be.
    after: String,
}

impl Form {
    /// The form filled in with a recipe file's values. What learns is edited among the layers.
    ///
    /// # Errors
    /// Where the text is not valid TOML, in words.
    pub fn edit(path: PathBuf, text: String, checksum: String) -> Result<Self, String> {
        let written = Written::read(&text)?;
        let mut form = Self::recipe();
        form.fields.retain(|f| !f.key.is_empty() && f.key != "freeze.rules");
        for field in &mut form.fields {
            field.input = Input::with(written.plain(field.key).unwrap_or_default());
        }
        let before = form.fields.iter().map(|f| f.input.text.clone()).collect();
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        form.title = format!("Values of {name}");
        form.purpose = Purpose::Edit(Box::new(EditForm { path, after: text.clone(), read: (text, checksum), before }));
        form.check();
        Ok(form)
    }

    /// What is written when it is accepted; `None` where nothing has changed.
    pub fn edit_job(&self) -> Option<RecipeJob> {
        let Purpose::Edit(edit) = &self.purpose else { return None };
        let checksum = Some(edit.read.1.clone());
        let job = || RecipeJob { path: edit.path.clone(), text: edit.after.clone(), force: true, checksum };
        (edit.after != edit.read.0).then(job)
    }
}

/// Writes the values into the text and sets down what is wrong with each field.
pub(super) fn check(form: &mut Form) {
    let Purpose::Edit(edit) = form.purpose.clone() else { return };
    let mut edit = *edit;
    let changed = form.fields.iter().zip(&edit.before).filter(|(f, before)| f.text() != before.trim());
    let mut values: Vec<(&str, Option<String>)> = changed.map(|(f, _)| (f.key, f.value())).collect();
    // A run has one end.
    if values.iter().any(|(key, value)| *key == "train.epochs" && value.is_some()) {
        values.push(("train.steps", None));
    }
    let file = edit.path.display().to_string();
    let problems = match with_values(&edit.read.0, &values) {
        Ok(text) => {
            let base = edit.path.parent().unwrap_or(Path::new(""));
            let parsed = Recipe::parse(&text, &file, base, &[]);
            edit.after = text;
            parsed.err().map(|e| e.problems().to_vec()).unwrap_or_default()
        }
        Err(words) => {
            form.problems = vec![words];
            return;
        }
    };
    super::recipe::sort_problems(form, &problems);
    let n = values.len();
    form.notes = match n {
        0 => vec!["Only what becomes another value is written; comments and all else stay.".to_owned()],
        _ => vec![format!("changes {}", values.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", "))],
    };
    form.purpose = Purpose::Edit(Box::new(edit));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[model]\narch = \"mlp\" # small\n[data]\nsource = \"digits\"\n[train]\nsteps = 30 # end\n";

    fn set(form: &mut Form, label: &str, text: &str) {
        form.fields.iter_mut().find(|f| f.label == label).unwrap().input = Input::with(text);
        form.check();
    }

    #[test]
    fn it_shows_what_the_file_says_and_writes_what_became_another_value() {
        let mut form = Form::edit("a.toml".into(), TEXT.to_owned(), "sum".to_owned()).unwrap();
        assert!(form.is_good() && form.edit_job().is_none(), "{form:?}");
        assert_eq!((form.field("model"), form.field("data"), form.field("epochs")), ("mlp", "digits", ""));
        assert!(form.fields.iter().all(|f| f.label != "file" && f.label != "what learns"));
        set(&mut form, "rate", "5e-4");
        let job = form.edit_job().unwrap();
        assert_eq!(job.text, format!("{TEXT}\n[optimizer]\nlr = 5e-4\n"));
        assert_eq!((job.force, job.checksum.as_deref()), (true, Some("sum")));
        set(&mut form, "rate", "");
        set(&mut form, "epochs", "4");
        assert!(form.is_good(), "{form:?}");
        assert!(form.edit_job().unwrap().text.ends_with("[train]\nepochs = 4\n"), "one end: {:?}", form.edit_job());
        set(&mut form, "epochs", "many");
        assert!(!form.is_good() && form.first_problem().unwrap().1.contains("number"), "{form:?}");
        assert!(Form::edit("a.toml".into(), "[model".to_owned(), String::new()).is_err());
    }
}
