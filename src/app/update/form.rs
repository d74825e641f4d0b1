//! Forms: their keys, and what is done when one is accepted.

use crate::app::action::Action;
use crate::app::effect::{Effect, RecipeJob};
use crate::app::form::{Form, Purpose};
use crate::app::keys::Key;
use crate::app::message::RecipeProblem;
use crate::app::model::{Busy, Model};
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::place::Screen;
use crate::app::run_view::Level;
use std::path::PathBuf;

/// Puts the form of a new recipe on top.
pub(super) fn open(model: &mut Model) {
    let mut form = Form::recipe();
    form.set_devices(model.devices.picked());
    model.overlays.push(Overlay::Form(Box::new(form)));
}

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return Vec::new() };
    match action {
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
    let Some(Overlay::Form(form)) = model.overlays.last() else { return Vec::new() };
    match &form.purpose {
        Purpose::Recipe(text) => {
            let job = RecipeJob { path: form.file().into(), text: text.clone(), force: false };
            vec![Effect::WriteRecipe(job)]
        }
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

/// A click on a field.
pub(super) fn click(model: &mut Model, row: usize) {
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else { return };
    if row >= form.fields.len() {
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
    let field = form.field_mut()?;
    if field.closed {
        return None;
    }
    let before = field.input.text.clone();
    let typed = super::overlays::type_key(&mut field.input, key);
    if field.input.text != before {
        form.changed();
    }
    typed.then(Vec::new)
}

/// Text that was pasted.
pub(super) fn paste(form: &mut Form, text: &str) {
    if let Some(field) = form.field_mut().filter(|f| !f.closed) {
        field.input.insert(text);
        form.changed();
    }
}

/// Takes a form away whose work is under way.
pub(super) fn close(model: &mut Model, which: impl Fn(&Purpose) -> bool) {
    model.overlays.retain(|o| !matches!(o, Overlay::Form(form) if which(&form.purpose)));
}

/// The recipe was written, or not.
pub(super) fn written(model: &mut Model, result: Result<PathBuf, RecipeProblem>) -> Vec<Effect> {
    match result {
        Ok(path) => {
            close(model, |purpose| matches!(purpose, Purpose::Recipe(_)));
            model.say(Level::Good, format!("{} written", path.display()));
            model.screen = Screen::Model;
            model.busy = Some(Busy::Draft(path.clone()));
            vec![Effect::OpenDraft(path)]
        }
        Err(RecipeProblem::Failed(problem)) => {
            super::background::fail(model, "The recipe cannot be written", &problem);
            Vec::new()
        }
        Err(RecipeProblem::Exists(job)) => {
            let title = "Overwrite the recipe?".to_owned();
            let lines = vec![format!("{} exists already; what is in it would be lost.", job.path.display())];
            let yes = Consent::WriteRecipe(job);
            model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
            Vec::new()
        }
    }
}
