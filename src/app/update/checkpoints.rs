//! The history of one run: resume, export, verify.

use std::path::PathBuf;

use crate::app::action::Action;
use crate::app::effect::{Effect, ExportJob, StartJob};
use crate::app::model::{Busy, Model};
use crate::app::overlay::{Confirm, Consent, Overlay, Purpose};
use crate::app::run_view::{Health, Level};

pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(view) = model.shown() else {
        model.say(Level::Info, "no run is open; `1` shows the runs");
        return Vec::new();
    };
    let Some(row) = view.selected_checkpoint().cloned() else {
        model.say(Level::Info, "this run has no checkpoint yet");
        return Vec::new();
    };
    let run = view.id.clone();
    match action {
        Action::Resume => resume(model, run, row.name, row.step),
        Action::Export => {
            let file = format!("{}-step-{}.safetensors", plain(&view.name), row.step);
            let job = ExportJob { run, checkpoint: row.name, path: PathBuf::new(), force: false };
            let title = format!("Export the weights of {} to", job.checkpoint);
            super::ask::ask(model, title, file, Purpose::ExportTo(job));
            Vec::new()
        }
        Action::ShowLayers => vec![Effect::ReadCheckpointTree { run, name: row.name }],
        Action::Verify => {
            let names: Vec<String> = view.checkpoints.iter().flatten().map(|r| r.name.clone()).collect();
            if let Some(view) = model.shown_mut() {
                view.health.extend(names.iter().map(|n| (n.clone(), Health::Checking)));
            }
            vec![Effect::Verify { run, names }]
        }
        _ => Vec::new(),
    }
}

/// A run's name as part of a file name.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let text: String = name.chars().map(kept).collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() { "model".to_owned() } else { text.to_owned() }
}

fn resume(model: &mut Model, run: String, name: String, step: u64) -> Vec<Effect> {
    if !model.enabled(Action::Resume) && !model.hosts_a_live_run() {
        let status = model.shown().map_or_else(String::new, |v| v.status.to_string());
        model.say(
            Level::Info,
            format!("this run is {status}: there is nothing to resume; `frostline fork` starts anew from it"),
        );
        return Vec::new();
    }
    let newest = model.shown().and_then(|v| v.checkpoints.as_ref()?.last().map(|r| r.step));
    let job = StartJob::Resume { run, from: Some(name) };
    if newest.is_some_and(|n| n > step) && !model.hosts_a_live_run() {
        let lines = vec![
            format!("Later checkpoints (up to step {}) are set aside, none is deleted.", newest.unwrap_or(step)),
            "What the run measured after this step is superseded.".to_owned(),
        ];
        let title = format!("Resume from step {step}?");
        model.overlays.push(Overlay::Confirm(Confirm { title, lines, yes: Consent::Start(job), other: None }));
        return Vec::new();
    }
    super::train::start(model, job)
}

/// What the file's name says of the export.
pub(super) fn preview_export(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("an export needs a file name".to_owned());
    }
    Ok(vec!["A .safetensors file; relative to the current folder.".to_owned()])
}

/// Sends an export off.
pub(super) fn export(model: &mut Model, job: ExportJob) -> Vec<Effect> {
    model.busy = Some(Busy::Exporting);
    vec![Effect::Export(job)]
}
