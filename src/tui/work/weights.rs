//! Hashing and writing weights.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Receiver;

use super::{Job, Places, next, run_dir};
use crate::app::effect::{Effect, ExportJob};
use crate::app::format::bytes;
use crate::app::message::{ExportProblem, Message};
use crate::core::checkpoint::load_path;
use crate::core::run::compare::lineage_drift;
use crate::core::weights::{WeightsError, write_safetensors};
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting = VecDeque::new();
    while let Some(job) = next(queue, &mut waiting) {
        let open = match job {
            Job::Effect(Effect::Export(job)) => post.message(Message::Exported(export(places, job))),
            Job::Effect(Effect::MeasureDrift(runs)) => {
                let drift = |id| {
                    let run = places.home.find(id);
                    run.and_then(|run| lineage_drift(&places.home, &run)).map_err(|e| e.to_string()).transpose()
                };
                let drifts = runs.iter().filter_map(|id| drift(id.as_str())).collect();
                post.message(Message::Drifted { runs, drifts })
            }
            _ => true,
        };
        if !open {
            return;
        }
    }
}

/// Checksums of checkpoints, on a thread of its own: an export does not wait for a long history. Deleting one reads
/// others, and does not wait either.
pub(super) fn verify(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting: VecDeque<(String, String)> = VecDeque::new();
    loop {
        let new = if waiting.is_empty() { queue.recv().ok() } else { queue.try_recv().ok() };
        let open = match (new, waiting.pop_front()) {
            (Some(Job::Effect(Effect::Verify { run, names })), first) => {
                waiting.extend(names.into_iter().map(|name| (run.clone(), name)));
                first.into_iter().for_each(|first| waiting.push_front(first));
                true
            }
            (Some(Job::Effect(Effect::DeleteCheckpoint { run, name })), first) => {
                first.into_iter().for_each(|first| waiting.push_front(first));
                waiting.retain(|(r, n)| *r != run || *n != name);
                let result = delete(places, &run, &name);
                post.message(Message::CheckpointDeleted { run, result })
            }
            (Some(_), first) => {
                first.into_iter().for_each(|first| waiting.push_front(first));
                true
            }
            (None, Some((run, name))) => {
                let damage = match run_dir(places, &run) {
                    Ok(run) => run.checkpoints().verify(&name).iter().map(ToString::to_string).collect(),
                    Err(problem) => vec![problem],
                };
                post.message(Message::Verified { run, name, damage })
            }
            (None, None) => false,
        };
        if !open {
            return;
        }
    }
}

fn delete(places: &Places, run: &str, name: &str) -> Result<String, String> {
    let run = run_dir(places, run)?;
    let recipe = run.meta().map_err(|e| e.to_string())?.recipe;
    // Nobody is to go on from it meanwhile; a live run's owner tolerates that one goes.
    let _lock = run.lock().ok();
    let freed = run.checkpoints().delete(name, &recipe.checkpoint).map_err(|e| e.to_string())?;
    Ok(format!("{name} deleted, {} freed", bytes(freed)))
}

/// Checks and loads the checkpoint, then writes its weights.
fn export(places: &Places, job: ExportJob) -> Result<String, ExportProblem> {
    let failed = |e: String| ExportProblem::Failed(e);
    let run = places.home.find(&job.run).map_err(|e| failed(e.to_string()))?;
    let path = places.cwd.join(expand(&job.path));
    if path.extension().is_none_or(|e| e != "safetensors") {
        return Err(failed(format!("{}: the screen writes .safetensors files; name one", path.display())));
    }
    let loaded = load_path(&run.checkpoints().path().join(&job.checkpoint)).map_err(|e| failed(e.to_string()))?;
    let metadata = BTreeMap::from([
        ("frostline.run".to_owned(), run.id().to_string()),
        ("frostline.step".to_owned(), loaded.state.step.to_string()),
    ]);
    match write_safetensors(&path, &loaded.weights, &metadata, job.force) {
        Ok(()) => {
            let size = std::fs::metadata(&path).map_or(0, |m| m.len());
            Ok(format!("wrote {} ({} tensors, {})", path.display(), loaded.weights.len(), bytes(size)))
        }
        Err(WeightsError::Exists { .. }) => Err(ExportProblem::Exists(job)),
        Err(e) => Err(failed(e.to_string())),
    }
}

/// `~/` as a shell would.
fn expand(path: &std::path::Path) -> std::path::PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => std::path::Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}
