//! From a plan and a tree to states and reasons.
//!
//! One array entry a module and a parameter holds the number of the last rule that matched, so the cost is the sum of the rules' matches plus one
//! pass; reasons are shared texts. [`Resolver`] also keeps what each pattern matches, which is the expensive part.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::close::close_matches;
use super::index::{Index, NONE};
use super::matching::{self, Matches};
use super::{Action, FreezeError, ParamState, Pattern, Plan, Resolution, ResolvedParam, Rule};
use crate::core::tree::Tree;

/// Resolves plan after plan on one tree.
#[derive(Debug)]
pub struct Resolver {
    tree: Arc<Tree>,
    index: Index,
    matches: HashMap<Pattern, Arc<Matches>>,
}

/// Patterns kept; each costs up to four bytes a module and parameter.
const MAX_KEPT: usize = 128;

impl Resolver {
    /// For one tree.
    pub fn new(tree: Arc<Tree>) -> Self {
        let index = Index::with_names(&tree);
        Self { tree, index, matches: HashMap::new() }
    }

    /// The tree.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The same as [`Plan::resolve`].
    pub fn resolve(&mut self, plan: &Plan) -> Result<Resolution, FreezeError> {
        let Self { tree, index, matches } = self;
        if matches.len() > MAX_KEPT {
            let used: HashSet<&Pattern> = plan.ordered().iter().map(|r| &r.pattern).collect();
            matches.retain(|pattern, _| used.contains(pattern));
        }
        let mut assignment = Assignment::new(plan, tree, index);
        for (i, rule) in plan.ordered().iter().enumerate() {
            let found = match matches.get(&rule.pattern) {
                Some(found) => found.clone(),
                None => {
                    let found = Arc::new(matching::find(&rule.pattern, tree, index));
                    matches.insert(rule.pattern.clone(), found.clone());
                    found
                }
            };
            assignment.rule(i, rule, &found)?;
        }
        assignment.overrides()?;
        Ok(assignment.finish())
    }
}

/// [`Plan::resolve`].
pub(super) fn resolve(plan: &Plan, tree: &Tree) -> Result<Resolution, FreezeError> {
    // Sorting all names pays off where many are looked up.
    let index = if plan.overrides().len() > 8 { Index::with_names(tree) } else { Index::new(tree) };
    let mut assignment = Assignment::new(plan, tree, &index);
    for (i, rule) in plan.ordered().iter().enumerate() {
        assignment.rule(i, rule, &matching::find(&rule.pattern, tree, &index))?;
    }
    assignment.overrides()?;
    Ok(assignment.finish())
}

/// The last rule (or override, numbered after the rules) that matched each module and parameter.
struct Assignment<'a> {
    plan: &'a Plan,
    tree: &'a Tree,
    index: &'a Index,
    modules: Vec<u32>,
    params: Vec<u32>,
    /// Actions of rules, then of overrides.
    actions: Vec<Action>,
}

impl<'a> Assignment<'a> {
    fn new(plan: &'a Plan, tree: &'a Tree, index: &'a Index) -> Self {
        let rules = plan.ordered().iter().map(|r| r.action);
        let actions = rules.chain(plan.overrides().values().copied()).collect();
        Self {
            plan,
            tree,
            index,
            modules: vec![NONE; tree.modules.len()],
            params: vec![NONE; tree.parameters.len()],
            actions,
        }
    }

    fn rule(&mut self, i: usize, rule: &Rule, found: &Matches) -> Result<(), FreezeError> {
        let place = || format!("rule {}", i + 1);
        if found.is_empty() {
            if rule.pattern.may_be_empty() {
                return Ok(());
            }
            let close = close_matches(&rule.pattern, self.tree);
            return Err(FreezeError::NoMatch { place: place(), rule: rule.to_string(), close });
        }
        if found.params.is_empty() && rule.action == Action::Freeze {
            return Err(FreezeError::NoParameters { place: place(), rule: rule.to_string() });
        }
        let source = i as u32;
        found.modules.iter().for_each(|&m| self.modules[m as usize] = source);
        found.params.iter().for_each(|&p| self.params[p as usize] = source);
        if rule.action == Action::NoGrad {
            found.holders.iter().for_each(|&m| self.modules[m as usize] = source);
        }
        Ok(())
    }

    fn overrides(&mut self) -> Result<(), FreezeError> {
        let first = self.plan.ordered().len();
        for (k, (name, &action)) in self.plan.overrides().iter().enumerate() {
            let Some(p) = self.index.parameter(self.tree, name) else {
                let close = close_matches(&Pattern::Name(name.clone()), self.tree);
                return Err(FreezeError::NoMatch {
                    place: "override".into(),
                    rule: format!("{action} ={name}"),
                    close,
                });
            };
            self.params[p] = (first + k) as u32;
            let module = self.index.owners[p] as usize;
            if action == Action::NoGrad && !self.index.has_children(module) {
                self.modules[module] = (first + k) as u32;
            }
        }
        Ok(())
    }

    fn finish(self) -> Resolution {
        let outer = self.outermost_no_grad();
        let reasons = Reasons::new(&self);
        let mut combined: HashMap<(u32, u32), Arc<str>> = HashMap::new();
        let mut params = Vec::with_capacity(self.params.len());
        for (p, &source) in self.params.iter().enumerate() {
            let module = outer[self.index.owners[p] as usize];
            let resolved = if module != NONE {
                let reason =
                    combined.entry((module, source)).or_insert_with(|| self.no_grad_reason(module, source, &reasons));
                ResolvedParam { state: ParamState::NoGrad, reason: reason.clone() }
            } else {
                match self.action(source) {
                    None => ResolvedParam { state: ParamState::Trainable, reason: reasons.none.clone() },
                    Some(Action::Train) => ResolvedParam { state: ParamState::Trainable, reason: reasons.of(source) },
                    Some(Action::Freeze) => ResolvedParam { state: ParamState::Frozen, reason: reasons.of(source) },
                    // A container's own parameter: putting the container under no_grad would stop everything in it.
                    Some(Action::NoGrad) => {
                        let reason = combined.entry((NONE, source)).or_insert_with(|| {
                            format!("{}, frozen by itself: its module contains others", reasons.of(source)).into()
                        });
                        ResolvedParam { state: ParamState::Frozen, reason: reason.clone() }
                    }
                }
            };
            params.push(resolved);
        }
        let no_grad_modules = (0..outer.len()).filter(|&m| outer[m] == m as u32).collect();
        Resolution { params, no_grad_modules }
    }

    /// For each module the outermost one at or above it whose last rule is `no_grad`.
    fn outermost_no_grad(&self) -> Vec<u32> {
        let mut outer = vec![NONE; self.modules.len()];
        for (m, &parent) in self.index.parents.iter().enumerate() {
            let above = if parent == NONE { NONE } else { outer[parent as usize] };
            let own = self.action(self.modules[m]) == Some(Action::NoGrad);
            outer[m] = if above == NONE && own { m as u32 } else { above };
        }
        outer
    }

    fn action(&self, source: u32) -> Option<Action> {
        self.actions.get(source as usize).copied()
    }

    fn no_grad_reason(&self, module: u32, source: u32, reasons: &Reasons) -> Arc<str> {
        let by = self.modules[module as usize];
        let path = match self.tree.modules[module as usize].path.as_str() {
            "" => "the whole model",
            path => path,
        };
        let base = format!("{} on {path}", reasons.of(by));
        let overruled = source != by && self.action(source) == Some(Action::Train);
        match overruled {
            true => format!("{base}; {} below it does not lift it", reasons.of(source)).into(),
            false => base.into(),
        }
    }
}

/// The shared texts, one a rule and an override.
struct Reasons {
    none: Arc<str>,
    texts: Vec<Arc<str>>,
}

impl Reasons {
    fn new(assignment: &Assignment<'_>) -> Self {
        let plan = assignment.plan;
        let rules = plan.ordered().iter().enumerate().map(|(i, rule)| format!("rule {} `{rule}`", i + 1).into());
        let overrides = plan.overrides().iter().map(|(name, action)| format!("override `{action} ={name}`").into());
        Self { none: "no rule: trainable".into(), texts: rules.chain(overrides).collect() }
    }

    fn of(&self, source: u32) -> Arc<str> {
        self.texts.get(source as usize).unwrap_or(&self.none).clone()
    }
}
