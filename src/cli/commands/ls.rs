//! `frostline ls`: the runs.

use crate::app::format::number;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, when};
use crate::core::recipe::Recipe;
use crate::core::run::edit::short_name;
use crate::core::run::{Filter, RunSummary, SortKey};

/// Arguments of `frostline ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Words searched in name, id, tags and note; tag:X, name:X, id:X, status:X; cfg.optimizer.lr>=1e-3; best<0.3; `-` before one negates,
    /// `|` between two is or
    pub filter: Vec<String>,
    /// Order: created, name, status, step, best, cfg.<key>…; `-` before it turns it round
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Print one JSON document: an array, newest first
    #[arg(long)]
    pub json: bool,
}

/// Lists the runs that pass the filter.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let words: Vec<&str> = args.filter.iter().map(|w| w.trim()).collect();
    let filter = Filter::parse(&words.join(" ")).map_err(|e| CliError::Usage(e.to_string()))?;
    let sort = args
        .sort
        .as_deref()
        .map(|s| SortKey::parse(s.trim()))
        .transpose()
        .map_err(|e| CliError::Usage(format!("--sort: {e}")))?;
    let mut all = Vec::new();
    for run in cx.home().runs()? {
        let recipe = run.meta().map(|m| m.recipe).unwrap_or_default();
        all.push((run.summary(), recipe));
    }
    let mut runs: Vec<&(RunSummary, Recipe)> = all.iter().filter(|(run, recipe)| filter.matches(run, recipe)).collect();
    if let Some(sort) = sort {
        sort.sort(&mut runs, |run| (&run.0, &run.1));
    }
    let runs: Vec<&RunSummary> = runs.into_iter().map(|(summary, _)| summary).collect();
    if let Some(path) = cx.missing_home() {
        cx.io.say(&format!("warning: the run home {} does not exist (yet)", path.display()));
    }
    if args.json {
        return cx.print_json(&runs).map(|()| Done::Ok);
    }
    let empty = if args.filter.is_empty() {
        "no runs yet; `frostline new first.toml` writes a recipe to start from"
    } else {
        "no run passes the filter"
    };
    // Values of different metrics in one column say of which they are.
    let mixed = runs.iter().any(|r| r.monitor != runs[0].monitor);
    let best = |r: &RunSummary| match r.best.map(number) {
        Some(best) if mixed => format!("{} {best}", r.monitor),
        Some(best) => best,
        None => "-".to_owned(),
    };
    let mut listing =
        Listing::new(cx.io, &["id", "name", "status", ">step", ">epoch", ">best", "created", "tags"], empty);
    for r in &runs {
        let of = |n: u64, all: u64| if all > 0 { format!("{n}/{all}") } else { n.to_string() };
        listing.row([
            r.id.to_string(),
            short_name(&r.name),
            r.status.to_string(),
            of(r.step, r.steps),
            of(r.epoch, r.epochs),
            best(r),
            when(r.created),
            r.tags.join(","),
        ]);
    }
    listing.print(cx.io)?;
    for r in &runs {
        if let Some(problem) = &r.problem {
            cx.io.say(&format!("warning: run {}: {problem}", r.id));
        }
    }
    Ok(Done::Ok)
}
