//! `frostline audit`: what is meant to learn, and what really moved.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::app::format::number;
use crate::cli::context::{Context, is_recipe};
use crate::cli::error::{CliError, Done};
use crate::cli::output::{Listing, plural};
use crate::cli::pretrained;
use crate::core::checkpoint::LoadedCheckpoint;
use crate::core::freeze::ParamState;
use crate::core::recipe::Recipe;
use crate::core::tree::by_module;
use crate::session::{self, Reach};

/// Arguments of `frostline audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run or one of its checkpoints (what moved since step 0), or a recipe (what would learn)
    #[arg(value_name = "RUN|CKPT|RECIPE")]
    pub what: String,
    /// Only tensors that are not as they were meant to be
    #[arg(long)]
    pub wrong: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A tensor of a run.
#[derive(Debug, PartialEq, Serialize)]
struct Entry {
    name: String,
    /// Whether it was meant to learn: always, at times (live edits), never. Null for buffers.
    meant: Option<Meant>,
    /// Whether a bit of it changed since step 0.
    moved: bool,
    /// Whether that is as it was meant.
    ok: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Meant {
    Always,
    Sometimes,
    Never,
}

#[derive(Serialize)]
struct Document {
    checkpoint: String,
    step: u64,
    tensors: Vec<Entry>,
}

/// What the trainer notes in every checkpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trained {
    /// Whether an update with a rate above 0 was applied; older checkpoints may not say.
    updated: Option<bool>,
    learned: Learned,
}

/// Which parameters learned, and which did not, at any time.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Learned {
    ever: BTreeSet<String>,
    paused: BTreeSet<String>,
    /// Those whose rate is 0.
    at_rest: BTreeSet<String>,
}

/// Audits a run from its newest checkpoint, or a recipe before it is run.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    if is_recipe(&args.what) {
        return before(args, cx);
    }
    let checkpoint = cx.home().find_checkpoint(&args.what)?;
    let loaded = checkpoint.load()?;
    let step = loaded.state.step;
    let mut tensors = judge(&loaded)?;
    by_module(&mut tensors, |t| &t.name);
    let wrong = tensors.iter().filter(|t| !t.ok).count();
    let (moved, all) = (tensors.iter().filter(|t| t.moved).count(), tensors.len());
    let shown: Vec<Entry> = tensors.into_iter().filter(|t| !args.wrong || !t.ok).collect();
    if args.json {
        cx.print_json(&Document { checkpoint: checkpoint.label(), step, tensors: shown })?;
    } else {
        let mut listing =
            Listing::new(cx.io, &["tensor", "meant to learn", "since step 0", ""], "no tensor is as it should not be");
        for t in shown {
            let meant = match t.meant {
                Some(Meant::Always) => "yes",
                Some(Meant::Sometimes) => "at times",
                Some(Meant::Never) => "no",
                None => "(buffer)",
            };
            let moved = if t.moved { "moved" } else { "bit-equal" };
            listing.row([
                t.name,
                meant.to_owned(),
                moved.to_owned(),
                if t.ok { String::new() } else { "WRONG".to_owned() },
            ]);
        }
        listing.print(cx.io)?;
    }
    cx.io.say(&format!(
        "{} at step {step}: {moved} of {} moved since step 0, {} bit-equal",
        checkpoint.label(),
        plural(all, "tensor"),
        all - moved
    ));
    if wrong == 0 || step == 0 {
        return Ok(Done::Ok);
    }
    cx.io.say(&format!("{} not as meant", plural(wrong, "tensor")));
    Ok(Done::Bad)
}

/// Compares each tensor with its checksum at step 0.
fn judge(loaded: &LoadedCheckpoint) -> Result<Vec<Entry>, CliError> {
    let trained = loaded.state.extra.get("trainer").cloned();
    let Trained { updated, learned } =
        trained.map(serde_json::from_value).transpose().map_err(CliError::refused)?.unwrap_or_default();
    // A rate of 0 excuses standing still, as in the audit within the run.
    let may_stand_still = |name: &str| updated == Some(false) || learned.at_rest.contains(name);
    let entry = |t: &crate::core::tensor::HostTensor| {
        let hash = blake3::hash(&t.data).to_hex();
        let moved = loaded.state.initial_hashes.get(&t.name).is_none_or(|was| was.as_str() != hash.as_str());
        let meant = match (learned.ever.contains(&t.name), learned.paused.contains(&t.name)) {
            (true, false) => Some(Meant::Always),
            (true, true) => Some(Meant::Sometimes),
            (false, true) => Some(Meant::Never),
            (false, false) => None,
        };
        let ok = match meant {
            Some(Meant::Always) => moved || may_stand_still(&t.name),
            Some(Meant::Never) => !moved,
            Some(Meant::Sometimes) | None => true,
        };
        Entry { name: t.name.clone(), meant, moved, ok }
    };
    Ok(loaded.weights.iter().map(entry).collect())
}

#[derive(Serialize)]
struct Planned<'a> {
    name: &'a str,
    state: ParamState,
    /// L2 norm of its gradient on the first batch.
    gradient: Option<f64>,
    reason: &'a str,
}

/// What a recipe would teach, and where gradients go on its first batch.
fn before(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let recipe = Recipe::load(Path::new(&args.what), &[])?;
    pretrained::fetch(&recipe, cx)?;
    let engine = cx.engine()?;
    let Reach { tree, resolution, gradients } = session::reach(&*engine, cx.home(), &recipe)?;
    let planned = tree.parameters.iter().zip(&resolution.params).zip(gradients);
    let planned =
        planned.map(|((p, r), gradient)| Planned { name: &p.name, state: r.state, gradient, reason: &r.reason });
    let planned: Vec<Planned> = planned.filter(|p| !args.wrong || p.state == ParamState::Starved).collect();
    if args.json {
        cx.print_json(&planned)?;
    } else {
        let headers = ["parameter", "state", ">gradient", "reason"];
        let mut listing = Listing::new(cx.io, &headers, "every parameter that is meant to learn gets a gradient");
        for p in &planned {
            let gradient = p.gradient.map_or_else(String::new, number);
            listing.row([p.name.to_owned(), p.state.to_string(), gradient, p.reason.to_owned()]);
        }
        listing.print(cx.io)?;
    }
    let counts = resolution.counts();
    let all = plural(tree.parameters.len(), "parameter tensor");
    let (learn, fixed) = (counts.trainable, counts.frozen + counts.no_grad);
    cx.io.say(&format!("{all}: {learn} learn, {fixed} do not, {} are starved", counts.starved));
    if counts.trainable == 0 {
        return Err(CliError::Refused(format!(
            "{}: no gradient reaches anything that is meant to learn; see the reasons above",
            args.what
        )));
    }
    Ok(Done::Ok)
}
