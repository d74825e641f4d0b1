//! A finished run that is made longer, as `frostline resume RUN --set train.epochs=N` does.

use crate::app::effect::{Effect, StartJob};
use crate::app::model::Model;
use crate::app::overlay::Purpose;
use crate::core::run::{RunStatus, RunSummary};

/// Asks how long it is to become.
pub(super) fn ask(model: &mut Model, run: &str) -> Vec<Effect> {
    let Some((name, text)) = summary(model, run).map(|r| (r.name.clone(), doubled(r))) else { return Vec::new() };
    super::ask::ask(model, format!("{name} is finished. Go on until"), text, Purpose::Lengthen(run.to_owned()));
    Vec::new()
}

fn summary<'a>(model: &'a Model, run: &str) -> Option<&'a RunSummary> {
    model.runs.iter().flatten().find(|r| r.id.as_str() == run)
}

/// What stands in the field: twice as long.
fn doubled(run: &RunSummary) -> String {
    match run.epochs {
        0 => format!("{} steps", run.steps.saturating_mul(2)),
        epochs => format!("{} epochs", epochs.saturating_mul(2)),
    }
}

/// The key of the recipe and its value.
fn parse(text: &str) -> Result<(&'static str, u64), String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = text.get(number.len()..).unwrap_or_default().trim();
    let key = match unit {
        "" | "epoch" | "epochs" => Some("train.epochs"),
        "step" | "steps" => Some("train.steps"),
        _ => None,
    };
    let value = number.parse().ok().filter(|n: &u64| *n > 0);
    key.zip(value).ok_or_else(|| format!("`{text}` is no length; write how many in all, as 20 epochs or 3000 steps"))
}

/// What the typed length would do.
pub(super) fn preview(model: &Model, run: &str, text: &str) -> Result<Vec<String>, String> {
    let (key, value) = parse(text)?;
    let Some(run) = summary(model, run) else { return Err("the run is gone".to_owned()) };
    if run.status != RunStatus::Finished {
        return Err(format!("{} is {} by now", run.name, run.status));
    }
    let (done, unit) = if key == "train.steps" { (run.steps, "steps") } else { (run.epochs, "epochs") };
    if value <= done {
        return Err(format!("it is {done} {unit} long already; write more"));
    }
    Ok(vec![
        format!("{} more {unit}, from its newest checkpoint at step {}", value - done, run.step),
        "epochs or steps in all; the schedule of the learning rate is that of the longer run".to_owned(),
    ])
}

pub(super) fn start(model: &mut Model, run: String, text: &str) -> Vec<Effect> {
    let Ok((key, value)) = parse(text) else { return Vec::new() };
    super::train::start(model, StartJob::Resume { run, from: None, sets: vec![format!("{key}={value}")] })
}
