//! `frostline verify`: checksums of everything.

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, plural};
use crate::core::checkpoint::verify_path;
use crate::core::run::{MetricsReader, RunDir};

/// Arguments of `frostline verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run (all its checkpoints, its events and metrics) or one checkpoint (RUN@120)
    #[arg(value_name = "RUN|CKPT")]
    pub what: String,
    /// Print one JSON document: an array of path, ok, problems
    #[arg(long)]
    pub json: bool,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Checked {
    path: String,
    ok: bool,
    problems: Vec<String>,
}

impl Checked {
    fn new(path: &std::path::Path, problems: Vec<String>) -> Self {
        Self { path: path.display().to_string(), ok: problems.is_empty(), problems }
    }
}

/// Proves every checksum. Damage is exit code 1.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let a_run = !args.what.contains(['@', '/']);
    let checked = match a_run {
        true => whole_run(&cx.home().find(&args.what)?),
        false => {
            let path = cx.home().find_checkpoint(&args.what)?.path;
            vec![Checked::new(&path, damage(&path))]
        }
    };
    let bad = checked.iter().filter(|c| !c.ok).count();
    if args.json {
        cx.print_json(&checked)?;
    } else {
        let mut listing = Listing::new(cx.io, &["state", "file"], "there is nothing to verify yet");
        for c in &checked {
            let state = if c.ok { "ok".to_owned() } else { "damaged".to_owned() };
            let what = if c.ok { c.path.clone() } else { format!("{}: {}", c.path, c.problems.join("; ")) };
            listing.row([state, what]);
        }
        listing.print(cx.io)?;
    }
    if bad == 0 {
        return Ok(Done::Ok);
    }
    cx.io.say(&format!(
        "{} damaged; resume passes over damaged checkpoints and records, and `frostline checkpoints` shows what is left",
        plural(bad, "place")
    ));
    Ok(Done::Bad)
}

fn damage(path: &std::path::Path) -> Vec<String> {
    verify_path(path).iter().map(ToString::to_string).collect()
}

fn whole_run(run: &RunDir) -> Vec<Checked> {
    let said = |result: Result<Option<String>, String>| match result {
        Ok(dropped) => dropped.into_iter().collect(),
        Err(problem) => vec![problem],
    };
    let text = |e: crate::core::run::StoreError| e.to_string();
    let mut checked = vec![
        Checked::new(&run.path().join("run.toml"), said(run.meta().map(|_| None).map_err(text))),
        Checked::new(&run.events_path(), said(run.events().map(|(_, dropped)| dropped).map_err(text))),
        Checked::new(
            &run.metrics_path(),
            said(MetricsReader::read_all(&run.metrics_path()).map(|(_, d)| d).map_err(text)),
        ),
    ];
    if let Err(problem) = run.checkpoints().readable() {
        checked.push(Checked::new(run.checkpoints().path(), vec![problem.to_string()]));
    }
    // The folders themselves, not the store's list: one whose state.json is damaged is no longer in that.
    let mut folders: Vec<_> =
        std::fs::read_dir(run.checkpoints().path()).into_iter().flatten().flatten().map(|e| e.path()).collect();
    folders.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-")));
    folders.sort();
    checked.extend(folders.iter().map(|path| Checked::new(path, damage(path))));
    checked
}
