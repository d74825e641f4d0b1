//! Freeze rules by text, the filter of the layers, and what becomes of a draft's plan: written into its recipe, or kept.

use crate::app::action::Action;
use crate::app::drafts::KeptDraft;
use crate::app::effect::Effect;
use crate::app::format::{ago, count, share};
use crate::app::layers::Totals;
use crate::app::model::{Draft, Model, Subject};
use crate::app::overlay::Purpose;
use crate::app::run_view::Level;
use crate::core::freeze::PLAN_PRESETS;
use crate::core::tree::Tree;

/// Names of matched parameters that are shown.
const NAMES: usize = 4;

pub(super) fn ask(model: &mut Model) -> Vec<Effect> {
    if super::layers::is_history(model) {
        return Vec::new();
    }
    super::ask::ask(model, "Stage rules", "", Purpose::FreezeRule);
    Vec::new()
}

/// What the rules would do, while they are typed.
pub(super) fn preview(model: &Model, text: &str) -> Result<Vec<String>, String> {
    let Some(layers) = model.layers() else { return Err("no model is on view".to_owned()) };
    if text.is_empty() {
        let plans: Vec<&str> = PLAN_PRESETS.iter().map(|p| p.name).collect();
        return Ok(vec![
            "train, freeze or no_grad, and a pattern; `;` between rules".to_owned(),
            "layer4; **.bias; kind:BatchNorm2d; before:layer4; after:layer2; preset:head; =fc.bias".to_owned(),
            format!(
                "{} goes through ready-made plans: {}",
                model.keymap.first(Action::PromptComplete),
                plans.join(", ")
            ),
        ]);
    }
    let preview = layers.preview_rules(text)?;
    let (now, then) = (layers.totals(), preview.totals);
    let mut lines = Vec::new();
    if let Some(plan) = PLAN_PRESETS.iter().find(|p| p.rules() == preview.rules) {
        lines.push(format!("{}: {}", plan.name, plan.description));
    }
    let (n, names) = (preview.names.len(), &preview.names);
    lines.push(format!("matches {n} of {} tensors, {} elements", then.tensors, count(preview.elements)));
    let more = if n > NAMES { format!(" and {} more", n - NAMES) } else { String::new() };
    if n > 0 {
        lines.push(format!("{}{more}", names[..n.min(NAMES)].join(", ")));
    }
    lines.push(match preview.changes {
        false => "changes nothing".to_owned(),
        true => format!("then {}; now {}", learning(&then), count(now.trainable_elements)),
    });
    if then.trainable_tensors == 0 {
        lines.push("nothing would learn".to_owned());
    }
    Ok(lines)
}

fn learning(totals: &Totals) -> String {
    let percent = share(totals.trainable_elements, totals.elements, 1);
    let (learn, all) = (count(totals.trainable_elements), count(totals.elements));
    format!("{learn} of {all} learn ({percent}), {}/{} tensors", totals.trainable_tensors, totals.tensors)
}

pub(super) fn stage(model: &mut Model, text: &str) -> Vec<Effect> {
    if let Some(Ok(Some(said)) | Err(said)) = model.layers_mut().map(|l| l.stage(text)) {
        model.say(Level::Info, said);
    }
    Vec::new()
}

/// Tab in the field of rules: the next ready-made plan where nothing else is typed, else the name is completed as far as it
/// is certain.
pub(super) fn complete(model: &Model, text: &str) -> Option<String> {
    let plans: Vec<String> = PLAN_PRESETS.iter().map(|p| p.rules().join("; ")).collect();
    let text = text.trim_start();
    if text.is_empty() {
        return plans.first().cloned();
    }
    if let Some(at) = plans.iter().position(|p| p == text.trim_end()) {
        return Some(plans[(at + 1) % plans.len()].clone());
    }
    let start = text.rfind([' ', ';']).map_or(0, |i| i + 1);
    let (before, word) = text.split_at(start);
    let is_action = before.trim_end().is_empty() || before.trim_end().ends_with(';');
    let candidates = if is_action {
        ["train ", "freeze ", "no_grad "].map(str::to_owned).to_vec()
    } else {
        patterns(model.layers()?.tree(), word)
    };
    let mut fitting = candidates.iter().filter(|c| c.starts_with(word));
    let first = fitting.next()?.clone();
    let common = fitting.fold(first, |common, other| {
        let same = common.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a);
        same.collect()
    });
    (common.len() > word.len()).then(|| format!("{before}{common}"))
}

/// Patterns that a word may be the beginning of.
fn patterns(tree: &Tree, word: &str) -> Vec<String> {
    let paths = || tree.modules.iter().map(|m| m.path.as_str()).filter(|p| !p.is_empty());
    match word.split_once(':') {
        Some(("kind", _)) => tree.modules.iter().map(|m| format!("kind:{}", m.kind)).collect(),
        Some(("preset", _)) => {
            ["all", "none", "head", "last:", "biases", "norms"].map(|p| format!("preset:{p}")).to_vec()
        }
        Some((side @ ("before" | "after"), _)) => paths().map(|p| format!("{side}:{p}")).collect(),
        _ if word.starts_with('=') => tree.parameters.iter().map(|p| format!("={}", p.name)).collect(),
        _ => {
            let words = ["kind:", "before:", "after:", "preset:"].map(str::to_owned);
            let names = tree.parameters.iter().map(|p| p.name.clone());
            paths().map(str::to_owned).chain(names).chain(words).collect()
        }
    }
}

pub(super) fn ask_filter(model: &mut Model) {
    let Some(layers) = model.layers() else { return };
    let before = layers.filter().map(|(text, ..)| text.to_owned());
    let purpose = Purpose::FilterLayers { before: before.clone(), cursor: layers.cursor() };
    super::ask::ask(model, "Show the layers that match", before.unwrap_or_default(), purpose);
}

/// While it is typed: the cursor goes to the first match from where it was. What matches nothing leaves the tree as it is.
pub(super) fn set_filter(model: &mut Model, text: &str, cursor: usize) -> Vec<Effect> {
    if let Some(layers) = model.layers_mut().filter(|l| l.preview_filter(text).is_ok()) {
        layers.restore_filter(Some(text), cursor);
    }
    Vec::new()
}

/// How many layers match, or what is wrong with the filter.
pub(super) fn preview_filter(model: &Model, text: &str) -> Result<Vec<String>, String> {
    let Some(layers) = model.layers() else { return Err("no model is on view".to_owned()) };
    let found = match text {
        "" => "every layer".to_owned(),
        _ => match layers.preview_filter(text)? {
            1 => "1 match".to_owned(),
            n => format!("{n} matches"),
        },
    };
    let hints =
        "words of paths and classes; layer*.0; kind:*Norm*; before:layer4; frozen, trainable, no_grad, mixed, staged";
    Ok(vec![found, hints.to_owned()])
}

/// Sends a draft's plan off to its recipe file.
pub(super) fn write(model: &mut Model) -> Vec<Effect> {
    let Some(draft) = model.draft.as_ref().filter(|_| model.subject == Subject::Draft) else {
        model.say(Level::Info, "only a draft's plan is written into its recipe");
        return Vec::new();
    };
    if !draft.is_unwritten() {
        model.say(Level::Info, format!("{} has this plan already", name(draft)));
        return Vec::new();
    }
    let (path, rules, checksum) = (draft.path.clone(), draft.layers.plan(), draft.checksum.clone());
    vec![Effect::WriteRules { path, rules, checksum }]
}

fn name(draft: &Draft) -> String {
    file_name(&draft.path)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// The answer to it.
pub(super) fn written(
    model: &mut Model,
    path: &std::path::Path,
    rules: Vec<String>,
    result: Result<String, String>,
) -> Vec<Effect> {
    match result {
        Ok(checksum) => {
            let n = rules.len();
            let undo = model.keymap.first(Action::Undo);
            if let Some(draft) = model.draft.as_mut().filter(|d| d.path == path) {
                draft.layers.set_written(&rules);
                draft.checksum = checksum;
                draft.recipe.freeze.rules.clone_from(&rules);
                draft.in_file = rules;
            }
            let s = if n == 1 { "" } else { "s" };
            model.say(
                Level::Good,
                format!("{n} freeze rule{s} written into {}; `{undo}` still goes back", file_name(path)),
            );
        }
        Err(problem) => model.say(Level::Error, problem),
    }
    Vec::new()
}

/// Has a draft's edits kept for another session whenever they have changed.
pub(super) fn keep(model: &mut Model) -> Vec<Effect> {
    let time_ms = model.now_ms;
    let Some(draft) = &mut model.draft else { return Vec::new() };
    let layers = &draft.layers;
    if draft.kept.0 == layers.rules() && draft.kept.1 == layers.staged() {
        return Vec::new();
    }
    draft.kept = (layers.rules().to_vec(), layers.staged().to_vec());
    if !draft.is_unwritten() {
        return vec![Effect::ForgetDraft(draft.path.clone())];
    }
    vec![Effect::KeepDraft(draft.to_keep(time_ms))]
}

/// Takes edits up that an earlier session left, and says so.
pub(super) fn take_up(model: &mut Model, kept: KeptDraft) {
    let forget = model.keymap.first(Action::Undo);
    let Some(draft) = model.draft.as_mut() else { return };
    let file = name(draft);
    // Another hand has changed the file's rules since: what was staged comes after them.
    let same = kept.in_file == draft.in_file;
    let n = kept.staged.len();
    let s = if n == 1 { "" } else { "s" };
    let when = ago(model.now_ms, kept.time_ms);
    let said = match draft.layers.take_up(same.then_some(kept.rules.as_slice()), &kept.staged) {
        Ok(()) if same => {
            format!("your edits of {file} from {when} are taken up ({n} staged rule{s}); `{forget}` drops them")
        }
        Ok(()) => format!(
            "your edits of {file} from {when} are taken up after the rules that its file has got since; `{forget}` drops them"
        ),
        Err(problem) => {
            let rules = kept.staged.join("; ");
            return model.say(
                Level::Warning,
                format!("your edits of {file} from {when} do not fit it any more ({rules}): {problem}"),
            );
        }
    };
    draft.kept = (draft.layers.rules().to_vec(), draft.layers.staged().to_vec());
    model.say(Level::Info, said);
}

/// Says at the start what an earlier session left.
pub(super) fn left_over(model: &mut Model, drafts: &[KeptDraft]) {
    let key = model.keymap.first(Action::NewRun);
    let files: Vec<String> = drafts.iter().map(|d| d.path.display().to_string()).collect();
    if !files.is_empty() {
        let files = files.join(", ");
        model.say(
            Level::Info,
            format!("edits that were not started are kept of {files}; `{key}` opens the recipe with them"),
        );
    }
}

#[cfg(test)]
mod tests;
