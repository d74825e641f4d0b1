//! Putting a freeze plan into force, all or not at all: it must leave something to learn, and gradients must reach it.
//!
//! The second is found out by one forward and backward on the batch that the next step would take. It is read anew from
//! the data, and the learner changes nothing in it, so that a run with the check has the bits of one without.

use crate::core::freeze::{ParamState, Plan, Resolution, Schedule};
use crate::core::tree::Tree;
use crate::engine::data::EpochPlan;
use crate::engine::{Batch, EngineError, Learner};

use super::build::Built;
use super::position::Position;
use super::{TrainError, words};

/// Parameters that are meant to learn and that no gradient reaches, by cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starved {
    /// ``behind `layer2`, which is under no_grad``.
    pub why: String,
    /// Indices of the parameters.
    pub params: Vec<usize>,
}

/// What came of trying a plan.
struct Tried {
    resolution: Resolution,
    starved: Vec<Starved>,
    /// Of the forward and backward on one batch, if there was one.
    peak: Option<u64>,
}

impl Built {
    /// Puts a plan into force for the steps from `at` on, and marks what starves. On any error the plan before it is in
    /// force again; `Refused` if nothing would learn.
    pub fn put(&mut self, plan: Plan, at: &Position) -> Result<(), TrainError> {
        let checked = self.try_plan(&plan, at);
        match checked {
            Ok(Tried { resolution, starved, peak }) => {
                (self.plan, self.resolution, self.starved) = (plan, resolution, starved);
                self.peak = peak;
                Ok(())
            }
            Err(error) => {
                self.learner.apply_freeze(&self.resolution)?;
                Err(error)
            }
        }
    }

    /// Reads the recipe's schedule, and tries each of its plans on the way, so that a mistake shows itself before the run
    /// starts. `first` is the plan that the run begins with; the one in force stays.
    pub fn foresee(&mut self, first: &Plan) -> Result<(), TrainError> {
        self.read_schedule()?;
        let monitor = &self.recipe.checkpoint.monitor;
        if self.schedule.watches() && self.data.info().val_len == 0 && monitor.starts_with("val/") {
            return Err(TrainError::Refused(format!(
                "freeze.schedule waits for {monitor} to stand still, but there is no validation data; set \
                 data.val_fraction, or checkpoint.monitor = \"train/loss\""
            )));
        }
        let mut plan = first.clone();
        let phases = self.schedule.phases().to_vec();
        for (i, phase) in phases.iter().enumerate() {
            let tried = phase.apply(&mut plan).map_err(TrainError::from);
            let tried = tried.and_then(|()| self.try_plan(&plan, &Position::default()));
            if let Err(error) = tried {
                let (at, refused) = (phase.at, error.is_refusal());
                let words = format!("freeze.schedule[{i}] (at {at}): {error}");
                return Err(if refused { TrainError::Refused(words) } else { TrainError::Failed(words) });
            }
        }
        if !phases.is_empty() {
            self.learner.apply_freeze(&self.resolution)?;
        }
        Ok(())
    }

    /// Reads the recipe's schedule.
    pub fn read_schedule(&mut self) -> Result<(), TrainError> {
        let mode = self.recipe.monitor_mode();
        self.schedule = Schedule::new(&self.recipe.freeze, mode, self.learner.tree())?;
        Ok(())
    }

    /// What would come of a plan. Leaves it applied, for better or worse.
    fn try_plan(&mut self, plan: &Plan, at: &Position) -> Result<Tried, TrainError> {
        let mut resolution = plan.resolve(self.learner.tree())?;
        if resolution.trainable() == 0 {
            return Err(TrainError::Refused(nothing_learns(plan)));
        }
        self.learner.apply_freeze(&resolution)?;
        if !self.recipe.train.probe {
            return Ok(Tried { resolution, starved: Vec::new(), peak: None });
        }
        let Some(batch) = self.next_batch(at).transpose()? else {
            return Ok(Tried { resolution, starved: Vec::new(), peak: None });
        };
        let (unreached, peak) = probe(&mut *self.learner, &resolution, &batch).map_err(|e| self.told(e))?;
        let starved = starved(&mut *self.learner, &resolution, unreached, &batch).map_err(|e| self.told(e))?;
        for group in &starved {
            resolution.mark_starved(group.params.iter().copied(), &format!("no gradient reaches it: {}", group.why));
        }
        if resolution.trainable() == 0 {
            return Err(TrainError::Refused(all_starved(plan, &starved)));
        }
        if !starved.is_empty() {
            // Norms that starve are frozen too, and the first look may have lifted a no_grad.
            self.learner.apply_freeze(&resolution)?;
        }
        Ok(Tried { resolution, starved, peak })
    }

    /// The first batch of the step at a position, read without advancing anything.
    pub(super) fn next_batch(&self, at: &Position) -> Option<Result<Batch, TrainError>> {
        let train = &self.recipe.train;
        let mut first = *at;
        // Only where the data has shrunk.
        first.wrap(self.steps_per_epoch());
        let plan = EpochPlan {
            seed: train.seed,
            epoch: first.epoch,
            batch_size: train.batch_size,
            shuffle: train.shuffle,
            drop_last: train.drop_last,
            start_batch: first.first_batch(train.accumulate_grad_batches),
        };
        self.data.train_one(plan).map(|b| b.map_err(TrainError::from))
    }

    /// The starved parameters in words, if there are any.
    pub fn starved_words(&self) -> Option<String> {
        let tree = self.learner.tree();
        let each: Vec<String> =
            self.starved.iter().map(|group| format!("{} ({})", names(tree, group), group.why)).collect();
        (!each.is_empty())
            .then(|| format!("no gradient reaches {}: it does not learn though it should", each.join("; ")))
    }
}

fn names(tree: &Tree, group: &Starved) -> String {
    let names: Vec<&str> =
        group.params.iter().filter_map(|i| tree.parameters.get(*i)).map(|p| p.name.as_str()).collect();
    words::some_of(&names)
}

/// Who gets no gradient though it should, and why. `unreached`: what [`probe`] found.
fn starved(
    learner: &mut dyn Learner,
    plan: &Resolution,
    unreached: Vec<usize>,
    batch: &Batch,
) -> Result<Vec<Starved>, EngineError> {
    if unreached.is_empty() {
        return Ok(Vec::new());
    }
    // With every module recording, what is still not reached is not used at all.
    let unused = match plan.no_grad_modules.is_empty() {
        true => unreached.clone(),
        false => {
            let open = Resolution { no_grad_modules: Vec::new(), ..plan.clone() };
            learner.apply_freeze(&open)?;
            probe(learner, &open, batch)?.0
        }
    };
    let tree = learner.tree();
    let mut groups: Vec<Starved> = Vec::new();
    for param in unreached {
        let why = match unused.contains(&param) {
            true => "the forward does not use it".to_owned(),
            false => format!("behind {}, which is under no_grad", nearest(tree, plan, param)),
        };
        match groups.iter_mut().find(|g| g.why == why) {
            Some(group) => group.params.push(param),
            None => groups.push(Starved { why, params: vec![param] }),
        }
    }
    Ok(groups)
}

/// Who is meant to learn and gets no gradient, and the memory that it took to find out.
fn probe(
    learner: &mut dyn Learner,
    plan: &Resolution,
    batch: &Batch,
) -> Result<(Vec<usize>, Option<u64>), EngineError> {
    let reached = learner.probe(batch)?;
    let learns = plan.params.iter().map(|p| p.state == ParamState::Trainable);
    let unreached = learns.zip(reached).enumerate().filter(|(_, (learns, norm))| *learns && norm.is_none());
    Ok((unreached.map(|(i, _)| i).collect(), learner.probe_peak()))
}

/// The no_grad module that a parameter lies behind: the next one in the order of registration, which is nearly always
/// that of the forward.
fn nearest(tree: &Tree, plan: &Resolution, param: usize) -> String {
    let owner = tree.parameters.get(param).map_or(0, |p| p.module);
    let mut modules = plan.no_grad_modules.clone();
    modules.sort_unstable();
    let module = modules.iter().find(|m| **m > owner).or(modules.last());
    match module.and_then(|m| tree.modules.get(*m)).map(|m| m.path.as_str()) {
        Some("") | None => "the whole model".to_owned(),
        Some(path) => format!("`{path}`"),
    }
}

fn nothing_learns(plan: &Plan) -> String {
    match plan.rules().last() {
        Some(last) => format!(
            "freeze.rules: nothing would learn, every parameter is frozen (the last rule is `{last}`); add a rule such as \
             `train fc`"
        ),
        None => "the model has no parameter that could learn; choose another model.arch".to_owned(),
    }
}

fn all_starved(plan: &Plan, starved: &[Starved]) -> String {
    let why: Vec<&str> = starved.iter().map(|g| g.why.as_str()).collect();
    let rule = plan.ordered().iter().rev().find(|r| r.action == crate::core::freeze::Action::NoGrad);
    let rule = rule.map(|r| format!("; change the rule `{r}`, or train something after it")).unwrap_or_default();
    format!("freeze.rules: nothing would learn, no gradient reaches what is meant to ({}){rule}", why.join("; "))
}
