//! Hashing and writing weights.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::engine::Shared;
use super::{Job, Places, next, run_dir};
use crate::app::effect::{Effect, ExportJob};
use crate::app::format::bytes;
use crate::app::message::{ExportProblem, Message};
use crate::app::model::Exporting;
use crate::core::run::compare::lineage_drift;
use crate::core::tensor::HostTensor;
use crate::core::weights::{Selection, WeightsError, can_cast};
use crate::session::{self, ExportAs, Exportable, SessionError};
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, engine: &Shared, post: &Post) {
    let mut waiting = VecDeque::new();
    while let Some(job) = next(queue, &mut waiting) {
        let open = match job {
            Job::Effect(Effect::Export(job)) => {
                let done = export(places, engine, job, post);
                post.message(Message::Exported(done))
            }
            Job::Effect(Effect::MeasureDrift(runs)) => {
                let drift = |id: &String| {
                    let run = run_dir(places, id);
                    let drift = |run| lineage_drift(&places.home, &run).map_err(|e| e.to_string());
                    run.and_then(drift).transpose()
                };
                let drifts = runs.iter().filter_map(drift).collect();
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
                let result = delete(places, &run, &name);
                // One that stays is checked as it was asked for.
                if result.is_ok() {
                    waiting.retain(|(r, n)| *r != run || *n != name);
                }
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

/// Between two words on how far an export is.
const EVERY: Duration = Duration::from_millis(100);

/// Checks and loads the checkpoint, then writes its weights as `frostline export` does.
fn export(places: &Places, engine: &Shared, job: ExportJob, post: &Post) -> Result<String, ExportProblem> {
    let failed = |e: String| ExportProblem::Failed(e);
    let path = places.cwd.join(expand(&job.path));
    // Before anything is read, and while the form still stands; the writing looks again.
    let folder = path.parent().unwrap_or(&path);
    if path.is_dir() {
        return Err(failed(format!("{} is a folder; name the file to write", path.display())));
    }
    if !folder.is_dir() {
        return Err(failed(format!("there is no folder {}; make it first, or choose another one", folder.display())));
    }
    if !job.force && path.symlink_metadata().is_ok() {
        return Err(ExportProblem::Exists(Box::new(job)));
    }
    let tell = |how_far| post.message(Message::Exporting(how_far));
    tell(Exporting::Reading { done: 0, total: 0 });
    let folder = run_dir(places, &job.run).map_err(failed)?.checkpoints().path().join(&job.checkpoint);
    let checkpoint = places.home.find_checkpoint(&folder.display().to_string()).map_err(|e| failed(e.to_string()))?;
    let mut said = Instant::now();
    let mut seldom = move || {
        let due = said.elapsed() >= EVERY;
        if due {
            said = Instant::now();
        }
        due
    };
    let mut read = |done, total| {
        if seldom() {
            tell(Exporting::Reading { done, total });
        }
    };
    let (state, weights) = checkpoint.load_weights_watched(&mut read).map_err(|e| failed(e.to_string()))?;
    let total = size(&weights, &job.selection);
    tell(Exporting::Writing { done: 0, total });
    let what = Exportable { state, weights, label: checkpoint.label(), averaged: Vec::new() };
    let how = ExportAs { format: job.format, selection: &job.selection, to: &path, force: job.force };
    let mut done = 0;
    let mut progress = |bytes: u64| {
        done += bytes;
        if seldom() {
            tell(Exporting::Writing { done, total });
        }
    };
    let engine = || engine.get().map_err(SessionError::Failed);
    match session::export(engine, what, &how, &mut progress) {
        Ok((said, size)) => Ok(format!("wrote {}: {said}, {}", path.display(), bytes(size))),
        Err(SessionError::Weights(WeightsError::Exists { .. })) => Err(ExportProblem::Exists(Box::new(job))),
        Err(e) => Err(failed(e.to_string())),
    }
}

/// Bytes of what is taken, as it is written. What cannot be taken is said by the writing.
fn size(weights: &[HostTensor], selection: &Selection) -> u64 {
    let names: Vec<&str> = weights.iter().map(|t| t.name.as_str()).collect();
    let plan = selection.plan(&names).unwrap_or_default();
    let size = |t: &HostTensor| {
        let to = selection.dtype.filter(|to| can_cast(t.dtype, *to)).unwrap_or(t.dtype);
        (t.data.len() / t.dtype.size() * to.size()) as u64
    };
    plan.iter().filter_map(|(i, _)| weights.get(*i)).map(size).sum()
}

/// `~/` as a shell would.
fn expand(path: &std::path::Path) -> std::path::PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => std::path::Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::core::checkpoint::TrainState;
    use crate::core::recipe::Recipe;
    use crate::core::run::Lineage;
    use crate::core::tensor::DType;
    use crate::core::weights::ExportFormat;
    use crate::tui::post::Wake;

    #[test]
    fn a_checkpoint_whose_deletion_was_refused_is_checked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::in_folder(dir.path());
        let run = places.home.create(&Recipe::default(), Lineage::default()).unwrap();
        let write = |step: u64| {
            let tensors = [HostTensor::from_f32("w", &[1], &[step as f32])];
            run.checkpoints().write(&TrainState { step, ..TrainState::default() }, &tensors, &[]).unwrap().name
        };
        let names: Vec<String> = [1, 2, 3].map(write).into();
        run.checkpoints().pin(&names[1], true).unwrap();
        let id = run.id().to_string();
        let (jobs, queue) = channel();
        jobs.send(Job::Effect(Effect::Verify { run: id.clone(), names: names.clone() })).unwrap();
        // One that is pinned stays, the other one goes.
        for name in [&names[1], &names[0]] {
            jobs.send(Job::Effect(Effect::DeleteCheckpoint { run: id.clone(), name: name.clone() })).unwrap();
        }
        drop(jobs);
        let (post, wakes) = Post::new();
        verify(&queue, &places, &post);
        drop(post);
        let (mut deleted, mut verified) = (Vec::new(), Vec::new());
        for wake in wakes {
            let Wake::Message(message) = wake else { continue };
            match *message {
                Message::CheckpointDeleted { result, .. } => deleted.push(result.is_ok()),
                Message::Verified { name, damage, .. } => verified.push((name, damage)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(deleted, [false, true]);
        let good = |name: &String| (name.clone(), Vec::<String>::new());
        assert_eq!(verified, [good(&names[1]), good(&names[2])]);
    }

    #[test]
    fn an_export_says_how_much_it_has_read_and_then_written() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::in_folder(dir.path());
        let run = places.home.create(&Recipe::default(), Lineage::default()).unwrap();
        // More than is read at once, so that there is something to say on the way.
        let many = vec![0.5; 5 << 20];
        let tensors = [HostTensor::from_f32("a", &[5 << 20], &many), HostTensor::from_f32("b", &[4], &many[..4])];
        let name =
            run.checkpoints().write(&TrainState { step: 1, ..TrainState::default() }, &tensors, &[]).unwrap().name;
        let selection = Selection { only: vec!["b".to_owned()], dtype: Some(DType::Float16), ..Selection::default() };
        assert_eq!((size(&tensors, &Selection::default()), size(&tensors, &selection)), (20 * (1 << 20) + 16, 8));
        let job = ExportJob {
            run: run.id().to_string(),
            checkpoint: name.clone(),
            path: "b.safetensors".into(),
            format: ExportFormat::Safetensors,
            selection,
            force: false,
        };
        let (post, wakes) = Post::new();
        let engine = Shared::new(Box::new(|| panic!("no engine is needed")));
        export(&places, &engine, job, &post).unwrap();
        drop(post);
        let told = wakes.into_iter().filter_map(|wake| match wake {
            Wake::Message(message) => match *message {
                Message::Exporting(how_far) => Some(how_far),
                _ => None,
            },
            _ => None,
        });
        let told: Vec<Exporting> = told.collect();
        assert_eq!(told[0], Exporting::Reading { done: 0, total: 0 });
        assert!(told.contains(&Exporting::Writing { done: 0, total: 8 }), "{told:?}");
        // How often is a matter of time; what is told is how much of the checkpoint's file.
        let file = run.checkpoints().path().join(&name).join(crate::core::checkpoint::WEIGHTS);
        let whole = std::fs::metadata(file).unwrap().len();
        let mut reads = Vec::new();
        let checkpoint = places.home.find_checkpoint(&format!("{}@1", run.id())).unwrap();
        checkpoint.load_weights_watched(&mut |done, total| reads.push((done, total))).unwrap();
        assert!(reads.len() > 4 && reads.is_sorted() && reads.iter().all(|(_, total)| *total == whole), "{reads:?}");
        assert_eq!(reads.last(), Some(&(whole, whole)));
    }
}
