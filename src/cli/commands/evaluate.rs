//! `frostline evaluate`: loss and metrics on validation data, in eval mode.

use std::path::Path;

use super::tell::{self, Wait};
use crate::cli::context::{Context, is_recipe};
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, harmless, plural};
use crate::cli::pretrained;
use crate::core::command::Command;
use crate::core::event::{Event, Metrics};
use crate::core::recipe::Recipe;
use crate::core::run::RunDir;
use crate::session::{self, Source};

/// Arguments of `frostline evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint (RUN@best; a run alone means its last one, or the run itself while it lives) or a recipe
    #[arg(value_name = "CKPT|RECIPE")]
    pub what: String,
    /// Change a key of the recipe, such as the data (repeatable): data.path=other
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Show each class
    #[arg(long)]
    pub per_class: bool,
    /// Print one JSON document: samples, metrics, per_class, skipped, warnings
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// Evaluates.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if let Some(run) = live(&args.what, cx) {
        return evaluate_live(&run, args, cx);
    }
    let (source, sets) = source(&args.what, &args.sets, cx)?;
    let engine = cx.engine()?;
    let result = session::evaluate(&*engine, cx.home(), &source, &sets)?;
    result.warnings.iter().for_each(|w| cx.io.say(&format!("warning: {}", harmless(w))));
    if args.json {
        return cx.print_json(&result).map(|()| Done::Ok);
    }
    for (name, value) in &result.metrics {
        cx.io.print(&format!("{name:<12} {value:.6}"))?;
    }
    if args.per_class {
        let mut listing = Listing::new(cx.io, &["class", ">right", ">samples", ">share"], "the model has no classes");
        for class in &result.per_class {
            let share = class.right as f64 / class.samples as f64;
            let share = if class.samples > 0 { format!("{share:.4}") } else { "-".to_owned() };
            listing.row([class.name.clone(), class.right.to_string(), class.samples.to_string(), share]);
        }
        listing.print(cx.io)?;
    }
    let mut said = plural(usize::try_from(result.samples).unwrap_or(usize::MAX), "validation sample");
    if !result.skipped.is_empty() {
        said += &format!(", without {}", plural(result.skipped.len(), "damaged image"));
    }
    cx.io.say(&said);
    Ok(Done::Ok)
}

/// A run that is named alone and lives: it is asked itself. With a checkpoint's name (`RUN@last`) it is not.
fn live(what: &str, cx: &Context<'_>) -> Option<RunDir> {
    if is_recipe(what) || what.contains(['@', '/']) {
        return None;
    }
    cx.home().find(what).ok().filter(|run| run.owner().is_some())
}

/// What a live run says of itself.
#[derive(serde::Serialize)]
struct Live {
    step: u64,
    metrics: Metrics,
}

fn evaluate_live(run: &RunDir, args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if !args.sets.is_empty() || args.per_class {
        return Err(CliError::Usage(format!(
            "run {0} is live, and evaluates as its recipe says; --set and --per-class need a checkpoint: frostline evaluate {0}@last",
            run.id()
        )));
    }
    let done = tell::ask(run, Command::Evaluate, args.wait, CliError::Refused)?;
    let validation = done.records.into_iter().rev().find_map(|r| match r.event {
        Event::Validation { metrics, .. } => Some(Live { step: r.step, metrics }),
        _ => None,
    });
    let Some(live) = validation else { return Err(CliError::Failed(format!("run {}: {}", run.id(), done.words))) };
    if args.json {
        return cx.print_json(&live).map(|()| Done::Ok);
    }
    for (name, value) in &live.metrics {
        cx.io.print(&format!("{name:<12} {value:.6}"))?;
    }
    cx.io.say(&format!("live at step {}", live.step));
    Ok(Done::Ok)
}

/// A recipe with the changes already made, or a checkpoint and the changes to make.
pub fn source(what: &str, sets: &[String], cx: &mut Context<'_>) -> Result<(Source, Vec<String>), CliError> {
    if is_recipe(what) {
        let recipe = Recipe::load(Path::new(what), sets)?;
        pretrained::fetch(&recipe, cx)?;
        return Ok((Source::Recipe(recipe), Vec::new()));
    }
    Ok((Source::Checkpoint(cx.home().find_checkpoint(what)?), sets.to_vec()))
}
