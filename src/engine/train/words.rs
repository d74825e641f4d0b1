//! Events as lines for people: `log.txt`, and whoever prints a run in plain text.

use crate::core::event::{Event, Metrics};

/// `val/loss 0.1234, val/top1 0.9711`.
pub fn metrics_words(metrics: &Metrics) -> String {
    metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ")
}

/// Names that a message holds at most.
const NAMED: usize = 5;

/// `` `a`, `b` and 3 more ``.
pub fn some_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().take(NAMED).map(|n| format!("`{n}`")).collect();
    match names.len() {
        n if n <= NAMED => quoted.join(", "),
        n => format!("{} and {} more", quoted.join(", "), n - NAMED),
    }
}

/// One line, without time and step.
pub fn words(event: &Event) -> String {
    match event {
        Event::Started { steps, devices, resumed_from, .. } => {
            let from = resumed_from.map(|s| format!(", goes on from step {s}")).unwrap_or_default();
            format!("started on {}: {steps} steps{from}", devices.join(", "))
        }
        Event::Step { metrics, .. } => metrics_words(metrics),
        Event::Gradients { norms } => format!("gradients of {} tensors", norms.len()),
        Event::EpochEnded { epoch } => format!("epoch {} ended", epoch + 1),
        Event::Validation { metrics, .. } => format!("validation: {}", metrics_words(metrics)),
        Event::CheckpointWritten { name, bytes, reason } => {
            format!("checkpoint {name} written ({reason}, {bytes} bytes)")
        }
        Event::CheckpointFailed { message } => format!("checkpoint not written: {message}"),
        Event::CheckpointRemoved { name } => format!("checkpoint {name} removed"),
        Event::FreezeChanged { rules, trainable, frozen, .. } => {
            let rules = if rules.is_empty() { "no rules".to_owned() } else { rules.join("; ") };
            format!("freeze plan: {rules} ({trainable} tensors learn, {frozen} do not)")
        }
        Event::LrChanged { lr } => format!("learning rate set to {lr}"),
        Event::DevicesChanged { devices } => format!("goes on on {}", devices.join(", ")),
        Event::Paused => "paused".to_owned(),
        Event::Continued => "goes on".to_owned(),
        Event::Warning { message } => format!("warning: {message}"),
        Event::Audit { moved, unmoved, mismatched } => {
            let wrong = if mismatched.is_empty() {
                String::new()
            } else {
                format!("; NOT AS MEANT: {}", mismatched.join(", "))
            };
            format!("audit: {} tensors moved, {} are bit-equal to step 0{wrong}", moved.len(), unmoved.len())
        }
        Event::Reply { id, result } => match result {
            Ok(words) => format!("command {id}: {words}"),
            Err(words) => format!("command {id} refused: {words}"),
        },
        Event::Finished { metrics } if metrics.is_empty() => "finished".to_owned(),
        Event::Finished { metrics } => format!("finished: {}", metrics_words(metrics)),
        Event::Stopped { reason } => format!("stopped: {reason}"),
        Event::Failed { message } => format!("failed: {message}"),
    }
}
