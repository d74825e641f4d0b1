//! What a script must offer to be trained, and what the user should know of it.

use serde_json::{Map, Value};

use super::facts::{Facts, Module};

/// Why it cannot be trained, in words.
pub fn trainable(facts: &Facts) -> Result<(), String> {
    let Some(inputs) = &facts.inputs else {
        return Err("it has no `forward`; give the model one before torch.jit.script".to_owned());
    };
    if inputs.first().is_none_or(|first| first.ty != "Tensor") {
        return Err("its forward does not take a tensor first; it is called with one batch of samples".to_owned());
    }
    let more: Vec<&str> = inputs.iter().skip(1).filter(|i| !i.optional).map(|i| i.name.as_str()).collect();
    if !more.is_empty() {
        return Err(format!(
            "its forward needs more than one batch of samples (`{}`); wrap the model in a module whose forward takes one tensor",
            more.join("`, `")
        ));
    }
    if facts.output != "Tensor" {
        return Err(format!(
            "its forward gives {}, not one tensor; wrap the model in a module whose forward gives the logits alone",
            facts.output
        ));
    }
    if facts.modules.iter().all(|m| m.parameters.is_empty()) {
        return Err(
            "it has no parameters, so that nothing could learn: torch.jit.freeze and optimize_for_inference make \
                    constants of them; save the script without these"
                .to_owned(),
        );
    }
    Ok(())
}

/// What the user should know, one line each.
pub fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut baked = |find: fn(&Module) -> Option<bool>, on: &str, off: &str| {
        for (constant, effect) in [(true, on), (false, off)] {
            let of: Vec<String> = (0..facts.modules.len())
                .filter(|&m| facts.modules.get(m).and_then(find) == Some(constant))
                .map(|m| facts.path(m))
                .collect();
            if !of.is_empty() {
                let mode = if constant { "train" } else { "eval" };
                warnings.push(format!(
                    "{}: {mode} mode was baked in when the script was traced, so {effect}; torch.jit.script keeps both modes",
                    names(&of)
                ));
            }
        }
    };
    baked(dropout_mode, "activations are dropped in evaluation too", "nothing is dropped in training");
    baked(
        norm_mode,
        "batch norm uses the batch's statistics in evaluation too",
        "batch norm uses its running statistics in training too and never updates them",
    );
    for (second, first) in &facts.tied {
        warnings.push(format!("`{second}` and `{first}` are one tensor: it is listed and saved as `{first}` alone"));
    }
    let state: Vec<String> = (0..facts.modules.len())
        .flat_map(|m| {
            let path = facts.path(m);
            let names = facts.modules.get(m).map(|m| m.state.as_slice()).unwrap_or_default();
            names.iter().map(move |n| if path.is_empty() { n.clone() } else { format!("{path}.{n}") })
        })
        .collect();
    if !state.is_empty() {
        warnings.push(format!(
            "{}: the script's code changes it and it is no buffer, so no checkpoint holds it; a resumed run differs",
            names(&state)
        ));
    }
    warnings
}

fn names(all: &[String]) -> String {
    let shown: Vec<String> =
        all.iter().take(3).map(|n| if n.is_empty() { "the root".to_owned() } else { format!("`{n}`") }).collect();
    match all.len() {
        0..=3 => shown.join(", "),
        n => format!("{} and {} more", shown.join(", "), n - 3),
    }
}

/// The constant train flag of a dropout.
fn dropout_mode(module: &Module) -> Option<bool> {
    let drops = |op: &&Map<String, Value>| {
        let name = op.get("op").and_then(Value::as_str).unwrap_or_default();
        name.trim_end_matches('_').ends_with("dropout") && op.get("p").and_then(Value::as_f64) != Some(0.0)
    };
    module.operators.iter().filter(drops).find_map(|op| op.get("train")?.as_bool())
}

/// The constant train flag of a batch norm.
fn norm_mode(module: &Module) -> Option<bool> {
    module
        .operators
        .iter()
        .filter(|op| op.get("op").and_then(Value::as_str) == Some("batch_norm"))
        .find_map(|op| op.get("training")?.as_bool())
}
