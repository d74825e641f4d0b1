//! The rules of reading recipes, and that schema, types, template and documentation agree.

mod round_trip;

use std::path::{Path, PathBuf};

use super::schema::{self, Kind};
use super::*;

const MLP: &str = "model.arch = \"mlp\"\n";

fn parse(text: &str) -> Recipe {
    Recipe::parse(text, "test.toml", Path::new("/recipes"), &[]).unwrap()
}

fn parse_with(text: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Recipe::parse(text, "test.toml", Path::new("/recipes"), &sets).unwrap()
}

fn with_sets(recipe: &Recipe, sets: &[&str]) -> Result<Recipe, RecipeError> {
    recipe.with_sets(&sets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
}

#[test]
fn defaults_are_filled_in_and_the_file_names_the_run() {
    let recipe = parse(MLP);
    assert_eq!(recipe.name.as_deref(), Some("test"));
    assert_eq!((recipe.train.epochs, recipe.train.steps), (Some(10), None));
    assert_eq!(recipe.checkpoint.every_epochs, Some(1));
    assert_eq!(recipe.optimizer.lr, 1e-3);
}

#[test]
fn steps_and_intervals_replace_their_defaults() {
    let recipe = parse(&format!("{MLP}train.steps = 5\ncheckpoint.every_steps = 2\n"));
    assert_eq!((recipe.train.epochs, recipe.train.steps), (None, Some(5)));
    assert_eq!((recipe.checkpoint.every_epochs, recipe.checkpoint.every_steps), (None, Some(2)));
}

#[test]
fn a_set_of_one_end_or_interval_replaces_the_other() {
    let text = format!("{MLP}train.epochs = 5\ncheckpoint.every_steps = 2\n");
    let recipe = parse_with(&text, &["train.steps=7", "checkpoint.every_minutes=0.5"]);
    assert_eq!((recipe.train.epochs, recipe.train.steps), (None, Some(7)));
    let checkpoint = &recipe.checkpoint;
    assert_eq!((checkpoint.every_steps, checkpoint.every_epochs, checkpoint.every_minutes), (None, None, Some(0.5)));
    let again = with_sets(&recipe, &["train.epochs=20"]).unwrap();
    assert_eq!((again.train.epochs, again.train.steps), (Some(20), None));
    assert_eq!(again.checkpoint, recipe.checkpoint);
}

#[test]
fn sets_are_toml_values_or_bare_words() {
    let recipe = parse_with(
        MLP,
        &[
            "name=2024",
            "note=",
            "model.arch=resnet18",
            "model.weights=20261125-014503-k3f9@best",
            "train.devices=cpu",
            "data.classes=[5, 6, \"seven\"]",
            "optimizer.lr=1e-4",
            "optimizer.lr = 2e-4",
            "lr_schedule={ kind = \"cosine\", warmup_steps = 3 }",
        ],
    );
    assert_eq!(recipe.name.as_deref(), Some("2024"));
    assert_eq!(recipe.model.arch, "resnet18");
    assert_eq!(recipe.model.weights.as_deref(), Some("20261125-014503-k3f9@best"));
    assert_eq!(recipe.train.devices, ["cpu"]);
    assert_eq!(recipe.data.classes, [ClassRef::Index(5), ClassRef::Index(6), ClassRef::Name("seven".to_owned())]);
    assert_eq!(recipe.optimizer.lr, 2e-4, "the last one wins");
    assert_eq!((recipe.lr_schedule.kind, recipe.lr_schedule.warmup_steps), (LrScheduleKind::Cosine, 3));
}

#[test]
fn a_set_of_a_kind_drops_what_only_the_old_kind_knew() {
    let recipe = parse(&format!("{MLP}[optimizer]\nkind = \"sgd\"\nmomentum = 0.9\nnesterov = true\n"));
    let adam = with_sets(&recipe, &["optimizer.kind=adam", "optimizer.betas=[0.5, 0.9]"]).unwrap();
    assert_eq!((adam.optimizer.momentum, adam.optimizer.nesterov, adam.optimizer.betas), (0.0, false, (0.5, 0.9)));
    let both = with_sets(&recipe, &["optimizer.kind=adam", "optimizer.momentum=0.5"]).unwrap_err();
    assert!(both.to_string().starts_with("--set optimizer.momentum=0.5: optimizer.momentum: has no meaning"), "{both}");
}

#[test]
fn a_resolved_recipe_names_sets_and_never_lines() {
    let recipe = parse(MLP);
    let error = with_sets(&recipe, &["train.batch_size=0"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--set train.batch_size=0: train.batch_size: expected a whole number of at least 1, found 0"
    );
    assert_eq!(with_sets(&recipe, &[]).unwrap(), recipe);
}

#[test]
fn paths_are_relative_to_the_recipe_and_stored_absolute() {
    let text =
        "[model]\narch = \"torchscript:m.pt\"\nweights = \"../w.pth\"\n[data]\nsource = \"mnist\"\npath = \"d\"\n";
    let recipe = parse(text);
    assert_eq!(recipe.model.arch, "torchscript:/recipes/m.pt");
    assert_eq!(recipe.model.weights.as_deref(), Some("/recipes/../w.pth"));
    assert_eq!(recipe.data.path.as_deref(), Some(Path::new("/recipes/d")));
}

#[test]
fn loading_says_what_is_wrong_with_the_file_itself() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing.toml");
    let words = |path: &Path| Recipe::load(path, &[]).unwrap_err().to_string();
    assert!(words(&missing).contains("nothing.toml: no such file; `frostline new"), "{}", words(&missing));
    assert!(words(folder.path()).ends_with("is a folder; name the recipe file in it"));
    let file = folder.path().join("a@b.toml");
    std::fs::write(&file, format!("{MLP}data.source = \"mnist\"\ndata.path = \"d\"\n")).unwrap();
    let recipe = Recipe::load(&file, &[]).unwrap();
    assert_eq!(recipe.name.as_deref(), Some("a-b"));
    assert_eq!(recipe.data.path, Some(folder.path().join("d")));
}

#[test]
fn a_seed_beyond_tomls_numbers_is_refused_in_words() {
    let mut recipe = parse(MLP);
    recipe.train.seed = u64::MAX;
    let words = recipe.validate().unwrap_err().to_string();
    assert!(words.contains("9223372036854775807"), "{words}");
}

#[test]
fn the_monitored_metrics_name_tells_which_way_is_better() {
    let mut recipe = parse(MLP);
    assert_eq!(recipe.monitor_mode(), Mode::Min);
    recipe.checkpoint.monitor = "val/top1".to_owned();
    assert_eq!(recipe.monitor_mode(), Mode::Max);
    recipe.checkpoint.mode = Some(Mode::Min);
    assert_eq!(recipe.monitor_mode(), Mode::Min);
}

#[test]
fn the_template_is_a_recipe_that_explains_every_key_and_tells_the_truth_about_defaults() {
    let recipe = parse(template());
    assert_eq!((recipe.model.arch.as_str(), recipe.data.source), ("resnet8", SourceKind::Digits));
    assert_eq!((recipe.train.devices.as_slice(), recipe.train.epochs), (&["cpu".to_owned()][..], Some(10)));
    let defaults = defaults();
    let (mut section, mut explained) = (String::new(), Vec::new());
    for line in template().lines() {
        let plain = line.trim_start_matches("# ");
        if let Some(name) = plain.strip_prefix('[').and_then(|l| l.split_once(']')).map(|(name, _)| name) {
            section = format!("{name}.");
        } else if let Ok(entry) = plain.parse::<toml::Table>()
            && let Some((key, value)) = entry.iter().next()
        {
            let key = format!("{section}{key}");
            if let Some((_, default)) = defaults.iter().find(|(k, _)| *k == key && line.starts_with('#')) {
                assert_eq!(value, default, "{key}");
            }
            explained.push(key);
        }
    }
    for (key, _) in schema::all_keys() {
        assert!(explained.contains(&key), "the template does not explain {key}");
    }
}

#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let mut rows = Vec::new();
    let mut section = String::new();
    for line in include_str!("../../../docs/recipe.md").lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let name = heading.trim_matches(['#', ' ', '`']).trim_matches(['[', ']']);
            section = if name.contains(' ') { String::new() } else { format!("{name}.") };
        } else if let Some(row) = line.strip_prefix("| `") {
            let (key, rest) = row.split_once('`').unwrap();
            let default = rest.split(" | ").nth(2).unwrap().trim_matches('`');
            rows.push((format!("{section}{key}"), default.to_owned()));
        }
    }
    let defaults = defaults();
    let mut keys: Vec<String> = schema::all_keys().into_iter().map(|(key, _)| key).collect();
    keys.extend(["data.normalize.mean", "data.normalize.std"].map(str::to_owned));
    keys.extend(["match", "lr", "weight_decay"].map(|key| format!("optimizer.groups.{key}")));
    keys.extend(["at", "rules", "lr_scale"].map(|key| format!("freeze.schedule.{key}")));
    keys.extend(["metric", "mode", "keep"].map(|key| format!("checkpoint.best.{key}")));
    for key in &keys {
        let Some((_, documented)) = rows.iter().find(|(row, _)| row == key) else {
            panic!("docs/recipe.md does not list {key}");
        };
        match defaults.iter().find(|(k, _)| k == key) {
            Some((_, default)) => {
                let entry: toml::Table = format!("x = {documented}").parse().unwrap();
                assert_eq!(&entry["x"], default, "{key}");
            }
            None => assert_eq!(documented, "–", "{key} has no default"),
        }
    }
    assert_eq!(rows.len(), keys.len(), "docs/recipe.md lists a key that does not exist");
}

#[test]
fn the_documentations_examples_are_recipes() {
    let blocks: Vec<&str> = include_str!("../../../docs/recipe.md").split("```").skip(1).step_by(2).collect();
    assert!(blocks.len() > 10);
    for block in blocks {
        let block = block.strip_prefix("toml").unwrap();
        parse(&if block.contains("arch") { block.to_owned() } else { format!("{MLP}{block}") });
    }
}

/// Every key that has a default, with it.
fn defaults() -> Vec<(String, toml::Value)> {
    fn walk(value: &toml::Value, prefix: &str, out: &mut Vec<(String, toml::Value)>) {
        for (key, value) in value.as_table().unwrap() {
            let dotted = format!("{prefix}{key}");
            match value {
                toml::Value::Table(_) => walk(value, &format!("{dotted}."), out),
                _ => out.push((dotted, value.clone())),
            }
        }
    }
    let mut recipe = Recipe::default();
    recipe.checkpoint.every_epochs = Some(1);
    let mut out = Vec::new();
    walk(&toml::Value::try_from(recipe).unwrap(), "", &mut out);
    out.retain(|(key, _)| key != "model.arch");
    out
}

/// The types with every optional key set: what can be written.
fn full() -> Recipe {
    let mut recipe = parse(MLP);
    recipe.model.num_classes = Some(3);
    recipe.model.dropout = Some(0.1);
    recipe.model.stochastic_depth = Some(0.1);
    recipe.model.weights = Some("/w.pth".to_owned());
    recipe.model.load.key = Some("state_dict".to_owned());
    recipe.model.load.strip_prefix = Some("module.".to_owned());
    recipe.data.path = Some(PathBuf::from("/d"));
    recipe.data.image_size = Some(8);
    recipe.data.resize_size = Some(9);
    recipe.optimizer.weight_decay = Some(0.0);
    recipe.train.steps = Some(1);
    recipe.train.clip_grad_norm = Some(1.0);
    recipe.train.validate_every_steps = Some(1);
    recipe.checkpoint.every_steps = Some(1);
    recipe.checkpoint.every_minutes = Some(1.0);
    recipe.checkpoint.mode = Some(Mode::Min);
    recipe.checkpoint.keep_every = Some(1);
    recipe
}

fn written_keys(value: &toml::Value, prefix: &str, out: &mut Vec<String>) {
    for (key, value) in value.as_table().unwrap() {
        let dotted = format!("{prefix}{key}");
        match value {
            toml::Value::Table(_) => written_keys(value, &format!("{dotted}."), out),
            _ => out.push(dotted),
        }
    }
}

#[test]
fn the_schema_and_the_types_have_the_same_keys() {
    let mut written = Vec::new();
    written_keys(&toml::Value::try_from(full()).unwrap(), "", &mut written);
    let mut known: Vec<String> = schema::all_keys().into_iter().map(|(key, _)| key).collect();
    written.sort();
    known.sort();
    assert_eq!(written, known);
}

#[test]
fn every_choice_of_the_schema_is_one_of_the_types() {
    fn strings<'a>(kind: &'a Kind, out: &mut Vec<(&'a str, bool)>) {
        match kind {
            Kind::Choice(choices) => out.extend(choices.iter().map(|c| (*c, false))),
            Kind::List(of, ..) => {
                strings(of, out);
                out.iter_mut().for_each(|(_, list)| *list = true);
            }
            Kind::Either(kinds) => kinds.iter().for_each(|kind| strings(kind, out)),
            _ => {}
        }
    }
    let mut tried = 0;
    for (key, field) in schema::all_keys() {
        let mut choices = Vec::new();
        strings(&field.kind, &mut choices);
        for (choice, in_list) in choices {
            let value = if in_list { format!("[{choice:?}]") } else { format!("{choice:?}") };
            let text = format!("{MLP}{key} = {value}");
            let read = toml::from_str::<Recipe>(&text);
            assert!(read.is_ok(), "{key} = {value}: {}", read.unwrap_err());
            tried += 1;
        }
    }
    assert!(tried > 40);
}

#[test]
fn schedules_are_read_written_and_set() {
    let text = "freeze.schedule = [{ at = 'epoch 3', rules = ['train fc'] }, { at = 'plateau', rules = ['train **'], lr_scale = 0.5 }]";
    let recipe = parse(&format!("{MLP}{text}"));
    let FreezeSchedule::Phases(phases) = &recipe.freeze.schedule else { panic!() };
    assert_eq!((phases[0].at, phases[0].lr_scale, phases[1].at), (When::Epoch(3), 1.0, When::Plateau));
    assert_eq!(parse(&recipe.to_toml()), recipe);
    let gradual = with_sets(&recipe, &["freeze.schedule=gradual", "freeze.patience=5"]).unwrap();
    assert_eq!(gradual.freeze.schedule, FreezeSchedule::Named(NamedSchedule::Gradual));
    assert_eq!(parse(&gradual.to_toml()), gradual);
    assert_eq!(with_sets(&gradual, &["freeze.schedule=[]"]).unwrap().freeze.schedule, FreezeSchedule::default());
    let set = "freeze.schedule=[{ at = \"step 7\", rules = [\"train fc\"] }]";
    assert_ne!(with_sets(&gradual, &[set]).unwrap().freeze.schedule, gradual.freeze.schedule);
}

#[test]
fn the_best_by_other_metrics_are_read_written_and_refused_where_they_are_none() {
    let recipe = parse(&format!(
        "{MLP}[[checkpoint.best]]\nmetric = 'val/top1'\n[[checkpoint.best]]\nmetric = 'train/loss'\nmode = 'max'\nkeep = 3\n"
    ));
    let bests: Vec<_> = recipe.checkpoint.bests().collect();
    assert_eq!(bests, [("val/loss", Mode::Min, 1), ("val/top1", Mode::Max, 1), ("train/loss", Mode::Max, 3)]);
    assert_eq!(parse(&recipe.to_toml()), recipe);
    for (set, word) in [("[{ metric = \"top1\" }]", "did you mean \"val/top1\""), ("[{ keep = 2 }]", "missing")] {
        let words = with_sets(&recipe, &[&format!("checkpoint.best={set}")]).unwrap_err().to_string();
        assert!(words.contains(word) && words.contains("checkpoint.best[0]"), "{words}");
    }
}

#[test]
fn mistakes_of_every_sort_are_told_at_once() {
    let text = "[model]\narch = 'mlp'\nwidht = 3\n[freeze]\nrules = ['train fc', 'freez **']\n\
                schedule = [{ at = 'epoch 1', rules = ['thaw fc'] }]\n[optimizer]\ngroups = [{ match = 'preset:nosuch', lr = 'fast' }]\n\
                [train]\nepochs = 3\nsteps = 7\n";
    let error = Recipe::parse(text, "x.toml", Path::new("/"), &["data.workers=-1".to_owned()]).unwrap_err();
    let keys: Vec<&str> = error.problems().iter().map(|p| p.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "model.widht",
            "freeze.rules[1]",
            "freeze.schedule[0].rules[0]",
            "optimizer.groups[0].match",
            "optimizer.groups[0].lr",
            "train.steps",
            "data.workers"
        ],
        "{error}"
    );
    assert!(error.to_string().contains("did you mean `freeze`?"), "{error}");
    // Where the recipe can be read, what does not go together is told with the rest.
    let text = "name = 'a@3'\n[model]\narch = 'mlp'\n[freeze]\nrules = ['freez **']\n[train]\nepochs = 3\nsteps = 7\n";
    let error = Recipe::parse(text, "x.toml", Path::new("/"), &[]).unwrap_err();
    let keys: Vec<&str> = error.problems().iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["name", "freeze.rules[0]", "train.steps"], "{error}");
}

#[test]
fn hostile_texts_are_refused_in_one_printable_line_a_problem() {
    let deep = format!("{MLP}tags = {}", "[".repeat(100_000));
    let wide = format!("{MLP}train.epochs = {:?}", "x".repeat(100_000));
    for text in ["\"a\\nb\\u001b[2J\" = 1\nmodel.arch = \"x\"", &deep, &wide] {
        let error = Recipe::parse(text, "x.toml", Path::new("/"), &["b\r\n=1".to_owned()]).unwrap_err();
        let words = error.to_string();
        assert_eq!(words.lines().count(), error.problems().len(), "{words}");
        assert!(!words.contains(['\r', '\u{1b}']) && words.len() < 2000, "{words}");
    }
}
