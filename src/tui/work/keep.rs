//! Changing what the run list keeps, and deleting runs.

use std::path::{Path, PathBuf};

use super::{Places, run_dir};
use crate::app::effect::RecipeJob;
use crate::app::message::{Message, RecipeProblem, RunWeight};
use crate::core::run::{RunEdit, TagEdit};

/// Changes runs, one after the other up to the first that refuses; what was done, in words.
pub(super) fn edit(places: &Places, runs: &[String], edit: &RunEdit) -> Result<String, String> {
    let mut said = String::new();
    for id in runs {
        let meta = run_dir(places, id)?.edit(edit).map_err(|e| e.to_string())?;
        said = match edit {
            RunEdit::Rename(_) => format!("the run is called {} now", meta.name),
            RunEdit::Note(_) if meta.note.is_empty() => format!("{} has no note any more", meta.name),
            RunEdit::Note(_) => format!("noted on {}", meta.name),
            RunEdit::Tags(_) if meta.tags.is_empty() => format!("{} has no tags now", meta.name),
            RunEdit::Tags(_) => format!("tags of {}: {}", meta.name, meta.tags.join(", ")),
        };
    }
    if runs.len() > 1 {
        let noun = if matches!(edit, RunEdit::Tags(TagEdit::Set(_))) { "tags set" } else { "tags changed" };
        said = format!("{noun} on {} runs", runs.len());
    }
    Ok(said)
}

/// A recipe's text and its checksum.
pub(super) fn read_recipe(path: &Path) -> Result<(String, String), String> {
    let problem = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(problem)?;
    let checksum = blake3::hash(text.as_bytes()).to_hex().to_string();
    Ok((text, checksum))
}

/// Writes a new recipe; over one that exists only where that was asked for.
pub(super) fn write_recipe(cwd: &Path, job: RecipeJob) -> Result<PathBuf, RecipeProblem> {
    let path = cwd.join(&job.path);
    if path.exists() && !job.force {
        return Err(RecipeProblem::Exists(job));
    }
    if let Some(read) = &job.checksum
        && super::drafts::checksum(&path).as_ref() != Some(read)
    {
        let words = "has been changed since the form was opened; nothing was written. Open the form again";
        return Err(RecipeProblem::Failed(format!("{} {words}", path.display())));
    }
    let written = crate::core::io::write_atomic(&path, job.text.as_bytes());
    written.map_err(|e| RecipeProblem::Failed(format!("cannot write {}: {e}", path.display())))?;
    Ok(path)
}

/// How much runs take on disk.
pub(super) fn weigh(places: &Places, runs: Vec<String>) -> Vec<RunWeight> {
    let weight = |run: String| {
        let infos = run_dir(places, &run).map(|dir| dir.checkpoints().list()).unwrap_or_default();
        RunWeight { run, checkpoints: infos.len(), bytes: infos.iter().map(|c| c.bytes).sum() }
    };
    runs.into_iter().map(weight).collect()
}

/// Deletes runs; one that has come to life in the meantime is refused.
pub(super) fn delete(places: &Places, runs: &[String]) -> Message {
    let (mut gone, mut problems) = (Vec::new(), Vec::new());
    for id in runs {
        let removed = run_dir(places, id).and_then(|run| places.home.remove(&run).map_err(|e| e.to_string()));
        match removed {
            Ok(()) => gone.push(id.clone()),
            Err(problem) => problems.push(problem),
        }
    }
    Message::Deleted { gone, problems }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::Recipe;
    use crate::core::run::Lineage;

    #[test]
    fn a_recipe_is_never_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let job = |text: &str, force| RecipeJob { path: "a.toml".into(), text: text.to_owned(), force, checksum: None };
        let path = write_recipe(dir.path(), job("one", false)).unwrap();
        assert_eq!(write_recipe(dir.path(), job("two", false)), Err(RecipeProblem::Exists(job("two", false))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write_recipe(dir.path(), job("two", true)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        let stale = RecipeJob { checksum: Some("another".to_owned()), ..job("three", true) };
        assert!(matches!(write_recipe(dir.path(), stale), Err(RecipeProblem::Failed(_))));
        let read = super::super::drafts::checksum(&path);
        write_recipe(dir.path(), RecipeJob { checksum: read, ..job("three", true) }).unwrap();
        let nowhere = RecipeJob { path: "no/where.toml".into(), ..job("x", false) };
        assert!(matches!(write_recipe(dir.path(), nowhere), Err(RecipeProblem::Failed(_))));
    }

    #[test]
    fn runs_are_changed_and_deleted_but_never_under_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::in_folder(dir.path());
        let make = |name: &str| {
            let recipe = Recipe { name: Some(name.to_owned()), ..Recipe::default() };
            places.home.create(&recipe, Lineage::default()).unwrap()
        };
        let (a, b) = (make("a"), make("b"));
        let ids = vec![a.id().to_string(), b.id().to_string()];
        let tags = RunEdit::Tags(TagEdit::parse("+good").unwrap());
        assert_eq!(edit(&places, &ids, &tags).unwrap(), "tags changed on 2 runs");
        assert_eq!(b.meta().unwrap().tags, ["good"]);
        assert!(edit(&places, &ids[..1], &RunEdit::Rename("x@y".to_owned())).unwrap_err().contains("x@y"));
        assert_eq!(weigh(&places, ids.clone()).len(), 2);

        let _owner = b.lock().unwrap();
        let Message::Deleted { gone, problems } = delete(&places, &ids) else { panic!() };
        assert_eq!((gone, problems.len()), (vec![ids[0].clone()], 1));
        assert!(problems[0].contains("still alive"), "{problems:?}");
    }
}
