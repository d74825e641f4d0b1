//! `freeze.schedule` as decisions: what comes next, and whether it is due. State in, decision out; the trainer carries it
//! out and keeps [`Progress`] in checkpoints.

use serde::{Deserialize, Serialize};

use super::{FreezeError, Plan};
use crate::core::recipe::{FreezeSchedule, FreezeSpec, Mode, NamedSchedule, When};
use crate::core::tree::Tree;

/// The place of the rule that `"gradual"` replaces, after its `freeze preset:all`.
const DEPTH_RULE: usize = 1;

/// One change of the plan to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// When.
    pub at: When,
    /// Factor on all rates from then on.
    pub lr_scale: f64,
    change: Change,
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Append(Vec<String>),
    /// Replaces the rule that says how deep `"gradual"` has come, so that what the user says after it still counts.
    Deepen(String),
}

impl Phase {
    /// Makes its change of a plan.
    pub fn apply(&self, plan: &mut Plan) -> Result<(), FreezeError> {
        match &self.change {
            Change::Append(rules) => plan.push_all(rules),
            Change::Deepen(rule) => plan.replace(DEPTH_RULE, rule),
        }
    }
}

/// All phases of a run, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    phases: Vec<Phase>,
    patience: u64,
    mode: Mode,
    restores: bool,
}

impl Schedule {
    /// The recipe's schedule for a model. `mode` says which way the monitored metric is better.
    pub fn new(spec: &FreezeSpec, mode: Mode, tree: &Tree) -> Result<Self, FreezeError> {
        let (phases, restores) = match &spec.schedule {
            FreezeSchedule::Phases(phases) => {
                let phase = |p: &crate::core::recipe::PhaseSpec| Phase {
                    at: p.at,
                    lr_scale: p.lr_scale,
                    change: Change::Append(p.rules.clone()),
                };
                (phases.iter().map(phase).collect(), false)
            }
            FreezeSchedule::Named(NamedSchedule::Gradual) => (gradual(spec, tree)?, true),
        };
        Ok(Self { phases, patience: spec.patience, mode, restores })
    }

    /// The phases.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Whether the best state of a phase is restored when the next one begins.
    pub fn restores(&self) -> bool {
        self.restores
    }

    /// Whether any phase waits for the monitored metric.
    pub fn watches(&self) -> bool {
        self.phases.iter().any(|p| p.at == When::Plateau)
    }
}

/// One block deeper each phase; a phase in which nothing more would learn is left out.
fn gradual(spec: &FreezeSpec, tree: &Tree) -> Result<Vec<Phase>, FreezeError> {
    let mut plan = Plan::parse(&spec.starting_rules())?;
    let mut before = plan.resolve(tree)?;
    let mut phases = Vec::new();
    for blocks in 1..=tree.modules.len() {
        let phase =
            Phase { at: When::Plateau, lr_scale: 1.0, change: Change::Deepen(format!("train preset:last:{blocks}")) };
        phase.apply(&mut plan)?;
        let after = plan.resolve(tree)?;
        if after.trainable() > before.trainable() {
            phases.push(phase);
            before = after;
        }
    }
    Ok(phases)
}

/// How far a schedule has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    taken: usize,
    /// Best value of the monitored metric in this phase, and the step after which it was measured.
    best: Option<(f64, u64)>,
    /// Validations since.
    waited: u64,
}

impl Progress {
    /// Phases that have begun.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The step with the best value of this phase.
    pub fn best_step(&self) -> Option<u64> {
        self.best.map(|(_, step)| step)
    }

    /// Whether the next phase waits for the monitored metric to stand still.
    pub fn watches(&self, schedule: &Schedule) -> bool {
        schedule.phases.get(self.taken).is_some_and(|p| p.at == When::Plateau)
    }

    /// Takes in the monitored metric after a validation, where the next phase waits for it. True if it is the phase's
    /// best so far; a value that is not finite never is.
    pub fn observe(&mut self, schedule: &Schedule, value: f64, step: u64) -> bool {
        if !self.watches(schedule) {
            return false;
        }
        let better = |best: f64| match schedule.mode {
            Mode::Min => value < best,
            Mode::Max => value > best,
        };
        if value.is_finite() && self.best.is_none_or(|(best, _)| better(best)) {
            (self.best, self.waited) = (Some((value, step)), 0);
            return true;
        }
        self.waited += 1;
        false
    }

    /// The next phase, if its time has come: after `epochs` whole epochs and `step` steps.
    pub fn due<'s>(&self, schedule: &'s Schedule, epochs: u64, step: u64) -> Option<&'s Phase> {
        schedule.phases.get(self.taken).filter(|phase| match phase.at {
            When::Epoch(n) => epochs >= n,
            When::Step(n) => step >= n,
            When::Plateau => self.waited >= schedule.patience,
        })
    }

    /// The next phase has begun; what was seen of the metric before does not count in it.
    pub fn advance(&mut self) {
        *self = Self { taken: self.taken + 1, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recipe::PhaseSpec;
    use crate::core::tree::samples::small_resnet;

    fn phases(at: &[&str]) -> Schedule {
        let phase = |at: &&str| PhaseSpec { at: at.parse().unwrap(), rules: vec!["train fc".into()], lr_scale: 0.5 };
        let schedule = FreezeSchedule::Phases(at.iter().map(phase).collect());
        let spec = FreezeSpec { schedule, patience: 2, ..FreezeSpec::default() };
        Schedule::new(&spec, Mode::Min, &small_resnet()).unwrap()
    }

    fn gradual_with(rules: &[&str]) -> Vec<usize> {
        let tree = small_resnet();
        let rules = rules.iter().map(|r| (*r).to_owned()).collect();
        let schedule = FreezeSchedule::Named(NamedSchedule::Gradual);
        let spec = FreezeSpec { schedule, rules, ..FreezeSpec::default() };
        let mut plan = Plan::parse(&spec.starting_rules()).unwrap();
        let mut counts = vec![plan.resolve(&tree).unwrap().trainable()];
        for phase in Schedule::new(&spec, Mode::Min, &tree).unwrap().phases() {
            phase.apply(&mut plan).unwrap();
            counts.push(plan.resolve(&tree).unwrap().trainable());
        }
        counts
    }

    #[test]
    fn phases_are_taken_in_order_and_each_at_its_time() {
        let schedule = phases(&["epoch 2", "step 5"]);
        let mut progress = Progress::default();
        assert_eq!(progress.due(&schedule, 1, 100), None, "the second waits for the first");
        assert!(progress.due(&schedule, 2, 4).is_some());
        progress.advance();
        assert_eq!(progress.due(&schedule, 2, 4), None);
        assert!(progress.due(&schedule, 2, 5).is_some());
        progress.advance();
        assert_eq!((progress.due(&schedule, 9, 99), progress.taken()), (None, 2));
    }

    #[test]
    fn a_plateau_is_so_many_validations_without_a_better_value() {
        let schedule = phases(&["plateau", "plateau"]);
        let mut progress = Progress::default();
        let see = |progress: &mut Progress, value, step| {
            let best = progress.observe(&schedule, value, step);
            (best, progress.due(&schedule, 0, 0).is_some())
        };
        assert_eq!(see(&mut progress, f64::NAN, 1), (false, false));
        assert_eq!(see(&mut progress, 1.0, 2), (true, false));
        assert_eq!(see(&mut progress, 1.0, 3), (false, false), "equal is not better");
        assert_eq!(see(&mut progress, 0.9, 4), (true, false));
        assert_eq!(see(&mut progress, 0.95, 5), (false, false));
        let stored: Progress = serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
        assert_eq!(stored, progress);
        assert_eq!(see(&mut progress, f64::INFINITY, 6), (false, true));
        assert_eq!(progress.best_step(), Some(4));
        progress.advance();
        assert_eq!(see(&mut progress, 2.0, 7), (true, false), "a phase is measured against itself");
    }

    #[test]
    fn only_a_phase_that_waits_for_the_metric_looks_at_it() {
        let schedule = phases(&["step 3"]);
        let mut progress = Progress::default();
        assert!(!progress.observe(&schedule, 1.0, 1));
        assert_eq!(progress, Progress::default());
    }

    #[test]
    fn gradual_goes_from_the_head_to_the_whole_model_one_block_at_a_time() {
        let all = small_resnet().parameters.len();
        let counts = gradual_with(&[]);
        assert_eq!((counts[0], *counts.last().unwrap()), (2, all));
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
        assert_eq!(counts.len(), 7, "fc, layer4, layer3, layer2, layer1, bn1, conv1");
    }

    #[test]
    fn the_recipes_rules_have_the_last_word_in_every_phase() {
        let counts = gradual_with(&["freeze kind:BatchNorm2d", "freeze layer1"]);
        assert_eq!(counts.len(), 5, "bn1 and layer1 would change nothing: {counts:?}");
        assert_eq!(*counts.last().unwrap(), 2 + 1 + 3 * 4, "{counts:?}");
    }

    #[test]
    fn times_are_read_and_written() {
        for text in ["epoch 3", "step 500", "plateau"] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
        for text in ["", "epoch", "epoch 0", "epoch -1", "step 1.5", "epoch 3 4", "plateau 3", "later"] {
            assert!(text.parse::<When>().unwrap_err().contains("is no time"), "{text}");
        }
    }
}
