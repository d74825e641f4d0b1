//! What people and their files write: recipes, filters, patterns, rules.

use std::path::Path;

use frostline::app::checkpoint_list;
use frostline::app::layers::Layers;
use frostline::core::freeze::{Plan, Schedule};
use frostline::core::groups::groups;
use frostline::core::lr::LrSchedule;
use frostline::core::recipe::Recipe;
use frostline::core::run::edit::line;
use frostline::core::run::{Filter, RunSummary, SortKey, TagEdit};
use frostline::core::tensor::DType;
use frostline::core::tree::{Tree, glob_covers, glob_match, rename_by_glob};

/// A small model.
pub fn tree() -> Tree {
    let names =
        ["conv1.weight", "bn1.weight", "bn1.running_mean", "layer1.0.conv.weight", "layer1.1.conv.bias", "fc.bias"];
    Tree::from_tensors(names.iter().map(|name| (*name, &[2usize, 3][..], DType::Float32)))
}

/// Sets the `--set` arguments apart from the recipe before them.
const SET: char = '\u{1}';

/// A recipe with `--set` arguments behind it; what is taken is the same once it was written and read again, and fits a model or says why not.
pub fn recipe(data: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let mut parts = text.split(SET);
    let text = parts.next().unwrap_or_default();
    let sets: Vec<String> = parts.map(str::to_owned).collect();
    let base = Path::new("/nowhere");
    let known = super::run::run_toml(text);
    let recipe = match Recipe::parse(text, "recipe.toml", base, &sets) {
        Ok(recipe) => recipe,
        Err(e) => {
            assert!(!e.to_string().is_empty());
            return known;
        }
    };
    let written = recipe.to_toml();
    let again = Recipe::parse(&written, "recipe.toml", base, &[]).unwrap_or_else(|e| panic!("{e}\n{written}"));
    assert_eq!(again, recipe, "{written}");
    let tree = tree();
    if let Ok(plan) = Plan::parse(&recipe.freeze.starting_rules()) {
        let _ = plan.resolve(&tree);
    }
    let _ = Schedule::new(&recipe.freeze, recipe.monitor_mode(), &tree);
    let _ = groups(&recipe.optimizer, &tree);
    let schedule = LrSchedule::new(&recipe.lr_schedule, 1000, 10, recipe.monitor_mode());
    assert!([0, 1, 10, 999, 1000, u64::MAX].into_iter().all(|step| !schedule.factor(step).is_nan()));
    known + 1
}

pub fn recipe_seeds() -> Vec<Vec<u8>> {
    let whole = include_str!("../../recipes/valid/design.toml");
    let small = "[model]\narch = \"mlp\"\n[freeze]\nrules = [\"freeze **\", \"train fc\"]\n\u{1}optimizer.lr=1e-3\u{1}name=2024";
    vec![whole.as_bytes().to_vec(), small.as_bytes().to_vec(), super::run::run_toml_seed()]
}

fn summary() -> RunSummary {
    serde_json::from_str(
        r#"{"id":"20261125-014503-k3f9","name":"flowers","status":"running","step":120,"steps":450,"epoch":2,"epochs":10,"best":0.25,
        "monitor":"val/loss","created":"2026-11-25T01:45:03Z","updated":"2026-11-25T01:46:03Z","tags":["good","two words"],"note":"n",
        "host":"box","model":"resnet18","message":null,"pid":4711,"resumed_from":null,"forked_from":null}"#,
    )
    .unwrap()
}

/// The first line as whatever a line can be: a filter, an order, tags, a rule, a pattern. The others are names.
pub fn text(data: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let (first, names) = text.split_once('\n').unwrap_or((text, ""));
    let (summary, recipe) = (summary(), Recipe::default());
    let mut known = 0;
    if let Ok(filter) = Filter::parse(first) {
        known += 1;
        filter.matches(&summary, &recipe);
    }
    if let Ok(key) = SortKey::parse(first) {
        known += 1;
        key.sort(&mut [0, 1], |_| (&summary, &recipe));
    }
    known += usize::from(checkpoint_list::parse(first).is_ok());
    if let Ok(Ok(tags)) = TagEdit::parse(first).map(|edit| edit.apply(&summary.tags)) {
        TagEdit::parse(&line(&tags)).unwrap();
    }
    if let Ok(plan) = Plan::parse(&[first]) {
        known += 1;
        assert_eq!(Plan::parse(&plan.rules()).unwrap().rules(), plan.rules());
    }
    let (mut layers, _) = Layers::new(tree(), vec![first.to_owned()]);
    known += usize::from(layers.set_filter(first).is_ok());
    layers.rows();
    let _ = layers.stage(first);
    for name in names.lines() {
        let whole = glob_match(first, name);
        assert!(!whole || glob_covers(first, name));
        if let Some(new) = rename_by_glob(first, "**.x.*", name) {
            assert!(new.len() <= name.len() + 8);
        }
        known += usize::from(whole);
    }
    known
}

pub fn text_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "name:flowers status:running | best<0.3 -tag:\"two words\" cfg.optimizer.lr>=1e-3",
        "-created",
        "+good -\"two words\"",
        "freeze kind:Batch*",
        "train =fc.bias",
        "layer*.**.conv?.weight\nlayer1.0.conv2.weight\nlayer1.conv1.weight\nfc",
        "**.bias frozen",
        "**.gamma\nencoder.norm.gamma\ngamma",
    ];
    seeds.iter().map(|s| s.as_bytes().to_vec()).collect()
}
