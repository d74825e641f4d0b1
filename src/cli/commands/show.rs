//! `frostline show`: everything about one run.

use serde::Serialize;

use super::workbench;
use crate::app::format::{bytes, number};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::{harmless, metrics, plural, when};
use crate::core::checkpoint::{CheckpointInfo, policy};
use crate::core::event::{Event, Record};
use crate::core::recipe::Recipe;
use crate::core::run::{Owner, RunSummary};

/// Arguments of `frostline show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// Print the resolved recipe alone, every default filled in (TOML)
    #[arg(long, conflicts_with = "json")]
    pub recipe: bool,
    /// Open the workbench on it
    #[arg(long, conflicts_with_all = ["json", "recipe"])]
    pub watch: bool,
    /// Print one JSON document: the fields of `ls --json`, path, recipe, checkpoints, events
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: &'a RunSummary,
    #[serde(serialize_with = "crate::core::io::path_as_text")]
    path: &'a std::path::Path,
    /// The process that resumes the run after a crash.
    supervisor: Option<u32>,
    recipe: &'a Recipe,
    checkpoints: &'a [Kept],
    events: &'a [Record],
}

/// A checkpoint, and why the policy keeps it.
#[derive(Serialize)]
struct Kept {
    #[serde(flatten)]
    info: CheckpointInfo,
    kept: Vec<String>,
}

/// Shows the run.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    if args.watch {
        return workbench::open(Some(run.id().to_string()), cx);
    }
    let recipe = run.meta()?.recipe;
    if args.recipe {
        cx.io.print(recipe.to_toml().trim_end())?;
        return Ok(Done::Ok);
    }
    let summary = run.summary();
    let infos = run.checkpoints().list();
    let kept = policy::kept_reasons(&infos, &recipe.checkpoint);
    let checkpoints: Vec<Kept> = infos.into_iter().zip(kept).map(|(info, kept)| Kept { info, kept }).collect();
    let (events, dropped) = run.events()?;
    if let Some(dropped) = dropped {
        cx.io.say(&format!("warning: {dropped}"));
    }
    let supervisor = run.supervisor();
    if args.json {
        let whole = Whole {
            summary: &summary,
            path: run.path(),
            supervisor: supervisor.map(|owner| owner.pid),
            recipe: &recipe,
            checkpoints: &checkpoints,
            events: &events,
        };
        return cx.print_json(&whole).map(|()| Done::Ok);
    }
    let mut facts = facts(&summary, &recipe, &checkpoints, &events, run.path());
    if let Some(Owner { pid, host, .. }) = supervisor {
        let words = format!("process {pid} on {host} resumes it after a crash (--retries)");
        let after_status = facts.iter().position(|(label, _)| *label == "status").map_or(0, |i| i + 1);
        facts.insert(after_status, ("supervisor", words));
    }
    for (label, value) in facts {
        cx.io.print(&format!("{label:<12} {}", harmless(&value)))?;
    }
    Ok(Done::Ok)
}

fn facts(
    s: &RunSummary,
    recipe: &Recipe,
    checkpoints: &[Kept],
    events: &[Record],
    path: &std::path::Path,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![("run", s.id.to_string()), ("name", s.name.clone())];
    let mut status = s.status.to_string();
    if let Some(pid) = s.pid {
        status.push_str(&format!(" (process {pid} on {})", s.host));
    }
    if let Some(message) = &s.message {
        status.push_str(&format!(": {message}"));
    }
    facts.push(("status", status));
    facts.push(("progress", format!("step {} of {}, epoch {} of {}", s.step, s.steps, s.epoch, s.epochs)));
    if let Some(best) = s.best {
        facts.push(("best", format!("{} {}", s.monitor, number(best))));
    }
    let last = events.iter().rev().find_map(|r| match &r.event {
        Event::Validation { metrics, .. } => Some(metrics),
        _ => None,
    });
    if let Some(last) = last {
        facts.push(("validation", metrics(last)));
    }
    facts.push(("model", s.model.clone()));
    if let Some(weights) = &recipe.model.weights {
        facts.push(("weights", weights.clone()));
    }
    let freeze = events.iter().rev().find_map(|r| match &r.event {
        Event::FreezeChanged { rules, trainable, frozen, .. } => Some((rules, trainable, frozen)),
        _ => None,
    });
    if let Some((rules, trainable, frozen)) = freeze {
        let rules = if rules.is_empty() { "no rules".to_owned() } else { rules.join("; ") };
        facts.push(("freeze", format!("{trainable} of {} learn ({rules})", plural(trainable + frozen, "tensor"))));
    }
    let size: u64 = checkpoints.iter().map(|c| c.info.bytes).sum();
    facts.push(("checkpoints", format!("{}, {}", checkpoints.len(), bytes(size))));
    facts.extend(checkpoints.iter().map(|c| {
        let why = if c.kept.is_empty() { "goes at the next save".to_owned() } else { c.kept.join(", ") };
        ("", format!("step {}: {why}", c.info.step))
    }));
    let lineage = [("resumed from", &s.lineage.resumed_from), ("forked from", &s.lineage.forked_from)];
    facts.extend(lineage.into_iter().filter_map(|(label, from)| Some((label, from.clone()?))));
    if !s.tags.is_empty() {
        facts.push(("tags", s.tags.join(", ")));
    }
    if !s.note.is_empty() {
        facts.push(("note", s.note.clone()));
    }
    facts.push(("created", format!("{} on {}", when(s.created), s.host)));
    facts.push(("folder", path.display().to_string()));
    let warnings = events.iter().filter_map(|r| match &r.event {
        Event::Warning { message } | Event::CheckpointFailed { message } => {
            Some(("warning", format!("step {}: {message}", r.step)))
        }
        _ => None,
    });
    facts.extend(warnings);
    facts
}
