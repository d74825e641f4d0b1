//! `frostline compare`: runs side by side, as the Compare screen shows them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::compare::sections;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::Listing;
use crate::core::run::compare::{LineageDrift, MetricValue, Plan, lineage_drift};
use crate::core::run::{Comparison, RunDir, RunSummary};

/// Arguments of `frostline compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The runs, two or more
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<String>,
    /// Also the recipe keys that are the same, and all metrics
    #[arg(long)]
    pub all: bool,
    /// How far the weights of forks went from the checkpoint they began with; reads both checkpoints
    #[arg(long)]
    pub drift: bool,
    /// Print one JSON document: runs (as `ls --json`), differences (key: a value for each run), metrics, freeze, drift
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    runs: &'a [RunSummary],
    differences: Map<String, Value>,
    metrics: std::collections::BTreeMap<&'a str, &'a [Option<MetricValue>]>,
    freeze: &'a [Plan],
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<Vec<&'a LineageDrift>>,
}

/// Compares.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let runs: Vec<RunDir> = args.runs.iter().map(|what| cx.home().find(what)).collect::<Result<_, _>>()?;
    let comparison = Comparison::read(&runs)?;
    let drifts: Vec<Result<LineageDrift, String>> = if args.drift {
        let home = cx.home();
        let drift = |run: &RunDir| lineage_drift(home, run).map_err(|e| e.to_string()).transpose();
        runs.iter().filter_map(drift).collect()
    } else {
        Vec::new()
    };
    for note in comparison.notes.iter().chain(drifts.iter().filter_map(|d| d.as_ref().err())) {
        cx.io.say(&format!("warning: {note}"));
    }
    if args.json {
        let document = Document {
            runs: &comparison.runs,
            differences: comparison.differences(),
            metrics: comparison.metrics.iter().map(|m| (m.name.as_str(), m.values.as_slice())).collect(),
            freeze: &comparison.plans,
            drift: args.drift.then(|| drifts.iter().flatten().collect()),
        };
        return cx.print_json(&document).map(|()| Done::Ok);
    }
    let names: Vec<String> = comparison.runs.iter().map(|r| r.id.to_string()).collect();
    let headers: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let mut listing = Listing::new(cx.io, &headers, "no runs");
    let known: Vec<_> = drifts.iter().filter(|d| d.is_ok()).cloned().collect();
    for section in sections(&comparison, &known, args.all) {
        for row in section.rows {
            listing.row(std::iter::once(row.label).chain(row.cells));
        }
    }
    listing.print(cx.io)?;
    Ok(Done::Ok)
}
