//! Random plans on random trees, against the rules' definition written as plainly as possible.

use proptest::prelude::*;

use super::*;
use crate::core::tensor::DType;
use crate::core::tree::{ModuleInfo, ParamInfo, Tree, glob_covers, glob_match};

/// A tree in registration order: each module's parent is one on the path to the last one, as depth first gives it.
fn trees() -> impl Strategy<Value = Tree> {
    let module = (0usize..4, 0usize..3, prop::sample::select(vec!["Linear", "BatchNorm2d", "Sequential"]));
    (0usize..2, prop::collection::vec(module, 1..14)).prop_map(|(root_params, modules)| {
        let mut tree = Tree::default();
        push(&mut tree, None, "", "Net", root_params);
        let mut open = vec![0];
        for (i, (up, params, kind)) in modules.into_iter().enumerate() {
            open.truncate(open.len().saturating_sub(up).max(1));
            let parent = *open.last().unwrap();
            // Few distinct names, so that globs hit several.
            let name = ["conv", "bn", "fc"][i % 3].to_owned() + &tree.children(parent).len().to_string();
            push(&mut tree, Some(parent), &name, kind, params);
            open.push(tree.modules.len() - 1);
        }
        tree
    })
}

fn push(tree: &mut Tree, parent: Option<usize>, name: &str, kind: &str, params: usize) {
    let above = parent.map_or("", |p| tree.modules[p].path.as_str());
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    let module = tree.modules.len();
    for leaf in ["weight", "bias"].iter().take(params) {
        let name = if path.is_empty() { (*leaf).to_owned() } else { format!("{path}.{leaf}") };
        tree.parameters.push(ParamInfo { name, module, shape: vec![2], dtype: DType::Float32 });
    }
    let (kind, detail) = (kind.to_owned(), String::new());
    tree.modules.push(ModuleInfo { path, kind, detail, parent, output_shape: None, flops: None });
}

/// Numbers that are turned into a rule on a tree: a name, or a name with segments made wild.
type Dice = (u8, u8, usize, [u8; 4]);

fn dice() -> impl Strategy<Value = Dice> {
    (0u8..3, 0u8..8, any::<usize>(), any::<[u8; 4]>())
}

fn rule(tree: &Tree, (action, form, pick, wild): Dice) -> String {
    let action = ["train", "freeze", "no_grad"][action as usize];
    let names: Vec<&str> = tree
        .modules
        .iter()
        .skip(1)
        .map(|m| m.path.as_str())
        .chain(tree.parameters.iter().map(|p| p.name.as_str()))
        .collect();
    let name = names[pick % names.len()];
    let globbed = || {
        let segments = name.split('.').zip(wild.into_iter().cycle()).map(|(segment, w)| match w % 6 {
            0 => "*".to_owned(),
            1 => "**".to_owned(),
            2 => format!("{}*", &segment[..1]),
            _ => segment.to_owned(),
        });
        segments.collect::<Vec<_>>().join(".")
    };
    match form {
        0 if !tree.parameters.is_empty() => format!("{action} ={}", tree.parameters[pick % tree.parameters.len()].name),
        1 => format!("{action} **"),
        2 => format!("{action} kind:{}", tree.modules[pick % tree.modules.len()].kind),
        3..=5 => format!("{action} {}", globbed()),
        _ => format!("{action} {name}"),
    }
}

/// The definition, parameter by parameter and rule by rule.
fn definition(plan: &Plan, tree: &Tree) -> Vec<ParamState> {
    let overrides = plan.overrides().iter().map(|(name, a)| (Pattern::Name(name.clone()), *a));
    let rules: Vec<(Pattern, Action)> =
        plan.ordered().iter().map(|r| (r.pattern.clone(), r.action)).chain(overrides).collect();
    let covers_module = |pattern: &Pattern, m: usize| match pattern {
        Pattern::Name(p) if p == "**" => true,
        Pattern::Name(p) => m > 0 && glob_covers(p, &tree.modules[m].path),
        Pattern::Kind(k) => {
            tree.is_within(m, m) && (0..=m).any(|a| glob_match(k, &tree.modules[a].kind) && tree.is_within(m, a))
        }
        _ => unreachable!(),
    };
    let names_param =
        |pattern: &Pattern, p: usize| matches!(pattern, Pattern::Name(g) if glob_match(g, &tree.parameters[p].name));
    let leaf = |m: usize| tree.children(m).is_empty();
    let module_action = |m: usize| {
        let hits = |(pattern, action): &&(Pattern, Action)| {
            let own = |p: usize| tree.parameters[p].module == m && names_param(pattern, p);
            covers_module(pattern, m) || *action == Action::NoGrad && leaf(m) && (0..tree.parameters.len()).any(own)
        };
        rules.iter().rev().find(hits).map(|r| r.1)
    };
    let param_state = |p: usize| {
        let m = tree.parameters[p].module;
        let chain = std::iter::once(m).chain(tree.ancestors(m)).collect::<Vec<_>>();
        if chain.iter().any(|&a| module_action(a) == Some(Action::NoGrad)) {
            return ParamState::NoGrad;
        }
        let last = rules.iter().rev().find(|(pattern, _)| covers_module(pattern, m) || names_param(pattern, p));
        match last.map(|r| r.1) {
            None | Some(Action::Train) => ParamState::Trainable,
            Some(_) => ParamState::Frozen,
        }
    };
    (0..tree.parameters.len()).map(param_state).collect()
}

/// The rules of the dice that match something, so that the plan resolves.
fn plan_of(tree: &Tree, dice: Vec<Dice>) -> Plan {
    let mut plan = Plan::default();
    for text in dice.into_iter().map(|d| rule(tree, d)) {
        let mut longer = plan.clone();
        longer.push(&text).unwrap();
        if longer.resolve(tree).is_ok() {
            plan = longer;
        }
    }
    plan
}

proptest! {
    #[test]
    fn resolving_agrees_with_the_definition(tree in trees(), dice in prop::collection::vec(dice(), 0..6)) {
        let plan = plan_of(&tree, dice);
        let resolution = plan.resolve(&tree).unwrap();
        prop_assert_eq!(resolution.states(), definition(&plan, &tree), "{:?}", plan.rules());
        prop_assert_eq!(resolution.trainable(), resolution.states().iter().filter(|s| **s == ParamState::Trainable).count());
        let mask = resolution.no_grad_mask(&tree);
        for (p, r) in tree.parameters.iter().zip(&resolution.params) {
            prop_assert_eq!(mask[p.module], r.state == ParamState::NoGrad);
        }
    }

    #[test]
    fn a_resolver_with_memory_gives_the_same(tree in trees(), dice in prop::collection::vec(dice(), 0..12)) {
        let mut resolver = Resolver::new(std::sync::Arc::new(tree.clone()));
        let mut plan = Plan::default();
        for d in dice {
            plan.push(&rule(&tree, d)).unwrap();
            prop_assert_eq!(resolver.resolve(&plan), plan.resolve(&tree));
            if plan.resolve(&tree).is_err() {
                plan.undo();
            }
        }
    }

    #[test]
    fn text_and_plan_are_the_same_thing(tree in trees(), dice in prop::collection::vec(dice(), 0..8)) {
        let rules: Vec<String> = dice.into_iter().map(|d| rule(&tree, d)).collect();
        let plan = Plan::parse(&rules).unwrap();
        prop_assert_eq!(Plan::parse(&plan.rules()).unwrap(), plan);
    }

    #[test]
    fn undo_of_any_edits_restores_the_plan_exactly(
        tree in trees(),
        start in prop::collection::vec(dice(), 0..4),
        edits in prop::collection::vec((0u8..10, dice(), any::<usize>(), any::<usize>()), 1..20),
    ) {
        let start: Vec<String> = start.into_iter().map(|d| rule(&tree, d)).collect();
        let mut plan = Plan::parse(&start).unwrap();
        let mut past = vec![plan.clone()];
        for (kind, d, a, b) in edits {
            let depth = plan.undo_depth();
            edit(&mut plan, &tree, kind, d, a, b);
            prop_assert!(plan.undo_depth() <= depth + 1, "one edit is one step");
            if plan.undo_depth() > depth {
                prop_assert_ne!(&plan, past.last().unwrap(), "a step changes something");
                past.push(plan.clone());
            } else {
                prop_assert_eq!(&plan, past.last().unwrap(), "no change without a step");
            }
        }
        for i in (0..past.len() - 1).rev() {
            prop_assert!(plan.undo());
            prop_assert_eq!(&plan, &past[i]);
        }
        prop_assert!(!plan.undo());
        for later in &past[1..] {
            prop_assert!(plan.redo());
            prop_assert_eq!(&plan, later);
        }
        prop_assert!(!plan.redo());
    }
}

fn edit(plan: &mut Plan, tree: &Tree, kind: u8, d: Dice, a: usize, b: usize) {
    let text = rule(tree, d);
    let plain = text.replace('=', "");
    let len = plan.ordered().len().max(1);
    let module = &tree.modules[a % tree.modules.len()].path;
    let action = [Action::Train, Action::Freeze, Action::NoGrad][b % 3];
    match kind {
        0 => plan.push(&text).unwrap(),
        1 => plan.push_all(&[text.as_str(), "freeze **", "train =x", "freeze =x"]).unwrap(),
        2 => plan.insert(a % len, &plain).unwrap(),
        // These refuse where there is no such rule, and change nothing then.
        3 => drop(plan.remove(a % (len + 1))),
        4 => drop(plan.replace(a % len, &plain)),
        5 => drop(plan.move_rule(a % len, b % len)),
        6 => plan.override_param(module, action),
        7 => plan.clear_override(module),
        8 => plan.set_module(module, action),
        _ => plan.set(&[text.as_str(), "train fc"]).unwrap(),
    }
}
