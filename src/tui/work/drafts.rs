//! Small files that must not be lost: a draft's edits in the user's folder, and freeze rules in a recipe.

use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use super::{Job, Places, next};
use crate::app::drafts::KeptDraft;
use crate::app::effect::Effect;
use crate::app::message::Message;
use crate::core::io;
use crate::core::recipe::with_freeze_rules;
use crate::tui::post::Post;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    let mut waiting = VecDeque::new();
    let drafts = places.drafts.as_deref();
    while let Some(job) = next(queue, &mut waiting) {
        let Job::Effect(effect) = job else { continue };
        // Nobody may listen any more: what waits is written all the same.
        let _ = match effect {
            Effect::WriteRules { path, rules, checksum } => {
                let result = write(&path, &rules, &checksum);
                post.message(Message::RulesWritten { path, rules, result })
            }
            // Of edits in quick succession the last one counts.
            Effect::KeepDraft(draft) if !is_again(&draft.path, &waiting) => match keep(drafts, &draft) {
                Ok(()) => true,
                Err(problem) => post.message(Message::Warning(problem)),
            },
            Effect::ForgetDraft(path) => {
                let _ = drafts.map(|folder| fs::remove_file(file(folder, &path)));
                true
            }
            Effect::ReadDrafts => post.message(Message::KeptDrafts(all(drafts))),
            _ => true,
        };
    }
}

fn is_again(path: &Path, waiting: &VecDeque<Job>) -> bool {
    waiting.iter().any(|job| matches!(job, Job::Effect(Effect::KeepDraft(later)) if later.path == path))
}

/// Checksum of a file's bytes.
pub(super) fn checksum(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| blake3::hash(&bytes).to_hex().to_string())
}

/// Refuses a recipe whose file has got another text since it was read: a run would train what nobody sees any more. A file
/// that is gone says nothing else.
pub(super) fn unchanged(path: &Path, read: &str) -> Result<(), String> {
    match checksum(path) {
        Some(now) if now != read => {
            let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            Err(format!(
                "{name} has been changed since it was opened; nothing was started. Open it again: your edits are taken up then"
            ))
        }
        _ => Ok(()),
    }
}

/// Writes rules into the recipe, if it is the one that was read; the checksum of its new text.
fn write(path: &Path, rules: &[String], checksum: &str) -> Result<String, String> {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    // A link stays a link.
    let target = fs::canonicalize(path).map_err(|e| format!("{name}: {e}; nothing was written"))?;
    let bytes = fs::read(&target).map_err(|e| format!("{name}: {e}; nothing was written"))?;
    if blake3::hash(&bytes).to_hex().as_str() != checksum {
        return Err(format!(
            "{name} has been changed since it was opened; nothing was written. Open it again: your edits are taken up then"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8 text; nothing was written"))?;
    let new = with_freeze_rules(&text, rules).map_err(|e| format!("{name}: {e}; nothing was written"))?;
    let permissions = fs::metadata(&target).map(|m| m.permissions());
    io::write_atomic(&target, new.as_bytes()).map_err(|e| format!("{name} cannot be written: {e}; it is as it was"))?;
    let _ = permissions.map(|p| fs::set_permissions(&target, p));
    Ok(blake3::hash(new.as_bytes()).to_hex().to_string())
}

/// The file that keeps a recipe's edits.
fn file(folder: &Path, recipe: &Path) -> PathBuf {
    let recipe = std::path::absolute(recipe).unwrap_or_else(|_| recipe.to_owned());
    let hash = blake3::hash(recipe.as_os_str().as_encoded_bytes()).to_hex();
    let stem = recipe.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let stem: String = stem.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).take(40).collect();
    folder.join(format!("{stem}-{}.json", &hash[..12]))
}

fn keep(folder: Option<&Path>, draft: &KeptDraft) -> Result<(), String> {
    let Some(folder) = folder else { return Ok(()) };
    let path = file(folder, &draft.path);
    let written = io::create_dirs(folder).and_then(|()| {
        let json = serde_json::to_vec_pretty(draft)?;
        io::write_atomic(&path, &json)
    });
    written
        .map_err(|e| format!("your edits cannot be kept in {}: {e}; they live as long as this screen", path.display()))
}

/// What is kept of a recipe's draft.
pub(super) fn of(folder: Option<&Path>, recipe: &Path) -> Option<KeptDraft> {
    read(&file(folder?, recipe)).filter(|d| d.path == recipe)
}

fn read(path: &Path) -> Option<KeptDraft> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Everything that is kept and whose recipe exists, newest first.
fn all(folder: Option<&Path>) -> Vec<KeptDraft> {
    let files = folder.and_then(|f| fs::read_dir(f).ok()).into_iter().flatten().flatten();
    let mut drafts: Vec<KeptDraft> = files.filter_map(|f| read(&f.path())).collect();
    drafts.retain(|d| !matches!(fs::metadata(&d.path), Err(e) if e.kind() == ErrorKind::NotFound));
    drafts.sort_by_key(|d| std::cmp::Reverse(d.time_ms));
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_into_the_recipe_that_was_read_and_into_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "# mine\n[freeze]\nrules = [] # x\n").unwrap();
        let read = checksum(&path).unwrap();
        let rules = ["freeze **".to_owned(), "train fc".to_owned()];
        let new = write(&path, &rules, &read).unwrap();
        assert_eq!(Some(new.clone()), checksum(&path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n[freeze]\nrules = [\"freeze **\", \"train fc\"] # x\n");
        assert!(write(&path, &rules, &read).unwrap_err().contains("changed since"));
        assert!(unchanged(&path, &read).unwrap_err().contains("a.toml has been changed since"));
        unchanged(&path, &new).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(write(&path, &rules, &new).unwrap_err().contains("nothing was written"));
        unchanged(&path, &new).unwrap();
    }

    #[test]
    fn edits_are_kept_by_recipe_and_damaged_ones_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, recipe) = (dir.path().join("drafts"), dir.path().join("a.toml"));
        fs::write(&recipe, "").unwrap();
        let draft = KeptDraft {
            path: recipe.clone(),
            in_file: Vec::new(),
            rules: Vec::new(),
            staged: vec!["freeze fc".to_owned()],
            time_ms: 5,
        };
        keep(Some(&folder), &draft).unwrap();
        fs::write(folder.join("torn.json"), "{").unwrap();
        assert_eq!(of(Some(&folder), &recipe), Some(draft.clone()));
        assert_eq!(of(Some(&folder), &dir.path().join("b.toml")), None);
        assert_eq!(all(Some(&folder)), [draft]);
        fs::remove_file(&recipe).unwrap();
        assert_eq!(all(Some(&folder)), []);
    }
}
