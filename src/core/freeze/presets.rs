//! Whole plans by name, for menus and `--freeze`: each is a list of rules in the ordinary language.

/// A plan that is offered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanPreset {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its rules.
    pub rules: &'static [&'static str],
}

impl PlanPreset {
    /// The rules as a recipe holds them.
    pub fn rules(&self) -> Vec<String> {
        self.rules.iter().map(|r| (*r).to_owned()).collect()
    }
}

/// The plans that are offered.
pub const PLAN_PRESETS: &[PlanPreset] = &[
    PlanPreset { name: "all", description: "everything learns", rules: &["train preset:all"] },
    PlanPreset { name: "none", description: "nothing learns; a place to start from", rules: &["freeze preset:all"] },
    PlanPreset {
        name: "head only",
        description: "only the last layer with parameters learns",
        rules: &["freeze preset:all", "train preset:head"],
    },
    PlanPreset {
        name: "last 2 blocks",
        description: "the last two top-level blocks learn, the head among them",
        rules: &["freeze preset:all", "train preset:last:2"],
    },
    PlanPreset {
        name: "biases only",
        description: "only biases learn (BitFit)",
        rules: &["freeze preset:all", "train preset:biases"],
    },
    PlanPreset {
        name: "norms only",
        description: "only normalisation layers learn",
        rules: &["freeze preset:all", "train preset:norms"],
    },
];
