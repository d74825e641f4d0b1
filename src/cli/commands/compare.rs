//! `frostline compare`: runs side by side, with the recipe keys that differ.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::format::number;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::Listing;
use crate::core::run::RunSummary;

/// Arguments of `frostline compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs, two or more
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<String>,
    /// Print one JSON document: runs (as `ls --json`) and differences (key: a value for each run)
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document {
    runs: Vec<RunSummary>,
    differences: Map<String, Value>,
}

/// Compares.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let (mut runs, mut recipes) = (Vec::new(), Vec::new());
    for what in &args.runs {
        let run = cx.home().find(what)?;
        let mut keys = Map::new();
        flatten("", &serde_json::to_value(run.meta()?.recipe).map_err(CliError::failed)?, &mut keys);
        recipes.push(keys);
        runs.push(run.summary());
    }
    let document = Document { differences: differences(&recipes), runs };
    if args.json {
        return cx.print_json(&document).map(|()| Done::Ok);
    }
    let names: Vec<String> = document.runs.iter().map(|r| r.id.to_string()).collect();
    let headers: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let mut listing = Listing::new(cx.io, &headers, "no runs");
    let mut row = |label: &str, cell: &dyn Fn(&RunSummary) -> String| {
        listing.row(std::iter::once(label.to_owned()).chain(document.runs.iter().map(cell)));
    };
    row("name", &|r| r.name.clone());
    row("status", &|r| r.status.to_string());
    row("step", &|r| format!("{}/{}", r.step, r.steps));
    row("best", &|r| r.best.map_or_else(|| "-".to_owned(), |best| format!("{} {}", r.monitor, number(best))));
    for (key, values) in &document.differences {
        let cells = values.as_array().into_iter().flatten().map(|v| match v {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        listing.row(std::iter::once(key.clone()).chain(cells));
    }
    listing.print(cx.io)?;
    Ok(Done::Ok)
}

/// Dotted keys, as `--set` takes them; lists are values.
fn flatten(prefix: &str, value: &Value, keys: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, keys);
            }
        }
        other => {
            keys.insert(prefix.to_owned(), other.clone());
        }
    }
}

/// The keys whose values are not the same in all runs. Name, tags and note are the run list's.
fn differences(recipes: &[Map<String, Value>]) -> Map<String, Value> {
    let mut all: Vec<&String> = recipes.iter().flat_map(Map::keys).collect();
    all.sort();
    all.dedup();
    all.retain(|key| !matches!(key.as_str(), "name" | "tags" | "note"));
    let values = |key: &String| recipes.iter().map(|r| r.get(key).cloned().unwrap_or(Value::Null)).collect::<Vec<_>>();
    all.into_iter()
        .map(|key| (key.clone(), values(key)))
        .filter(|(_, values)| values.windows(2).any(|w| w[0] != w[1]))
        .map(|(key, values)| (key, Value::Array(values)))
        .collect()
}
