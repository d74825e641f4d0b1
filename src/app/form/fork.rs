//! The form of a fork: a new run from a checkpoint's weights with some keys of the recipe changed, checked by the recipe's own rules and
//! on the model's layers while one types.

use super::{Field, Form, Purpose, Shape, number, quoted};
use crate::app::effect::StartJob;
use crate::app::layers::Layers;
use crate::core::recipe::{Place, Recipe};

use crate::core::tree::Tree;

/// What is forked.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkForm {
    /// The run.
    pub run: String,
    /// The checkpoint's folder name.
    pub checkpoint: String,
    /// The recipe as it would be without changes, or why it cannot be read; `None` while it is.
    pub base: Option<Result<Box<Recipe>, String>>,
    /// The run's layers, where they are known with their classes.
    pub tree: Option<Tree>,
}

const OPTIMIZER: &[&str] = &["afresh", "taken along"];

impl Form {
    /// The form of a fork of a checkpoint.
    pub fn fork(run: String, checkpoint: String, step: u64, tree: Option<Tree>) -> Self {
        let field = Field::new;
        let mut form = Self {
            title: format!("Fork from step {step}, with changes"),
            fields: vec![
                field("name", "name", Shape::Word, "", "as the run it comes from"),
                field("rate", "optimizer.lr", Shape::Number, "", "as it was then"),
                field("epochs", "train.epochs", Shape::Number, "", "as in the recipe"),
                field("freeze", "freeze.rules", Shape::Plain, "", "everything learns; rules, `;` between them"),
                field("optimizer", "", Shape::Plain, OPTIMIZER[0], "").choice(OPTIMIZER, true),
                field("more keys", "", Shape::Plain, "", "none; as train.batch_size=64; optimizer.kind=sgd"),
            ],
            cursor: 0,
            problems: Vec::new(),
            notes: Vec::new(),
            purpose: Purpose::Fork(Box::new(ForkForm { run, checkpoint, base: None, tree })),
            sent: false,
        };
        form.check();
        form
    }

    /// The recipe that the fork begins with was read: the fields show it.
    pub fn take_base(&mut self, base: Result<Box<Recipe>, String>) {
        if matches!(&self.purpose, Purpose::Fork(of) if of.base.is_some()) {
            return;
        }
        if let Ok(recipe) = &base {
            let shown = values(recipe);
            for field in &mut self.fields {
                // What was typed meanwhile stays.
                if let Some((_, value)) = shown.iter().find(|(label, _)| *label == field.label)
                    && field.text().is_empty()
                {
                    field.input = crate::app::overlay::Input::with(value.clone());
                }
                if field.label == "epochs" && recipe.train.steps.is_some() {
                    (field.label, field.key) = ("steps", "train.steps");
                }
            }
        }
        if let Purpose::Fork(of) = &mut self.purpose {
            of.base = Some(base);
        }
        self.check();
    }

    /// What the form asks for.
    pub fn fork_job(&self) -> Option<StartJob> {
        let Purpose::Fork(of) = &self.purpose else { return None };
        let base = of.base.as_ref()?.as_ref().ok()?;
        Some(StartJob::Fork {
            run: of.run.clone(),
            from: of.checkpoint.clone(),
            optimizer: self.field("optimizer") == OPTIMIZER[1],
            sets: sets(self, base).into_iter().map(|(_, set)| set).collect(),
        })
    }
}

/// What the fields show of a recipe.
fn values(recipe: &Recipe) -> Vec<(&'static str, String)> {
    let length = match recipe.train.steps {
        Some(steps) => steps.to_string(),
        None => recipe.train.epochs.map_or_else(String::new, |n| n.to_string()),
    };
    vec![
        ("name", recipe.name.clone().unwrap_or_default()),
        ("rate", recipe.optimizer.lr.to_string()),
        ("epochs", length.clone()),
        ("steps", length),
        ("freeze", recipe.freeze.rules.join("; ")),
    ]
}

fn rules(text: &str) -> Vec<String> {
    text.split(';').map(str::trim).filter(|r| !r.is_empty()).map(str::to_owned).collect()
}

/// The changes as `--set` takes them, each with its field.
fn sets(form: &Form, base: &Recipe) -> Vec<(&'static str, String)> {
    let was = values(base);
    let mut sets = Vec::new();
    for field in &form.fields {
        let text = field.text();
        let same = was.iter().any(|(label, value)| *label == field.label && value == text);
        match field.label {
            "more keys" => sets.extend(rules(text).into_iter().map(|set| (field.label, set))),
            "optimizer" => {}
            _ if same => {}
            "freeze" => {
                let rules: Vec<String> = rules(text).iter().map(|r| quoted(r)).collect();
                sets.push((field.label, format!("{}=[{}]", field.key, rules.join(", "))));
            }
            // An empty field leaves the key as it was.
            _ if text.is_empty() => {}
            _ if field.shape == Shape::Number => sets.push((field.label, format!("{}={}", field.key, number(text)))),
            _ => sets.push((field.label, format!("{}={}", field.key, quoted(text)))),
        }
    }
    sets
}

pub(super) fn check(form: &mut Form) {
    form.fields.iter_mut().for_each(|f| f.problem = None);
    (form.problems, form.notes) = (Vec::new(), Vec::new());
    let Purpose::Fork(of) = &form.purpose else { return };
    let base = match &of.base {
        None => {
            form.problems = vec!["reading the recipe…".to_owned()];
            return;
        }
        Some(Err(problem)) => {
            form.problems = vec![problem.clone()];
            return;
        }
        Some(Ok(base)) => base.clone(),
    };
    let tree = of.tree.clone();
    let sets = sets(form, &base);
    let arguments: Vec<String> = sets.iter().map(|(_, set)| set.clone()).collect();
    let recipe = match base.with_sets(&arguments) {
        Ok(recipe) => recipe,
        Err(error) => {
            for problem in error.problems() {
                let of_set = match &problem.place {
                    Place::Set(set) => sets.iter().find(|(_, s)| s == set).map(|(label, _)| *label),
                    _ => None,
                };
                let of_key = || form.fields.iter().find(|f| !f.key.is_empty() && f.key == problem.key).map(|f| f.label);
                let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
                match of_set.or_else(of_key) {
                    Some("more keys") => form.set_problem("more keys", Some(format!("{key}{}", problem.message))),
                    Some(label) => form.set_problem(label, Some(problem.message.clone())),
                    None => form.problems.push(format!("{key}{}", problem.message)),
                }
            }
            return;
        }
    };
    if sets.is_empty() {
        form.notes.push("Nothing changes: it begins again at step 0 with these weights.".to_owned());
    } else {
        let keys: Vec<&str> = arguments.iter().filter_map(|set| Some(set.split_once('=')?.0.trim())).collect();
        form.notes.push(format!("changes {}", keys.join(", ")));
    }
    if let Some(tree) = tree.filter(|_| recipe.model == base.model) {
        let (layers, problem) = Layers::new(tree, recipe.freeze.rules.clone());
        let totals = layers.totals();
        match problem {
            Some(problem) => form.set_problem("freeze", Some(problem)),
            None if totals.trainable_tensors == 0 => {
                form.set_problem("freeze", Some("nothing would learn".to_owned()));
            }
            None => form.notes.push(format!("{} of {} tensors learn", totals.trainable_tensors, totals.tensors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::overlay::Input;
    use crate::app::sample;

    fn form() -> Form {
        let base = sample::recipe(&["freeze **", "train fc"]);
        let mut form = Form::fork("r".to_owned(), "step-00000120".to_owned(), 120, Some(sample::tree()));
        assert!(!form.is_good(), "until the recipe is read");
        form.take_base(Ok(Box::new(base)));
        form
    }

    fn set(form: &mut Form, label: &str, text: &str) {
        form.cursor = form.fields.iter().position(|f| f.label == label).unwrap();
        form.field_mut().unwrap().input = Input::with(text);
        form.changed();
    }

    #[test]
    fn only_what_was_changed_is_set() {
        let mut form = form();
        assert!(form.is_good(), "{form:?}");
        assert_eq!((form.field("name"), form.field("freeze")), ("digits-head", "freeze **; train fc"));
        let sets = |form: &Form| match form.fork_job() {
            Some(StartJob::Fork { optimizer, sets, .. }) => (optimizer, sets),
            other => panic!("{other:?}"),
        };
        assert_eq!(sets(&form), (false, vec![]));
        set(&mut form, "rate", "1e-4");
        set(&mut form, "freeze", "freeze **; train layer2; train fc");
        set(&mut form, "more keys", "train.batch_size=64; lr_schedule.kind=cosine");
        form.cursor = 4;
        form.turn(1);
        assert!(form.is_good(), "{form:?}");
        let rules = "freeze.rules=[\"freeze **\", \"train layer2\", \"train fc\"]";
        let more = ["train.batch_size=64", "lr_schedule.kind=cosine"];
        assert_eq!(
            sets(&form),
            (true, vec!["optimizer.lr=1e-4".to_owned(), rules.to_owned(), more[0].to_owned(), more[1].to_owned()])
        );
        assert_eq!(form.notes[0], "changes optimizer.lr, freeze.rules, train.batch_size, lr_schedule.kind");
        assert_eq!(form.notes[1], "5 of 11 tensors learn");
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let mut form = form();
        for (label, text, said) in [
            ("rate", "fast", "number"),
            ("rate", "-1", ""),
            ("epochs", "0", ""),
            ("name", "a@b", ""),
            ("freeze", "frooze fc", ""),
            ("freeze", "freeze layr1", "layr1"),
            ("freeze", "freeze **", "nothing would learn"),
            ("more keys", "train.batchsize=3", "train.batchsize"),
            ("more keys", "nonsense", "KEY=VALUE"),
        ] {
            let before = form.field(label).to_owned();
            set(&mut form, label, text);
            let Some((at, problem)) = form.first_problem() else { panic!("{label} {text}: {form:?}") };
            assert!(form.fields[at].label == label && problem.contains(said), "{label} {text}: {problem}");
            set(&mut form, label, &before);
            assert!(form.is_good(), "{label}: {form:?}");
        }
    }

    #[test]
    fn a_recipe_that_counts_steps_has_a_field_of_steps() {
        let mut form = Form::fork("r".to_owned(), "step-00000120".to_owned(), 120, None);
        let mut base = sample::recipe(&[]);
        (base.train.steps, base.train.epochs) = (Some(400), None);
        form.take_base(Ok(Box::new(base)));
        assert_eq!(form.field("steps"), "400");
        set(&mut form, "steps", "800");
        let Some(StartJob::Fork { sets, .. }) = form.fork_job() else { panic!() };
        assert_eq!(sets, ["train.steps=800"]);
    }
}
