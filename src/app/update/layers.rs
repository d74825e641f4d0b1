//! The Model screen: folds and freeze edits.

use crate::app::action::Action;
use crate::app::effect::{Effect, StartJob};
use crate::app::layers::{Layers, Said};
use crate::app::model::{Model, Starting, Subject};
use crate::app::overlay::Overlay;
use crate::app::run_view::Level;
use crate::core::command::Command;

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::ToggleFreeze => edit(model, |l| l.toggle()),
        Action::Apply => return apply(model),
        Action::StartRun => return start(model),
        Action::Discard => discard(model),
        Action::FreezeRule => return super::rules::ask(model),
        Action::FilterLayers => super::rules::ask_filter(model),
        Action::Explain => match model.is_wide() {
            true => model.side = !model.side,
            false => model.overlays.push(Overlay::Explain { scroll: 0 }),
        },
        Action::WriteRules => return super::rules::write(model),
        Action::EditRecipe => match &model.draft {
            Some(draft) if model.subject == Subject::Draft => return vec![Effect::ReadRecipe(draft.path.clone())],
            _ => model.say(Level::Info, "only a draft's recipe has values to edit; a run has its own already"),
        },
        Action::NoGrad => edit(model, |l| l.toggle_no_grad()),
        Action::Undo => turn(model, |l| l.undo(), "taken back", "no edit to take back"),
        Action::Redo => turn(model, |l| l.redo(), "done again", "no edit to do again"),
        Action::NextMatch => try_with(model, |l| l.go_to_match(true), "no filter is in force; `/` sets one"),
        Action::PreviousMatch => try_with(model, |l| l.go_to_match(false), "no filter is in force; `/` sets one"),
        Action::NextStaged => try_with(model, |l| l.next_staged(), "nothing is staged"),
        Action::Fold => fold(model, Layers::fold),
        Action::Unfold => fold(model, Layers::unfold),
        Action::ToggleFold => fold(model, Layers::toggle_fold),
        Action::FoldAll => fold(model, Layers::fold_all),
        _ => {}
    }
    Vec::new()
}

fn fold(model: &mut Model, change: fn(&mut Layers)) {
    if let Some(layers) = model.layers_mut() {
        change(layers);
        model.keep_folds();
    }
}

/// Says the words where the change did not happen.
fn try_with(model: &mut Model, change: impl FnOnce(&mut Layers) -> bool, otherwise: &str) {
    if !model.layers_mut().is_some_and(change) {
        model.say(Level::Info, otherwise);
    }
}

/// Takes an edit back or does it again, and says which.
fn turn(model: &mut Model, change: impl FnOnce(&mut Layers) -> Option<String>, did: &str, otherwise: &str) {
    match model.layers_mut().and_then(change) {
        Some(edit) => model.say(Level::Info, format!("{did}: {edit}")),
        None => model.say(Level::Info, otherwise),
    }
}

/// Why the plan on view cannot be edited; said, and true.
pub(super) fn is_history(model: &mut Model) -> bool {
    if model.layers().is_some() && !model.enabled(Action::ToggleFreeze) {
        let out_of_reach = model.shown().is_some_and(|v| v.status.is_live() && !v.is_followed());
        let text = match model.subject {
            Subject::Checkpoint => "a checkpoint is history: its plan is not edited; resume or fork from it",
            _ if out_of_reach => {
                super::attach::say_out_of_reach(model);
                return true;
            }
            _ => "this run is not live: its plan is history; resume it, or start a recipe with another plan",
        };
        model.say(Level::Info, text);
        return true;
    }
    model.layers().is_none()
}

fn edit(model: &mut Model, change: impl FnOnce(&mut Layers) -> Said) {
    if is_history(model) {
        return;
    }
    match model.layers_mut().map(change) {
        Some(Ok(Some(said))) => model.say(Level::Info, said),
        Some(Err(problem)) => model.say(Level::Info, problem),
        Some(Ok(None)) | None => {}
    }
}

fn discard(model: &mut Model) {
    let n = model.layers_mut().map_or(0, |l| l.discard());
    if n > 0 {
        let undo = model.keymap.first(Action::Undo);
        model.say(Level::Info, format!("{n} staged rule{} forgotten; `{undo}` brings them back", plural(n)));
    } else {
        model.say(Level::Info, "nothing is staged");
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn apply(model: &mut Model) -> Vec<Effect> {
    if model.subject == Subject::Draft {
        let key = model.keymap.first(Action::StartRun);
        model.say(Level::Info, format!("a draft's edits are in force when it starts: `{key}`"));
        return Vec::new();
    }
    if !model.enabled(Action::Apply) && model.layers().is_some_and(|l| !l.staged().is_empty()) {
        model.say(Level::Info, "this run is not live any more");
        return Vec::new();
    }
    match model.layers_mut().map(|l| l.begin_apply()) {
        Some(Ok(rules)) => vec![model.tell(Command::Freeze { rules })],
        Some(Err(problem)) => {
            model.say(Level::Info, problem);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn start(model: &mut Model) -> Vec<Effect> {
    let Some(draft) = model.draft.as_ref().filter(|_| model.subject == Subject::Draft) else {
        model.say(Level::Info, "no recipe is open; `n` on the run list offers those of this folder");
        return Vec::new();
    };
    if let Some(path) = &model.busy.building {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        model.say(Level::Info, format!("{name} is being opened; start it when its layers are on view"));
        return Vec::new();
    }
    if draft.layers.totals().trainable_tensors == 0 {
        model.say(Level::Warning, "nothing would learn; leave at least one parameter trainable");
        return Vec::new();
    }
    let mut recipe = draft.recipe.clone();
    recipe.freeze.rules = draft.layers.all_rules();
    let (file, checksum) = (draft.path.clone(), draft.checksum.clone());
    let draft = Some((draft.path.clone(), recipe.freeze.rules.clone()));
    let devices = super::devices::write_into(model, &mut recipe);
    let job = StartJob::Fresh { recipe: Box::new(recipe), file, checksum };
    super::train::start_with(model, job, Starting { draft, devices })
}
