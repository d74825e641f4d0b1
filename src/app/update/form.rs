//! Forms: their keys, and what is done when one is accepted.

use crate::app::action::Action;
use crate::app::effect::{Effect, RecipeJob};
use crate::app::form::{Form, Purpose};
use crate::app::keys::Key;
use crate::app::message::RecipeProblem;
use crate::app::model::Model;
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::place::Screen;
use crate::app::run_view::Level;
use std::path::{Path, PathBuf};

/// Puts the form of a new recipe on top.
pub(super) fn open(model: &mut Model) {
    let mut form = Form::recipe();
    form.set_devices(model.devices.picked());
    model.overlays.push(Overlay::Form(Box::new(form)));
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return Vec::new() };
    match action {
        // It stands as it was sent until the answer comes; it can be left.
        _ if form.sent && action != Action::FormCancel => {}
        Action::FormNext => form.go(1),
        Action::FormPrevious => form.go(-1),
        Action::FormMore => form.turn(1),
        Action::FormLess => form.turn(-1),
        Action::FormCancel => {
            model.overlays.pop();
        }
        Action::FormAccept if form.is_good() => return accept(model),
        Action::FormAccept => {
            // What is wrong stands below the fields, for the one with the cursor.
            form.cursor = form.first_problem().map_or(form.cursor, |(at, _)| at);
        }
        _ => {}
    }
    Vec::new()
}

/// What the form asks for is done; it stays until that is under way.
fn accept(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return Vec::new() };
    match &form.purpose {
        Purpose::Recipe(text) => {
            let job = RecipeJob { path: form.file().into(), text: text.clone(), force: false, checksum: None };
            form.sent = true;
            vec![Effect::WriteRecipe(job)]
        }
        Purpose::Edit(_) => match form.edit_job() {
            Some(job) => {
                form.sent = true;
                vec![Effect::WriteRecipe(job)]
            }
            None => {
                model.overlays.pop();
                Vec::new()
            }
        },
        Purpose::Export(_) => match form.export_job() {
            Some(job) => super::export::send(model, job),
            None => Vec::new(),
        },
        Purpose::Fork(_) => match form.fork_job() {
            Some(job) => super::train::start(model, job),
            None => Vec::new(),
        },
    }
}

/// The text of a draft's recipe was read, to change values in it.
pub(super) fn edit_read(model: &mut Model, path: PathBuf, result: Result<(String, String), String>) {
    match result.and_then(|(text, checksum)| Form::edit(path, text, checksum)) {
        // What the user has opened meanwhile keeps the keys.
        Ok(form) if model.overlays.is_empty() => model.overlays.push(Overlay::Form(Box::new(form))),
        Ok(_) => {}
        Err(problem) => super::background::fail(model, "The recipe cannot be edited", &problem),
    }
}

/// A click on a field.
pub(super) fn click(model: &mut Model, row: usize) {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return };
    if form.sent || row >= form.fields.len() {
        return;
    }
    let again = form.cursor == row;
    form.cursor = row;
    if again && form.field_mut().is_some_and(|f| f.closed) {
        form.turn(1);
    }
}

/// A key that is typed into the field with the cursor.
pub(super) fn edit(model: &mut Model, key: Key) -> Option<Vec<Effect>> {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return None };
    if form.sent {
        return None;
    }
    let field = form.field_mut().filter(|field| !field.closed)?;
    let before = field.input.text.clone();
    let typed = super::overlays::type_key(&mut field.input, key);
    if field.input.text != before {
        form.changed();
    }
    typed.then(Vec::new)
}

/// Text that was pasted.
pub(super) fn paste(form: &mut Form, text: &str) {
    if form.sent {
        return;
    }
    if let Some(field) = form.field_mut().filter(|f| !f.closed) {
        field.input.insert(text);
        form.changed();
    }
}

/// What these forms ask for is under way: they stand as they are until the answer comes.
pub(super) fn mark_sent(model: &mut Model, which: impl Fn(&Form) -> bool) {
    for overlay in &mut model.overlays {
        if let Overlay::Form(form) = overlay
            && which(form)
        {
            form.sent = true;
        }
    }
}

/// Takes a form away whose work is done or goes on without it; whether it stood still. One that was opened since stays.
pub(super) fn close(model: &mut Model, which: impl Fn(&Form) -> bool) -> bool {
    let before = model.overlays.len();
    model.overlays.retain(|o| !matches!(o, Overlay::Form(form) if form.sent && which(form)));
    model.overlays.len() < before
}

/// What a form asked for cannot be done as it is: it takes keys again. Whether the user still looks at it, so that a question
/// may come on top of it; on top of anything else it would take keys that are meant for that.
pub(super) fn refused(model: &mut Model, which: impl Fn(&Form) -> bool) -> bool {
    let mut uppermost = false;
    for overlay in &mut model.overlays {
        uppermost = match overlay {
            Overlay::Form(form) if form.sent && which(form) => {
                form.sent = false;
                true
            }
            _ => false,
        };
    }
    uppermost
}

/// The recipe was written, or not.
pub(super) fn written(model: &mut Model, asked: &Path, result: Result<PathBuf, RecipeProblem>) -> Vec<Effect> {
    let asks = |form: &Form| form.is_recipe_of(asked);
    match result {
        Ok(path) => {
            model.say(Level::Good, format!("{} written", path.display()));
            // Who has left the form meanwhile is not taken elsewhere.
            if !close(model, asks) {
                return Vec::new();
            }
            model.screen = Screen::Model;
            model.busy.building = Some(path.clone());
            return vec![Effect::OpenDraft(path)];
        }
        Err(RecipeProblem::Failed(problem)) => {
            super::background::fail(model, "The recipe cannot be written", &problem);
            refused(model, asks);
        }
        Err(RecipeProblem::Exists(job)) if refused(model, asks) => {
            let title = "Overwrite the recipe?".to_owned();
            let lines = vec![format!("{} exists already; what is in it would be lost.", job.path.display())];
            let yes = Consent::WriteRecipe(job);
            model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
        }
        Err(RecipeProblem::Exists(job)) => {
            model.say(Level::Warning, format!("{} exists already; no recipe was written", job.path.display()));
        }
    }
    Vec::new()
}
