//! Torchvision's named weights are fetched before anything else is done, where the user sees how far it is.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::Context;
use super::error::CliError;
use super::io::Io;
use crate::app::format::bytes;
use crate::core::hub::{self, Hub, NamedWeights, Progress};
use crate::core::recipe::Recipe;

/// Seconds between two plain lines.
const QUIET: Duration = Duration::from_secs(5);

/// Downloads the recipe's named weights, if it has any and the cache lacks them.
pub fn fetch(recipe: &Recipe, cx: &mut Context<'_>) -> Result<(), CliError> {
    let Some(weights) = named(recipe)? else { return Ok(()) };
    let hub = Hub::from_env().map_err(refused)?;
    let mut shown = Shown::new(&hub, weights, cx.io);
    let path = hub.fetch(weights, &mut |progress| shown.take(progress)).map_err(refused)?;
    if shown.began {
        shown.end();
        cx.io.say(&format!("{} is at {}", weights.label(), path.display()));
    }
    Ok(())
}

/// For a run that is not to start: the recipe as far as it can be checked, and what would be downloaded.
pub fn as_far_as_cached(mut recipe: Recipe) -> Result<(Recipe, Option<String>), CliError> {
    let Some(weights) = named(&recipe)? else { return Ok((recipe, None)) };
    let hub = Hub::from_env().map_err(refused)?;
    if hub.find(weights).map_err(refused)?.is_some() {
        return Ok((recipe, None));
    }
    recipe.model.weights = None;
    let (label, url, path) = (weights.label(), hub.url(weights), hub.path(weights));
    Ok((recipe, Some(format!("{label} would be downloaded from {url} to {}; it was not checked", path.display()))))
}

fn named(recipe: &Recipe) -> Result<Option<&'static NamedWeights>, CliError> {
    let Some(name) = recipe.model.weights.as_deref().filter(|name| hub::is_name(name)) else { return Ok(None) };
    hub::find(&recipe.model.arch, name).map(Some).map_err(|words| CliError::Refused(format!("model.weights: {words}")))
}

fn refused(error: hub::HubError) -> CliError {
    CliError::Refused(format!("model.weights: {error}"))
}

/// A bar on a terminal, plain lines in a pipe, nothing where there is nothing to fetch.
struct Shown<'a> {
    io: &'a mut Io,
    what: String,
    bar: Option<ProgressBar>,
    began: bool,
    last: Instant,
}

impl<'a> Shown<'a> {
    fn new(hub: &Hub, weights: &NamedWeights, io: &'a mut Io) -> Self {
        let what = format!("downloading {} from {}", weights.label(), hub.url(weights));
        Self { io, what, bar: None, began: false, last: Instant::now() }
    }

    fn take(&mut self, progress: Progress) {
        if !std::mem::replace(&mut self.began, true) {
            self.io.say(&self.what);
            if self.io.err_is_terminal {
                let bar = ProgressBar::with_draw_target(progress.total, ProgressDrawTarget::stderr_with_hz(10));
                let style = "{bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
                let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style.progress_chars("━╸─"));
                self.bar = Some(bar);
            }
        }
        if let Some(bar) = &self.bar {
            if let Some(total) = progress.total {
                bar.set_length(total);
            }
            bar.set_position(progress.done);
        } else if self.last.elapsed() >= QUIET {
            let of = progress.total.map(|total| format!(" of {}", bytes(total))).unwrap_or_default();
            self.io.say(&format!("{}{of}", bytes(progress.done)));
            self.last = Instant::now();
        }
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
