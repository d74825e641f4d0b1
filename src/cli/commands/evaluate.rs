//! `frostline evaluate`: loss and metrics on validation data, in eval mode.

use std::path::Path;

use crate::cli::context::{Context, is_recipe};
use crate::cli::error::{CliError, Done};
use crate::cli::output::Listing;
use crate::core::recipe::Recipe;
use crate::session::{self, Source};

/// Arguments of `frostline evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint (RUN@best; a run alone means its last one) or a recipe
    #[arg(value_name = "CKPT|RECIPE")]
    pub what: String,
    /// Change a key of the recipe, such as the data (repeatable): data.path=other
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Show each class
    #[arg(long)]
    pub per_class: bool,
    /// Print one JSON document: samples, metrics, per_class
    #[arg(long)]
    pub json: bool,
}

/// Evaluates.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let (source, sets) = source(&args.what, &args.sets, cx)?;
    let engine = cx.engine()?;
    let result = session::evaluate(&*engine, cx.home(), &source, &sets)?;
    if args.json {
        return cx.print_json(&result).map(|()| Done::Ok);
    }
    for (name, value) in &result.metrics {
        cx.io.print(&format!("{name:<12} {value:.6}"))?;
    }
    if args.per_class {
        let mut listing = Listing::new(cx.io, &["class", ">right", ">samples", ">share"], "the model has no classes");
        for class in &result.per_class {
            let share = if class.samples > 0 { class.right as f64 / class.samples as f64 } else { f64::NAN };
            listing.row([
                class.name.clone(),
                class.right.to_string(),
                class.samples.to_string(),
                format!("{share:.4}"),
            ]);
        }
        listing.print(cx.io)?;
    }
    cx.io.say(&format!("{} validation samples", result.samples));
    Ok(Done::Ok)
}

/// A recipe with the changes already made, or a checkpoint and the changes to make.
pub fn source(what: &str, sets: &[String], cx: &Context<'_>) -> Result<(Source, Vec<String>), CliError> {
    if is_recipe(what) {
        return Ok((Source::Recipe(Recipe::load(Path::new(what), sets)?), Vec::new()));
    }
    Ok((Source::Checkpoint(cx.home().find_checkpoint(what)?), sets.to_vec()))
}
