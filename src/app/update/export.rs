//! Exporting a checkpoint's weights: the form, and how the work goes.

use crate::app::effect::{Effect, ExportJob};
use crate::app::form::{Form, Purpose, Tensor};
use crate::app::message::{CheckpointRow, ExportProblem};
use crate::app::model::{Exporting, Model};
use crate::app::overlay::{Confirm, Consent, Overlay};
use crate::app::run_view::Level;

/// Puts the form on top.
pub(super) fn open(model: &mut Model, run: String, row: CheckpointRow) -> Vec<Effect> {
    let name = model.shown().map_or("", |v| v.name.as_str());
    let file = format!("{}-step-{}.safetensors", plain(name), row.step);
    let form = Form::export(run.clone(), row.name.clone(), &file);
    model.overlays.push(Overlay::Form(Box::new(form)));
    vec![Effect::ReadTensors { run, name: row.name }]
}

/// A run's name as part of a file name.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let text: String = name.chars().map(kept).collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() { "model".to_owned() } else { text.to_owned() }
}

/// The checkpoint's tensors were read, or cannot be.
pub(super) fn tensors(model: &mut Model, run: &str, name: &str, result: &Result<Vec<Tensor>, String>) {
    for overlay in &mut model.overlays {
        if let Overlay::Form(form) = overlay
            && let Purpose::Export(of) = &mut form.purpose
            && of.run == run
            && of.checkpoint == name
            && of.tensors.is_none()
        {
            of.tensors = Some(result.clone());
            form.check();
        }
    }
}

/// Sends an export off; one at a time.
pub(super) fn send(model: &mut Model, job: ExportJob) -> Vec<Effect> {
    if model.busy.exporting.is_some() {
        model.say(Level::Info, "another export is being written; try again when it is done");
        return Vec::new();
    }
    super::form::mark_sent(model, |form| {
        form.export_job().is_some_and(|own| ExportJob { force: job.force, ..own } == job)
    });
    model.busy.exporting = Some(Exporting::default());
    vec![Effect::Export(job)]
}

/// It is under way: the form has done its work.
pub(super) fn goes_on(model: &mut Model, how_far: Exporting) {
    super::form::close(model, is_export);
    if let Some(exporting) = &mut model.busy.exporting {
        *exporting = how_far;
    }
}

/// It is done, or not.
pub(super) fn exported(model: &mut Model, result: Result<String, ExportProblem>) {
    model.busy.exporting = None;
    match result {
        Ok(said) => {
            super::form::close(model, is_export);
            model.say(Level::Good, said);
        }
        Err(ExportProblem::Failed(problem)) => {
            super::background::fail(model, "The export failed", &problem);
            super::form::refused(model, is_export);
        }
        Err(ExportProblem::Exists(job)) if super::form::refused(model, is_export) => {
            let title = "Overwrite the file?".to_owned();
            let lines = vec![format!("{} exists already.", job.path.display())];
            let yes = Consent::Export(job);
            model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes, other: None }));
        }
        Err(ExportProblem::Exists(job)) => {
            model.say(Level::Warning, format!("{} exists already; nothing was exported", job.path.display()));
        }
    }
}

fn is_export(form: &Form) -> bool {
    matches!(form.purpose, Purpose::Export(_))
}
