//! `frostline train`: a new run of a recipe.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::follow::{self, FollowArgs};
use crate::cli::output::harmless;
use crate::cli::{pretrained, ranks};
use crate::core::recipe::Recipe;
use crate::session::{self, Start};

/// Arguments of `frostline train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe (`frostline new` writes one)
    pub recipe: PathBuf,
    /// Set one of its keys to a TOML value (repeatable): train.epochs=20, freeze.rules='["freeze **", "train fc"]'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Check recipe, data, weights, freeze plan, memory and disk; print what would happen, and train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: print one JSON document
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// Trains, or says what would be done.
pub fn run(args: Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if args.dry_run {
        if ranks::is_silent()? {
            return Ok(Done::Ok);
        }
    } else if let Some(done) = ranks::take_part(&args.follow, cx)? {
        return Ok(done);
    }
    let recipe = Recipe::load(&args.recipe, &args.sets)?;
    if !args.dry_run {
        pretrained::fetch(&recipe, cx)?;
        return follow::start(Start::Fresh { recipe }, args.follow, cx);
    }
    let (recipe, absent) = pretrained::as_far_as_cached(recipe)?;
    let engine = cx.engine()?;
    let mut report = session::dry_run(&*engine, cx.home(), &recipe)?;
    report.warnings.extend(absent);
    for warning in &report.warnings {
        cx.io.say(&format!("warning: {warning}"));
    }
    if args.json {
        return cx.print_json(&report).map(|()| Done::Ok);
    }
    for (label, value) in report.lines() {
        cx.io.print(&format!("{label:<12} {}", harmless(&value)))?;
    }
    cx.io.say("nothing was trained (--dry-run)");
    Ok(Done::Ok)
}
