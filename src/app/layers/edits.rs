//! Edits of the freeze plan: they are rules that would come after those in force, and each can be taken back and done again.

use crate::core::freeze::{Action, PLAN_PRESETS, ParamState, Pattern, Plan, Preset, Resolution, Rule};
use crate::core::tree::glob_covers;

use super::{Layers, NodeKind, Said, Totals, resolve};

/// The plan before an edit, and what the edit was.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Rules in force. Only writing a draft's plan into its recipe changes them between two edits.
    pub rules: Vec<String>,
    staged: Vec<String>,
    words: String,
}

/// What rules that are being typed would do.
#[derive(Debug, Clone, PartialEq)]
pub struct RulePreview {
    /// The rules, as they would be staged.
    pub rules: Vec<String>,
    /// Names of the parameters that they match, in the tree's order.
    pub names: Vec<String>,
    /// Elements of those.
    pub elements: u64,
    /// What would learn.
    pub totals: Totals,
    /// Whether anything changes.
    pub changes: bool,
}

impl Layers {
    /// Staged rules, in order.
    pub fn staged(&self) -> &[String] {
        &self.staged
    }

    /// Whether the staged rules were sent and are not yet answered.
    pub fn applying(&self) -> bool {
        self.applying
    }

    /// Freezes or thaws the node under the cursor: a module that learns wholly is frozen, any other is trained.
    pub fn toggle(&mut self) -> Said {
        self.may_edit()?;
        let Some(node) = self.nodes.get(self.cursor) else { return Ok(None) };
        if node.params.is_empty() {
            return Err(format!("{} has no parameters: nothing in it learns", node.label));
        }
        let all_learn = self.params(node).all(|s| matches!(s, ParamState::Trainable | ParamState::Starved));
        let action = if all_learn { Action::Freeze } else { Action::Train };
        let node = node.clone();
        let rule = match node.kind {
            // An override: it stands whatever is said of the modules around it.
            NodeKind::Param(_) => format!("{action} ={}", node.path),
            NodeKind::Module(_) => format!("{action} {}", pattern(&node.path)),
        };
        let mut staged = self.staged.clone();
        // What this edit overrides need not stay: the last rule that matches wins.
        staged.retain(|rule| !is_inside(rule, &node.path));
        staged.push(rule.clone());
        // Overrides in force come after all rules: they are overridden one by one.
        if let (NodeKind::Module(_), Ok(plan)) = (node.kind, Plan::parse(&self.rules)) {
            let below = |name: &str| node.path.is_empty() || glob_covers(&node.path, name);
            let others = plan.overrides().iter().filter(|(name, a)| below(name) && **a != action);
            staged.extend(others.map(|(name, _)| format!("{action} ={name}")));
        }
        if self.put(staged, rule)? {
            return Ok(None);
        }
        let why = node.params.first().and_then(|p| self.preview.params.get(*p)).map_or("", |p| &*p.reason);
        Err(format!("{} stays as it is: {why}", node.label))
    }

    /// Puts the module under the cursor under `no_grad`, or lifts it again.
    pub fn toggle_no_grad(&mut self) -> Said {
        self.may_edit()?;
        let Some(node) = self.nodes.get(self.cursor) else { return Ok(None) };
        let NodeKind::Module(module) = node.kind else {
            return Err("no_grad is for modules: it is their forward that records nothing; go to one".to_owned());
        };
        let (path, label) = (node.path.clone(), node.label.clone());
        let rule = format!("no_grad {}", pattern(&path));
        let mut staged = self.staged.clone();
        if self.preview.no_grad_modules.contains(&module) {
            staged.retain(|r| *r != rule);
            let all = self.rules.iter().chain(&staged).cloned().collect::<Vec<_>>();
            let lifted = resolve(&self.tree, &all).is_ok_and(|r| !r.no_grad_modules.contains(&module));
            if !lifted {
                staged.push(format!("train {}", pattern(&path)));
            }
            self.put(staged, format!("no_grad lifted from {}", shown(&path)))?;
            return Ok(None);
        }
        let above = self.tree.ancestors(module).find(|a| self.preview.no_grad_modules.contains(a));
        if let Some(above) = above.and_then(|a| self.tree.modules.get(a)) {
            return Err(format!("{label} lies in {}, which is under no_grad already", shown(&above.path)));
        }
        staged.retain(|r| *r != rule);
        staged.push(rule.clone());
        self.put(staged, rule)?;
        Ok(None)
    }

    /// Reads what is typed: rules with `;` between them, or the name of a ready-made plan.
    pub fn preview_rules(&self, text: &str) -> Result<RulePreview, String> {
        let preset = PLAN_PRESETS.iter().find(|p| p.name == text.trim());
        let typed: Vec<String> = match preset {
            Some(preset) => preset.rules(),
            None => text.split(';').map(str::trim).filter(|r| !r.is_empty()).map(str::to_owned).collect(),
        };
        if typed.is_empty() {
            return Err("write a rule: `freeze layer1`, `train kind:BatchNorm2d`, `no_grad before:layer4`".to_owned());
        }
        let plan = Plan::parse(&typed).map_err(|e| e.to_string())?;
        let mut staged = self.staged.clone();
        for rule in plan.rules() {
            again(&mut staged, rule);
        }
        let all: Vec<String> = self.rules.iter().chain(&staged).cloned().collect();
        // Rules are counted as they were typed, not from the beginning of the plan.
        resolve(&self.tree, &plan.rules())?;
        let resolved = self.resolved(&all)?;
        let mut matched = vec![false; self.tree.parameters.len()];
        let patterns = plan.ordered().iter().map(|r| r.pattern.clone());
        let overrides = plan.overrides().keys().map(|name| Pattern::Name(name.clone()));
        for pattern in patterns.chain(overrides) {
            pattern.parameters(&self.tree).into_iter().for_each(|p| matched[p] = true);
        }
        let params = || self.tree.parameters.iter().zip(&matched).filter(|(_, m)| **m).map(|(p, _)| p);
        Ok(RulePreview {
            names: params().map(|p| p.name.clone()).collect(),
            elements: params().map(|p| p.count() as u64).sum(),
            totals: self.totals_of(&resolved),
            changes: !is_same(&resolved, &self.preview),
            rules: plan.rules(),
        })
    }

    /// Stages rules as one edit. `Err` says why not.
    pub fn stage(&mut self, text: &str) -> Said {
        self.may_edit()?;
        let preview = self.preview_rules(text)?;
        let mut staged = self.staged.clone();
        preview.rules.iter().for_each(|rule| again(&mut staged, rule.clone()));
        match self.put(staged, preview.rules.join("; "))? {
            true => Ok(None),
            false => Ok(Some("that changes nothing".to_owned())),
        }
    }

    fn may_edit(&self) -> Result<(), String> {
        match self.applying {
            true => Err("the staged edits are on their way; wait for the answer".to_owned()),
            false => Ok(()),
        }
    }

    /// Makes these the staged rules, as one edit; false where that changes nothing.
    fn put(&mut self, staged: Vec<String>, words: String) -> Result<bool, String> {
        let all: Vec<String> = self.rules.iter().chain(&staged).cloned().collect();
        let resolved = self.resolved(&all)?;
        if is_same(&resolved, &self.preview) {
            return Ok(false);
        }
        let before = Step { rules: self.rules.clone(), staged: self.staged.clone(), words };
        self.history.push(before);
        self.undone.clear();
        // Back where it was: nothing is staged, and the reasons are those in force.
        let back = is_same(&resolved, &self.base);
        (self.staged, self.preview) = if back { (Vec::new(), self.base.clone()) } else { (staged, resolved) };
        Ok(true)
    }

    /// Whether there is an edit to take back.
    pub fn can_undo(&self) -> bool {
        !self.applying && !self.history.is_empty()
    }

    /// Whether there is an edit to do again.
    pub fn can_redo(&self) -> bool {
        !self.applying && !self.undone.is_empty()
    }

    /// The edits that would be taken back and done again next, in words.
    pub fn next_steps(&self) -> (Option<&str>, Option<&str>) {
        let words = |steps: &'_ [Step]| -> Option<usize> { steps.len().checked_sub(1) };
        let undo = words(&self.history).map(|i| self.history[i].words.as_str());
        let redo = words(&self.undone).map(|i| self.undone[i].words.as_str());
        (undo, redo)
    }

    /// Takes the last edit back; what it was, if there is one.
    pub fn undo(&mut self) -> Option<String> {
        let step = if self.applying { None } else { self.history.pop() }?;
        let (words, undone) = self.exchange(step);
        self.undone.push(undone);
        Some(words)
    }

    /// Does the edit again that was taken back last; what it was, if there is one.
    pub fn redo(&mut self) -> Option<String> {
        let step = if self.applying { None } else { self.undone.pop() }?;
        let (words, done) = self.exchange(step);
        self.history.push(done);
        Some(words)
    }

    /// Puts a step's plan in the place of the present one, which is given back as a step.
    fn exchange(&mut self, step: Step) -> (String, Step) {
        let words = step.words.clone();
        let staged = std::mem::replace(&mut self.staged, step.staged);
        let rules = self.rules.clone();
        if self.rules != step.rules
            && let Ok(base) = resolve(&self.tree, &step.rules)
        {
            (self.rules, self.base) = (step.rules, base);
        }
        self.refresh();
        (words.clone(), Step { rules, staged, words })
    }

    /// Forgets the staged edits (`undo` brings them back); the number of rules forgotten.
    pub fn discard(&mut self) -> usize {
        if self.applying || self.staged.is_empty() {
            return 0;
        }
        let staged = std::mem::take(&mut self.staged);
        let n = staged.len();
        let words = format!("{n} forgotten");
        self.history.push(Step { rules: self.rules.clone(), staged, words });
        self.undone.clear();
        self.refresh();
        n
    }

    /// Rules in force and staged as they are written into a recipe: without those that say nothing any more.
    pub fn plan(&self) -> Vec<String> {
        let all = self.all_rules();
        let Ok(plan) = Plan::parse(&all) else { return all };
        let whole = |r: &Rule| match &r.pattern {
            Pattern::Name(name) => name == "**",
            other => *other == Pattern::Preset(Preset::All),
        };
        let first = plan.ordered().iter().rposition(whole).unwrap_or(0);
        let mut tidy: Vec<String> = Vec::new();
        for rule in plan.rules().split_off(first) {
            again(&mut tidy, rule);
        }
        match resolve(&self.tree, &tidy) {
            Ok(resolved) if is_same(&resolved, &self.preview) => tidy,
            _ => all,
        }
    }

    /// The plan was written into the recipe: nothing is staged any more, and edits can still be taken back.
    pub fn set_written(&mut self, rules: &[String]) {
        if self.plan() == rules
            && let Ok(base) = resolve(&self.tree, rules)
        {
            self.rules = rules.to_vec();
            self.base = base;
            self.staged.clear();
            self.refresh();
        }
    }

    /// Takes edits up that were left: as they were, or after the rules in force when `rules` is none of its business any
    /// more. `Err` says why they do not fit.
    pub fn take_up(&mut self, rules: Option<&[String]>, staged: &[String]) -> Result<(), String> {
        let before =
            Step { rules: self.rules.clone(), staged: self.staged.clone(), words: "edits taken up".to_owned() };
        if let Some(rules) = rules.filter(|r| *r != self.rules) {
            self.base = resolve(&self.tree, rules)?;
            self.rules = rules.to_vec();
        }
        let all: Vec<String> = self.rules.iter().chain(staged).cloned().collect();
        let resolved = resolve(&self.tree, &all);
        if resolved.is_ok() {
            self.staged = staged.to_vec();
            self.history.push(before);
        }
        self.refresh();
        resolved.map(drop)
    }

    /// Takes the staged rules to send them. `Err` says why they are not to be sent.
    pub fn begin_apply(&mut self) -> Result<Vec<String>, String> {
        if self.applying {
            return Err("the staged edits are on their way already".to_owned());
        }
        if self.staged.is_empty() {
            return Err("nothing is staged; space freezes or thaws what is under the cursor".to_owned());
        }
        if self.preview.trainable() == 0 {
            return Err("with these edits nothing would learn; leave at least one parameter trainable".to_owned());
        }
        self.applying = true;
        Ok(self.staged.clone())
    }

    /// The run answered; refused edits stay staged.
    pub fn end_apply(&mut self) {
        self.applying = false;
    }
}

/// How a module's path is written in a rule.
fn pattern(path: &str) -> &str {
    if path.is_empty() { "**" } else { path }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the whole model" } else { path }
}

/// Whether all that a rule says lies in the node with this path.
fn is_inside(rule: &str, path: &str) -> bool {
    let Some((_, target)) = rule.split_once(' ') else { return false };
    let target = target.strip_prefix('=').unwrap_or(target);
    path.is_empty() || target == path || target.starts_with(&format!("{path}."))
}

/// Appends a rule; the same one earlier says nothing any more, nor does an older override of the same parameter.
fn again(staged: &mut Vec<String>, rule: String) {
    let parameter = |r: &str| r.split_once(" =").map(|(_, name)| name.to_owned());
    staged.retain(|r| *r != rule && (parameter(r).is_none() || parameter(r) != parameter(&rule)));
    staged.push(rule);
}

fn is_same(a: &Resolution, b: &Resolution) -> bool {
    a.no_grad_modules == b.no_grad_modules && a.states() == b.states()
}
