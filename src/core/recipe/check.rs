//! Holds a document against the schema: unknown keys, wrong types, values out of range. Finds every problem.

use super::When;
use super::document::{Node, Value};
use super::error::{Place, Problem};
use super::schema::{self, Field, Kind};
use crate::core::freeze::{FreezeError, Pattern, Plan};

/// All problems of the document's shape.
pub(super) fn check(document: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_table(document, schema::RECIPE, "", &mut problems);
    let arch = document.get("model.arch");
    if arch.is_none() && document.get("model").is_none_or(|model| matches!(model.value, Value::Table(_))) {
        let place = document.get("model").map_or(Place::Whole, |model| model.place.clone());
        problems.push(Problem::new(
            place,
            "model.arch",
            "missing; name a model of the zoo (\"mlp\", \"resnet8\", \"resnet18\"…) or \"torchscript:model.pt\"",
        ));
    }
    if let (Some(_), Some(steps)) = (document.get("train.epochs"), document.get("train.steps")) {
        let words = "epochs and steps are both given; a run has one end, so leave one of them out";
        problems.push(Problem::new(steps.place.clone(), "train.steps", words).lesser());
    }
    problems
}

fn check_table(node: &Node, fields: &'static [Field], path: &str, problems: &mut Vec<Problem>) {
    let Value::Table(entries) = &node.value else { return };
    for (key, value) in entries {
        let dotted = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match fields.iter().find(|field| field.key == key) {
            Some(field) => check_value(value, &field.kind, &dotted, problems),
            None => {
                let problem = Problem::new(value.place.clone(), dotted, unknown(key, fields, path));
                // Without it the rest can still be read; not without a whole section, or a key of a list's table.
                let plain = !path.is_empty() && !path.contains('[');
                problems.push(if plain { problem.lesser() } else { problem });
            }
        }
    }
}

fn check_value(node: &Node, kind: &'static Kind, path: &str, problems: &mut Vec<Problem>) {
    let mut refuse = |message: String| problems.push(Problem::new(node.place.clone(), path, message));
    let expected = || format!("expected {}, found {}", kind.words(), node.describe());
    match (kind, &node.value) {
        (Kind::Text, Value::Text(_)) | (Kind::Bool, Value::Bool(_)) => {}
        (Kind::Word, Value::Text(text)) if !text.trim().is_empty() => {}
        (Kind::Whole(min), Value::Whole(i)) if i >= min => {}
        (Kind::Within(min, max), Value::Whole(i)) if (min..=max).contains(&i) => {}
        (Kind::Within(_, max), Value::Whole(i)) if i > max => {
            refuse(format!("expected a whole number of at most {max}, found {}", node.describe()));
        }
        (Kind::Time, Value::Text(text)) => {
            if let Err(words) = text.parse::<When>() {
                refuse(words);
            }
        }
        (Kind::Rule | Kind::Pattern, Value::Text(text)) if !text.trim().is_empty() => {
            let words = if matches!(kind, Kind::Rule) { wrong_rule(text) } else { wrong_pattern(text) };
            problems.extend(words.map(|words| Problem::new(node.place.clone(), path, words).lesser()));
        }
        (Kind::Whole(min), Value::Other(_)) => {
            // TOML's whole numbers have 64 bits, sign included.
            refuse(format!("expected a whole number from {min} to {}, found {}", i64::MAX, node.describe()));
        }
        (Kind::Number(limits), Value::Number(x)) if limits.allow(*x) => {}
        (Kind::Number(limits), Value::Whole(i)) if limits.allow(*i as f64) => {}
        (Kind::Choice(choices), Value::Text(text)) => {
            if let Some(words) = not_among(text, choices, kind) {
                refuse(words);
            }
        }
        (Kind::List(of, min, max), Value::List(items)) if (*min..=*max).contains(&items.len()) => {
            for (i, item) in items.iter().enumerate() {
                check_value(item, of, &format!("{path}[{i}]"), problems);
            }
        }
        (Kind::Table(fields), Value::Table(entries)) => {
            check_table(node, fields, path, problems);
            let given = |key: &str| entries.iter().any(|(k, _)| k == key);
            for required in ["match", "mean", "std", "at", "metric"] {
                if fields.iter().any(|field| field.key == required) && !given(required) {
                    problems.push(Problem::new(node.place.clone(), format!("{path}.{required}"), "missing"));
                }
            }
        }
        (Kind::Either(kinds), value) => match (kinds.iter().find(|kind| same_shape(kind, value)), value) {
            // What else would do is said too: who mistypes a number has not meant the word.
            (Some(Kind::Choice(choices)), Value::Text(text)) => {
                if let Some(words) = not_among(text, choices, kind) {
                    refuse(words);
                }
            }
            (Some(kind), _) => check_value(node, kind, path, problems),
            (None, _) => refuse(expected()),
        },
        _ => refuse(expected()),
    }
}

/// What is wrong with a freeze rule's syntax.
fn wrong_rule(text: &str) -> Option<String> {
    Plan::parse(&[text]).err().map(|error| match error {
        FreezeError::Syntax { rule, problem } => format!("`{rule}`: {problem}"),
        error => error.to_string(),
    })
}

/// What is wrong with a pattern's.
fn wrong_pattern(text: &str) -> Option<String> {
    text.parse::<Pattern>().err().map(|problem| format!("`{text}`: {problem}"))
}

/// Why a text is none of the choices of a key that takes `kind`.
fn not_among(text: &str, choices: &[&str], kind: &Kind) -> Option<String> {
    if choices.contains(&text) {
        return None;
    }
    let hint = nearest(text, choices.iter().copied(), 0.7);
    let hint = hint.map_or_else(String::new, |near| format!("did you mean {near:?}? "));
    Some(format!("{text:?} is not known; {hint}use {}", kind.words()))
}

fn same_shape(kind: &Kind, value: &Value) -> bool {
    matches!(
        (kind, value),
        (Kind::Text | Kind::Word | Kind::Choice(_) | Kind::Time | Kind::Rule | Kind::Pattern, Value::Text(_))
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Whole(_) | Kind::Within(..), Value::Whole(_))
            | (Kind::Number(_), Value::Whole(_) | Value::Number(_))
            | (Kind::List(..), Value::List(_))
            | (Kind::Table(_), Value::Table(_))
    )
}

/// Words for an unknown key: the nearest valid one, and all that the section takes.
pub(super) fn unknown(key: &str, fields: &[Field], path: &str) -> String {
    let here = || fields.iter().map(|field| field.key);
    let all: Vec<String> = schema::all_keys().into_iter().map(|(key, _)| key).collect();
    let elsewhere = || {
        let same = |dotted: &&String| dotted.rsplit('.').next() == Some(key) && dotted.starts_with(char::is_alphabetic);
        all.iter().find(same).map(String::as_str)
    };
    let near = nearest(key, here(), 0.9)
        .or_else(elsewhere)
        .or_else(|| foreign_name(key).filter(|known| here().any(|k| k == *known)))
        .or_else(|| {
            foreign_name(key).and_then(|known| {
                all.iter().map(String::as_str).find(|dotted| dotted.rsplit('.').next() == Some(known))
            })
        })
        .or_else(|| nearest(key, here(), 0.7));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let place = if path.is_empty() { "a recipe".to_owned() } else { format!("[{path}]") };
    format!("unknown key{hint}{} {place} takes {}", if hint.is_empty() { ";" } else { "" }, schema::keys(fields))
}

/// What the same thing is called elsewhere (transformers, Lightning, timm).
fn foreign_name(key: &str) -> Option<&'static str> {
    Some(match key {
        "learning_rate" | "base_lr" | "rate" => "lr",
        "wd" => "weight_decay",
        "num_epochs" | "max_epochs" | "num_train_epochs" => "epochs",
        "max_steps" | "iterations" => "steps",
        "bs" | "per_device_train_batch_size" => "batch_size",
        "gradient_accumulation_steps" | "accumulation" => "accumulate_grad_batches",
        "gradient_clip_val" | "max_grad_norm" => "clip_grad_norm",
        "num_workers" => "workers",
        "gpus" | "gpu" => "devices",
        "smoothing" => "label_smoothing",
        "pretrained" | "checkpoint_path" => "weights",
        "scheduler" | "schedule" => "lr_schedule",
        "dataset" => "data",
        "transforms" => "augment",
        "validation_split" | "val_split" => "val_fraction",
        _ => return None,
    })
}

/// The most similar candidate, if it is similar enough.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, at_least: f64) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&plain(word), &plain(candidate)), candidate))
        .filter(|(score, _)| *score >= at_least)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
