//! Answers of work done in the background.

use std::path::PathBuf;

use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::layers::Layers;
use crate::app::message::{DraftReady, Message, OpenedRun};
use crate::app::model::{Draft, Facts, Model, Past, Subject};
use crate::app::overlay::Overlay;
use crate::app::place::Screen;
use crate::app::run_view::{Health, Level, RunView};
use crate::core::alerts::Kind;
use crate::core::run::{RunStatus, RunSummary};
use crate::core::tree::Tree;

pub(super) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Runs(Ok(runs)) => return runs_read(model, runs),
        Message::Summaries(newer) => {
            // A comparison says itself how its runs fare, as long as one is live.
            let resumed =
                |r: &RunSummary| r.status.is_live() && model.compare.runs.iter().any(|id| *id == r.id.as_str());
            let again = !model.compare.is_live() && newer.iter().any(resumed);
            let again = again.then(|| Effect::Compare(model.compare.runs.clone()));
            let mut runs = model.runs.clone().unwrap_or_default();
            for newer in newer {
                match runs.iter_mut().find(|r| r.id == newer.id) {
                    Some(run) => *run = newer,
                    // The list is not read yet.
                    None => runs.push(newer),
                }
            }
            let listed = model.runs.is_some();
            let mut effects = runs_read(model, runs);
            if !listed {
                model.runs = None;
            }
            effects.extend(again);
            return effects;
        }
        Message::RunRecipes(recipes) => {
            let selected = model.selected_run().map(|r| r.id.clone());
            model.run_list.take_recipes(recipes);
            return model.arrange_runs(selected);
        }
        Message::RecipeWritten { asked, result } => return super::form::written(model, &asked, result),
        Message::RecipeText { path, result } => super::form::edit_read(model, path, result),
        Message::Sparks(read) => model.sparks.take(read),
        Message::Edited(result) => return super::keep::edited(model, result),
        Message::Weighed(weights) => super::keep::weighed(model, &weights),
        Message::Deleted { gone, problems } => return super::keep::deleted(model, &gone, problems),
        Message::Compared { runs, result } => super::compare::compared(model, &runs, result.map(|c| *c)),
        Message::Drifted { runs, drifts } => super::compare::drifted(model, &runs, drifts),
        Message::Runs(Err(problem)) => {
            model.runs_problem = Some(problem.clone());
            model.say(Level::Error, problem);
        }
        Message::Devices(found) => model.devices.heed(found),
        Message::Survey(survey) => model.devices.take(survey),
        Message::Recipes(found) => {
            if let Some(Overlay::Recipes { entries, cursor }) =
                model.overlays.iter_mut().rfind(|o| matches!(o, Overlay::Recipes { .. }))
            {
                *cursor = (*cursor).min(found.len().saturating_sub(1));
                *entries = Some(found);
            }
        }
        Message::Draft { path, result } => draft_read(model, path, result),
        Message::RulesWritten { path, rules, result } => return super::rules::written(model, &path, rules, result),
        Message::CheckpointTree { run, name, result } => past_read(model, run, name, result),
        Message::Drift(drifted) if model.drift_asked.as_ref() == Some(&drifted.pair) => {
            model.drifted = Some(drifted);
        }
        Message::Values { look, stats } => {
            if let Some(seen) = model.seen.as_mut().filter(|s| s.look == look) {
                seen.stats = Some(stats);
            }
        }
        Message::KeptDrafts(drafts) => super::rules::left_over(model, &drafts),
        Message::Opened(result) => return opened(model, result),
        Message::Curves { run, result } => super::charts::curves(model, run, result),
        Message::TreeReady { run, tree } => {
            if let Some(view) = model.view_mut(&run) {
                match tree {
                    Ok(tree) => view.set_tree(tree),
                    Err(problem) => view.layers_problem = Some(problem),
                }
                model.fold_run(&run);
            }
        }
        Message::Checkpoints { run, rows } => super::checkpoints::listed(model, &run, rows),
        Message::Diffed { before, after, result } => super::diff::compared(model, &before, &after, result),
        Message::Pinned { run, result } | Message::CheckpointDeleted { run, result } => {
            return super::checkpoints::changed(model, run, result);
        }
        Message::Facts { run, name, time_ms, result } => {
            let asked = |f: &&mut Facts| f.run == run && f.name == name && f.time_ms == time_ms;
            if let Some(facts) = model.facts.as_mut().filter(asked) {
                facts.read = Some(result);
            }
        }
        Message::Verified { run, name, damage } => verified(model, &run, name, damage),
        Message::Started(result) => return super::live::started(model, result),
        Message::Records(records) => return super::live::take(model, model.hosted.clone(), &records),
        Message::Ended => return super::live::ended(model),
        Message::Attached(attached) => return super::attach::attached(model, *attached),
        Message::NotAttached { run, problem, passing } => super::attach::not_attached(model, &run, problem, passing),
        Message::Heard(records) => return super::live::take(model, model.attached.clone(), &records),
        Message::Parted => return super::attach::parted(model),
        Message::HandedOver(result) => return super::leave::handed_over(model, result),
        Message::Tensors { run, name, result } => super::export::tensors(model, &run, &name, &result),
        Message::ForkBase { run, name, result } => super::checkpoints::fork_base(model, &run, &name, result),
        Message::Exporting(how_far) => super::export::goes_on(model, how_far),
        Message::Exported(result) => super::export::exported(model, result),
        Message::Themes { names, current } => {
            let cursor = names.iter().position(|n| *n == current).unwrap_or(0);
            model.overlays.push(Overlay::Themes { names, cursor, before: current });
        }
        Message::ThemeKept(Ok(file)) => model.say(Level::Good, format!("the theme is kept in {file}")),
        Message::ThemeKept(Err(problem)) => model.say(Level::Error, problem),
        _ => {}
    }
    Vec::new()
}

/// A run's files were read: because it was opened, or because it is live in another process and on view.
fn opened(model: &mut Model, result: Result<Box<OpenedRun>, String>) -> Vec<Effect> {
    let opened = match result {
        Ok(opened) => *opened,
        Err(problem) => {
            // A look at a run that was on view already fails without a word: the next one may not.
            if model.opening.take().is_some() && model.returning.take().is_none() {
                fail(model, "The run cannot be opened", &problem);
            }
            return Vec::new();
        }
    };
    let id = opened.summary.id.to_string();
    if model.hosted.as_deref() == Some(id.as_str()) {
        return Vec::new();
    }
    if model.opening.as_deref() == Some(id.as_str()) {
        model.opening = None;
        model.show(RunView::new(opened, false));
        // Where the user has gone meanwhile, there the screen stays.
        model.screen = match model.returning.take() {
            Some(screen) if model.screen == Screen::Runs => screen,
            None if model.screen == Screen::Runs => Screen::Train,
            _ => model.screen,
        };
        let mut effects = vec![Effect::ReadCheckpoints(id.clone())];
        match model.screen {
            Screen::Model => effects.push(Effect::ReadTree(id)),
            Screen::Devices => effects.extend(super::devices::look(model)),
            _ => {}
        }
        effects.extend(super::attach::if_live(model));
        return effects;
    }
    // Else the user went elsewhere in the meantime, or this is news of a run that is on view.
    let mut effects = Vec::new();
    if let Some(view) = model.view_mut(&id) {
        let lived = view.status.is_live();
        view.refresh(opened);
        if lived && view.status == RunStatus::Crashed {
            let name = view.name.clone();
            effects.extend(crashed(model, &id, &name));
        }
    }
    effects.extend(super::attach::if_live(model));
    effects
}

/// A run that lived is found without its process: nobody else says so.
fn crashed(model: &mut Model, run: &str, name: &str) -> Option<Effect> {
    let words = format!("{name}: crashed");
    let key = model.keymap.first(Action::ResumeRun);
    let way_out = format!("{words}; `{key}` on the run list goes on from its newest checkpoint");
    model.say_until_resumed(Level::Error, way_out, run);
    model.alerts.tells(Kind::Crashed).then_some(Effect::Alert(words))
}

fn runs_read(model: &mut Model, mut runs: Vec<RunSummary>) -> Vec<Effect> {
    model.runs_problem = None;
    // The stream of a run is newer than its files.
    for view in model.views.iter().filter(|v| v.is_followed()) {
        if let Some(run) = runs.iter_mut().find(|r| r.id.to_string() == view.id) {
            (run.status, run.step) = (view.status, run.step.max(view.step));
        }
    }
    let selected = model.selected_run().map(|r| r.id.clone());
    let mut lost = Vec::new();
    for run in &runs {
        if let Some(view) = model.views.iter_mut().find(|v| v.id == run.id.to_string() && !v.is_followed()) {
            let lived = view.status.is_live();
            view.take_summary(run);
            if lived && view.status == RunStatus::Crashed {
                lost.push((run.id.to_string(), run.name.clone()));
            }
        }
    }
    for view in &mut model.views {
        if let Some(run) = runs.iter().find(|r| r.id.as_str() == view.id) {
            view.name.clone_from(&run.name);
        }
    }
    runs.iter().filter(|r| r.status.is_live()).for_each(|r| model.toasts.resumed(r.id.as_str()));
    model.marks.retain(|id| runs.iter().any(|r| r.id.as_str() == id));
    // Runs drawn over the one on view may go on too.
    let gone_on = |other: &&RunView| runs.iter().any(|r| r.id.as_str() == other.id && r.step > other.step);
    let curves = model.charts.overlaid.iter().filter(gone_on).map(|other| Effect::ReadCurves(other.id.clone()));
    let mut effects: Vec<Effect> = curves.collect();
    effects.extend(lost.iter().filter_map(|(id, name)| crashed(model, id, name)));
    model.runs = Some(runs);
    effects.extend(model.arrange_runs(selected));
    // Another process may have resumed the one on view.
    effects.extend(super::attach::if_live(model));
    effects
}

fn draft_read(model: &mut Model, path: PathBuf, result: Result<Box<DraftReady>, String>) {
    // Another recipe was asked for since, or this one is there already and was edited.
    if model.busy.building.take_if(|building| *building == path).is_none() {
        return;
    }
    // Rules that fit nothing: to start without them would train what the recipe freezes.
    let result = result.and_then(|ready| {
        let (layers, problem) = Layers::new(ready.tree.clone(), ready.recipe.freeze.rules.clone());
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        problem.map_or(Ok((ready, layers)), |problem| Err(format!("{name}: freeze.rules: {problem}")))
    });
    let mut edits = None;
    match result {
        Ok((ready, mut layers)) => {
            let DraftReady { recipe, checksum, kept, .. } = *ready;
            let open = model.draft.take_if(|open| open.path == path && open.is_unwritten());
            // A draft that was left with edits is taken up again as it was, if its file is too.
            if let Some(open) = open {
                if open.checksum == checksum {
                    (model.draft, model.subject) = (Some(open), Subject::Draft);
                    return;
                }
                edits = Some(open.to_keep(model.now_ms));
            }
            layers.set_rates(&recipe.optimizer);
            model.folds.lay_over(&path.display().to_string(), &mut layers);
            let in_file = recipe.freeze.rules.clone();
            model.draft = Some(Draft { path, recipe, layers, kept: (in_file.clone(), Vec::new()), in_file, checksum });
            model.subject = Subject::Draft;
            if let Some(kept) = edits.or(kept) {
                super::rules::take_up(model, kept);
            }
        }
        Err(problem) => {
            if model.screen == Screen::Model && model.layers().is_none() {
                model.screen = Screen::Runs;
            }
            fail(model, "The recipe cannot be used", &problem);
        }
    }
}

/// The layers of a checkpoint: the run's own tree where that is known, since a weights file knows no classes.
fn past_read(model: &mut Model, run: String, name: String, result: Result<(Tree, Vec<String>), String>) {
    let (tree, rules) = match result {
        Ok(read) => read,
        Err(problem) => return fail(model, "The checkpoint's layers cannot be shown", &problem),
    };
    // The user went elsewhere meanwhile, or has something on top that keys are typed into.
    if model.screen != Screen::Checkpoints || !model.overlays.is_empty() {
        return;
    }
    let Some(view) = model.shown().filter(|v| v.id == run) else { return };
    let known = view.layers.as_ref().map(|l| l.tree().clone()).filter(|t| t.parameters.len() == tree.parameters.len());
    let (mut layers, problem) = Layers::new(known.unwrap_or(tree), rules);
    layers.set_rates(&view.optimizer);
    model.folds.lay_over(&run, &mut layers);
    let run_name = view.name.clone();
    model.past = Some(Past { run, run_name, name, layers });
    (model.subject, model.screen) = (Subject::Checkpoint, Screen::Model);
    if let Some(problem) = problem {
        let words = "which parameters learned cannot be told from the file alone";
        model.say(Level::Warning, format!("{words}: {problem}; the run's own layers (`2`) know its classes"));
    }
}

fn verified(model: &mut Model, run: &str, name: String, damage: Vec<String>) {
    let Some(view) = model.view_mut(run) else { return };
    let said = damage.first().map(|d| format!("{name}: {d}"));
    let health = if damage.is_empty() { Health::Verified } else { Health::Damaged(damage) };
    view.health.insert(name, health);
    let selected = model.selected_checkpoint().map(|r| r.name.clone());
    model.arrange_checkpoints(selected.as_deref());
    let Some(view) = model.view(run) else { return };
    let busy = view.health.values().any(|h| *h == Health::Checking);
    let good = view.health.values().filter(|h| **h == Health::Verified).count();
    if let Some(said) = said {
        model.say(Level::Error, said);
    } else if !busy {
        model.say(Level::Good, format!("{good} checkpoint{} verified", if good == 1 { "" } else { "s" }));
    }
}

/// A problem that the user waited on: one line as a toast, several as a text to read. What the user has opened meanwhile keeps
/// the keys: there it is a toast, and stands among the messages.
pub(super) fn fail(model: &mut Model, title: &str, problem: &str) {
    let waits = model.overlays.last().is_none_or(|o| matches!(o, Overlay::Form(form) if form.sent));
    if !waits {
        let lines: Vec<&str> = problem.lines().collect();
        model.say(Level::Error, format!("{title}: {}", lines.join("; ")));
    } else if problem.lines().count() > 1 || problem.chars().count() > 100 {
        model.say(Level::Error, format!("{title}: {}", problem.lines().next().unwrap_or_default()));
        let lines = problem.lines().map(str::to_owned).collect();
        model.overlays.push(Overlay::Text { title: title.to_owned(), lines, scroll: 0 });
        model.toasts.clear();
    } else {
        model.say(Level::Error, problem);
    }
}
