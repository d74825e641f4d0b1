//! What can be wrong with a rule: each message names the rule, the fault and the way out, in one line.

/// Why a plan or an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// The text is not a rule.
    #[error("freeze rule `{rule}`: {problem}")]
    Syntax {
        /// The text.
        rule: String,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// The rule names nothing in the model.
    #[error("freeze {place} `{rule}` matches nothing in the model{}", hint(.close))]
    NoMatch {
        /// `rule 2` or `override`.
        place: String,
        /// The rule's text.
        rule: String,
        /// Names that look like it.
        close: Vec<String>,
    },
    /// The rule freezes modules that own no parameters.
    #[error(
        "freeze {place} `{rule}` has no effect: what it names owns no parameters; name the modules that do, or use no_grad"
    )]
    NoParameters {
        /// `rule 2`.
        place: String,
        /// The rule's text.
        rule: String,
    },
    /// An edit speaks of a rule that is not there.
    #[error("freeze plan: there is no rule {number}; it has {len}")]
    NoSuchRule {
        /// Counted from 1.
        number: usize,
        /// Rules in the plan.
        len: usize,
    },
}

pub(super) fn hint(close: &[String]) -> String {
    match close {
        [] => "; `frostline tree` lists the names".into(),
        names => format!("; did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ")),
    }
}
