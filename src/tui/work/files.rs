//! Reading the run home, runs, checkpoints and the current folder's recipes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::Receiver;

use super::keep;
use super::{Job, Places, next, run_dir};
use crate::app::effect::{Effect, SparkJob};
use crate::app::message::{Message, OpenedRun, RecipeEntry};
use crate::app::sparks::POINTS;
use crate::core::checkpoint::WEIGHTS;
use crate::core::event::Metrics;
use crate::core::fit::BatchSizes;
use crate::core::recipe::Recipe;
use crate::core::run::spark::Spark;
use crate::core::run::{Comparison, MetricsReader, RunDir, RunSummary, StoreError};
use crate::core::series::Series;
use crate::core::tensor::DType;
use crate::core::tree::Tree;
use crate::core::weights::{TensorListing, inspect};
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting = VecDeque::new();
    while let Some(job) = next(queue, &mut waiting) {
        let Job::Effect(effect) = job else { continue };
        let message = match effect {
            Effect::ReadRuns => Message::Runs(runs(places).map_err(|e| e.to_string())),
            Effect::ReadSummaries(ids) => {
                let read = |id: &String| Some(run_dir(places, id).ok()?.summary());
                Message::Summaries(ids.iter().filter_map(read).collect())
            }
            Effect::ReadRunRecipes(ids) => {
                let read = |id: String| Some((id.clone(), run_dir(places, &id).ok()?.meta().ok()?.recipe));
                Message::RunRecipes(ids.into_iter().filter_map(read).collect())
            }
            Effect::ReadRecipe(path) => {
                let result = keep::read_recipe(&places.cwd.join(&path));
                Message::RecipeText { path, result }
            }
            Effect::WriteRecipe(job) => {
                Message::RecipeWritten { asked: job.path.clone(), result: keep::write_recipe(&places.cwd, job) }
            }
            Effect::ReadSparks(jobs) => {
                let read = |job: SparkJob| {
                    let spark = run_dir(places, &job.run).map(|dir| Spark::read(&dir, &job.monitor, POINTS));
                    (job, spark.unwrap_or_default())
                };
                Message::Sparks(jobs.into_iter().map(read).collect())
            }
            Effect::EditRuns { runs, edit } => Message::Edited(keep::edit(places, &runs, &edit)),
            Effect::WeighRuns(runs) => Message::Weighed(keep::weigh(places, runs)),
            Effect::DeleteRuns(runs) => keep::delete(places, &runs),
            Effect::Compare(runs) => {
                let dirs = runs.iter().map(|id| run_dir(places, id)).collect::<Result<Vec<_>, _>>();
                let result = dirs.and_then(|dirs| Comparison::read(&dirs).map_err(|e| e.to_string()));
                Message::Compared { runs, result: result.map(Box::new) }
            }
            Effect::ListRecipes => Message::Recipes(recipes(&places.cwd)),
            Effect::OpenRun(id) => {
                let opened = run_dir(places, &id).and_then(|run| open(&run));
                Message::Opened(opened.map(Box::new))
            }
            Effect::ReadCurves(run) => {
                let opened = run_dir(places, &run).and_then(|run| open(&run));
                Message::Curves { run, result: opened.map(Box::new) }
            }
            Effect::ReadCheckpointTree { run, name } => {
                let result = checkpoint_tree(places, &run, &name);
                Message::CheckpointTree { run, name, result }
            }
            _ => continue,
        };
        if !post.message(message) {
            return;
        }
    }
}

/// The layers that a checkpoint's weights file names, and the freeze rules that were in force.
fn checkpoint_tree(places: &Places, run: &str, name: &str) -> Result<(Tree, Vec<String>), String> {
    let store = run_dir(places, run)?.checkpoints();
    let state = store.state(name).map_err(|e| e.to_string())?;
    let listing = inspect(&store.path().join(name).join(WEIGHTS)).map_err(|e| e.to_string())?;
    let tensor = |t: &'_ TensorListing| Some((t.name.clone(), t.shape.clone(), DType::of_name(t.dtype)?));
    let tensors: Vec<_> = listing.tensors.iter().filter_map(tensor).collect();
    let tensors = tensors.iter().map(|(name, shape, dtype)| (name.as_str(), shape.as_slice(), *dtype));
    Ok((Tree::from_tensors(tensors), state.freeze_rules))
}

/// The run list, newest first.
fn runs(places: &Places) -> Result<Vec<RunSummary>, StoreError> {
    places.home.summaries()
}

/// A run's history from its files.
pub(super) fn open(run: &RunDir) -> Result<OpenedRun, String> {
    let summary = run.summary();
    let recipe = run.meta().map_err(|e| e.to_string())?.recipe;
    let (records, dropped) = run.events().map_err(|e| e.to_string())?;
    let mut notes: Vec<String> = dropped.into_iter().chain(summary.problem.clone()).collect();
    let mut series = Vec::new();
    let mut times = Vec::new();
    let mut latest = Metrics::new();
    // A run that was never stepped has no metrics file yet.
    if run.metrics_path().exists() {
        let (table, dropped) = MetricsReader::read_all(&run.metrics_path()).map_err(|e| e.to_string())?;
        notes.extend(dropped);
        times.extend(table.rows().map(|row| (row.step, row.time_ms)));
        for name in table.names() {
            let column = table.column(name).into_iter().map(|(step, value)| (step as f64, value));
            series.push((name.to_owned(), Series::from_points(column)));
            latest.extend(table.last(name).map(|value| (name.to_owned(), value)));
        }
    }
    Ok(OpenedRun {
        summary,
        mode: recipe.monitor_mode(),
        lr: recipe.optimizer.lr,
        optimizer: recipe.optimizer.clone(),
        batches: BatchSizes::of(&recipe.train),
        rules: recipe.freeze.rules,
        monitor: recipe.checkpoint.monitor,
        records,
        series,
        times,
        latest,
        notes,
    })
}

/// Recipes among the folder's TOML files: those that say something of a model or of data, and those that cannot be
/// read at all (a typing error must not hide a recipe).
fn recipes(folder: &Path) -> Vec<RecipeEntry> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "toml") && p.is_file()).collect();
    files.sort();
    files.into_iter().filter_map(|path| entry(&path)).collect()
}

fn entry(path: &Path) -> Option<RecipeEntry> {
    let text = std::fs::read_to_string(path).ok()?;
    if let Ok(table) = text.parse::<toml::Table>()
        && !["model", "data", "train"].iter().any(|k| table.contains_key(*k))
    {
        return None;
    }
    let summary = match Recipe::load(path, &[]) {
        Ok(recipe) => Ok(describe(&recipe)),
        // All are of one folder: its name says nothing here.
        Err(e) => Err(e.to_string().replace(&format!("{}/", path.parent()?.display()), "")),
    };
    Some(RecipeEntry { path: path.to_owned(), summary })
}

fn describe(recipe: &Recipe) -> String {
    let length = match (recipe.train.epochs, recipe.train.steps) {
        (_, Some(steps)) => format!("{steps} steps"),
        (epochs, None) => format!("{} epochs", epochs.unwrap_or(0)),
    };
    let source = serde_json::to_value(recipe.data.source).ok();
    let source = source.as_ref().and_then(serde_json::Value::as_str).unwrap_or("data");
    format!("{} on {source}, {length}", recipe.model.arch)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::core::run::{Lineage, RunEdit};
    use crate::tui::post::Wake;

    #[test]
    fn recipes_are_told_from_other_toml_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.toml", crate::core::recipe::template());
        write("Cargo.toml", "[package]\nname = \"x\"\n");
        write("broken.toml", "[model]\narch = \n");
        write("typo.toml", "[model]\narhc = \"mlp\"\n");
        write("notes.txt", "[model]");
        let found = recipes(dir.path());
        let names: Vec<_> = found.iter().map(|e| e.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.toml", "broken.toml", "typo.toml"]);
        assert!(found[0].summary.as_ref().unwrap().contains("digits"), "{found:?}");
        assert!(found[1].summary.is_err() && found[2].summary.is_err());
    }

    #[test]
    fn a_run_is_read_from_its_own_folder_and_never_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::in_folder(dir.path());
        let id = places.home.create(&Recipe::default(), Lineage::default()).unwrap().id().to_string();
        // What looks for a run finds it by the beginning of its id too.
        let beginning = id[..id.len() - 1].to_owned();
        assert!(places.home.find(&beginning).is_ok());
        for (run, there) in [(id, true), (beginning, false)] {
            let (jobs, queue) = channel();
            let name = String::new();
            let effects = [
                Effect::ReadSummaries(vec![run.clone()]),
                Effect::ReadRunRecipes(vec![run.clone()]),
                Effect::Compare(vec![run.clone()]),
                Effect::OpenRun(run.clone()),
                Effect::ReadCurves(run.clone()),
                Effect::EditRuns { runs: vec![run.clone()], edit: RunEdit::Note("x".to_owned()) },
                Effect::ReadCheckpointTree { run: run.clone(), name },
                Effect::DeleteRuns(vec![run.clone()]),
            ];
            let asked = effects.len();
            effects.into_iter().for_each(|e| jobs.send(Job::Effect(e)).unwrap());
            drop(jobs);
            let (post, wakes) = Post::new();
            work(&queue, &places, &post);
            drop(post);
            let found = |wake: Wake| {
                let Wake::Message(message) = wake else { panic!() };
                match *message {
                    Message::Summaries(read) => !read.is_empty(),
                    Message::RunRecipes(read) => !read.is_empty(),
                    Message::Compared { result, .. } => result.is_ok(),
                    Message::Opened(result) | Message::Curves { result, .. } => result.is_ok(),
                    Message::Edited(result) => result.is_ok(),
                    // It has no checkpoint: which of the two is missing is in the words.
                    Message::CheckpointTree { result, .. } => !result.unwrap_err().contains("is not in"),
                    Message::Deleted { gone, .. } => !gone.is_empty(),
                    other => panic!("{other:?}"),
                }
            };
            let found: Vec<bool> = wakes.into_iter().map(found).collect();
            assert_eq!(found, vec![there; asked], "{run}");
        }
    }
}
