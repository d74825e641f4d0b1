//! The filter language and the sort keys.

use proptest::prelude::*;

use super::*;
use crate::core::recipe::{Mode, Recipe};
use crate::core::run::{Lineage, RunId, RunStatus, SortKey};

fn run(name: &str, best: Option<f64>, tags: &[&str]) -> RunSummary {
    let created: jiff::Timestamp = "2026-11-25T01:45:03Z".parse().unwrap();
    RunSummary {
        id: "20261125-014503-0000".parse::<RunId>().unwrap(),
        name: name.into(),
        status: RunStatus::Finished,
        step: 120,
        steps: 200,
        epoch: 3,
        epochs: 5,
        best,
        monitor: "val/loss".into(),
        mode: Mode::Min,
        created,
        updated: created,
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        note: "a good one".into(),
        host: "box".into(),
        model: "resnet18".into(),
        message: None,
        pid: None,
        lineage: Lineage::default(),
        problem: None,
    }
}

fn passes(filter: &str) -> bool {
    let mut recipe = Recipe::default();
    recipe.optimizer.lr = 1e-3;
    recipe.model.arch = "resnet18".into();
    let filter = Filter::parse(filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
    filter.matches(&run("Flowers head", Some(0.25), &["baseline", "v10"]), &recipe)
}

#[test]
fn the_language_does_what_it_says() {
    let yes = [
        "",
        "  ",
        "flow",
        "FLOWERS",
        "head flowers",
        "good",
        "base",
        "20261125",
        "name:flowers",
        "tag:v1",
        "tag=v10",
        "id:2026",
        "status:fin",
        "status=finished",
        "cfg.optimizer.lr>=1e-3",
        "cfg.optimizer.lr=0.001",
        "best<0.3",
        "best>=0.25",
        "best!=1",
        "-birds",
        "-tag:old",
        "birds | flowers",
        "birds|flowers",
        "nothing at all | v10 head",
        "\"flowers head\"",
        "name:\"flowers head\"",
        "name=\"flowers head\"",
        "cfg.model.arch=resnet18",
        "model:resnet",
        "flowers | ",
        "created>2026-11-24",
        "cfg.train.batch_size<=32",
        "-best>1",
        "cfg.freeze.rules=[]",
        "cfg.model.width!=1",
        "note:'a good'",
    ];
    for f in yes {
        assert!(passes(f), "should pass: {f}");
    }
    let no = [
        "birds",
        "flowers birds",
        "-flowers",
        "tag=v1",
        "best<0.25",
        "best>0.25",
        "name:good",
        "status:running",
        "cfg.optimizer.lr>1e-3",
        "-\"good one\"",
        "\"head flowers\"",
        "\"birds|flowers\"",
        "cfg.model.width=1",
        "flowers -tag:v10",
        "birds | name:x",
    ];
    for f in no {
        assert!(!passes(f), "should not pass: {f}");
    }
}

#[test]
fn mistakes_are_named() {
    let words = |f: &str| Filter::parse(f).unwrap_err().to_string();
    assert_eq!(words("stauts:running"), "unknown field `stauts`; did you mean `status`?");
    assert!(words("xyz>3").contains("cfg.<recipe key>"));
    assert!(words("\"open").contains("no end"));
    assert!(words("best<").contains("nothing after"));
    assert!(words("best<abc").starts_with("`abc` is no value of best; it is compared with a number"));
    assert!(words("step=x").contains("with a number") && Filter::parse("step:1").is_ok());
    for filter in ["status:nonsense", "status=fin", "-status:x"] {
        assert!(words(filter).contains("known are queued, running, paused, finished"), "{filter}: {}", words(filter));
    }
    assert_eq!(
        words("cfg.optimzer.lr=1"),
        "unknown field `cfg.optimzer.lr`; no recipe has this key; did you mean `cfg.optimizer.lr`?"
    );
    for key in ["cfg.optimizer.groups.0.lr>1", "cfg.optimizer:adam", "cfg.data.normalize.mean:0"] {
        assert!(Filter::parse(key).is_ok(), "{key}");
    }
    assert!(Filter::parse("cfg.optimizer.groups.x.lr>1").is_err() && SortKey::parse("cfg.optimzer.lr").is_err());
    assert!(SortKey::parse("-bset").unwrap_err().to_string().contains("`best`"));
}

#[test]
fn a_recipe_is_needed_only_for_its_keys() {
    let needs = |f: &str| Filter::parse(f).unwrap().needs_recipe();
    assert!(needs("a | -cfg.optimizer.lr<1"));
    assert!(!needs("a best<1 tag:cfg.x") && !needs(""));
    assert!(
        SortKey::parse("-cfg.optimizer.lr").unwrap().needs_recipe() && !SortKey::parse("best").unwrap().needs_recipe()
    );
}

#[test]
fn runs_without_a_value_sort_last_either_way() {
    let runs = [run("a", Some(0.5), &[]), run("b", None, &[]), run("c", Some(0.1), &[])];
    let recipe = Recipe::default();
    for (key, order) in [("best", "cab"), ("-best", "acb"), ("-name", "cba"), ("cfg.optimizer.lr", "abc")] {
        let mut list: Vec<&RunSummary> = runs.iter().collect();
        SortKey::parse(key).unwrap().sort(&mut list, |r| (*r, &recipe));
        assert_eq!(list.iter().map(|r| r.name.as_str()).collect::<String>(), order, "{key}");
    }
}

#[test]
fn by_best_the_better_ones_come_first_and_other_metrics_stand_apart() {
    let mut runs = [("a", 0.5), ("b", 0.9), ("c", 0.1), ("d", 0.7)].map(|(name, best)| run(name, Some(best), &[]));
    for of_accuracy in [0, 1] {
        (runs[of_accuracy].monitor, runs[of_accuracy].mode) = ("val/top1".into(), Mode::Max);
    }
    let recipe = Recipe::default();
    let order = |key: &str| {
        let mut list: Vec<&RunSummary> = runs.iter().collect();
        SortKey::parse(key).unwrap().sort(&mut list, |r| (*r, &recipe));
        list.iter().map(|r| r.name.as_str()).collect::<String>()
    };
    assert_eq!((order("best"), order("-best")), ("cdba".to_owned(), "dcab".to_owned()));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_not_turns_the_answer(text in "[-a-z0-9:|<>=!\"' .]{0,20}") {
        let _ = Filter::parse(&text);
        let word: String = text.chars().filter(char::is_ascii_lowercase).collect();
        if !word.is_empty() {
            prop_assert_ne!(passes(&word), passes(&format!("-{word}")));
        }
    }
}
